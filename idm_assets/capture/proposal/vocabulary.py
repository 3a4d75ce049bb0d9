"""Words that names of columns are judged by, and texts that stand for no value.

Belongs here: words of plants, whatever the format. Does not belong here: forms of dates and times (`time_forms`), words
for statuses (`values`), units (`dialects`), judging columns by these words (`times`, `row_meaning`).
"""

from __future__ import annotations

from typing import Final


def word_set(text: str) -> frozenset[str]:
    """The words of a text, which blanks stand between."""
    return frozenset(text.split())


TIME_WORDS: Final = word_set(
    "time timestamp timestamps date datetime ts utc epoch zeit datum uhrzeit zeitstempel zeitpunkt heure horodatage"
    " fecha hora tijd data stamp timeutc occurred recorded day at when"
)
"""Words in the names of columns that say the time."""

SECOND_TIME_WORDS: Final = word_set(
    "server received receive enqueued created creation inserted insert ingested ingest updated update modified end stop"
    " finish exported processed due arrival"
)
"""Words in the names of times beside that of the row."""

TAG_WORDS: Final = word_set(
    "tag tags tagname signal signalname variable metric item itemid point pointname channel parameter attribute nodeid"
    " address measurand datapoint sensor quantity messgroesse kanal messstelle name"
)
"""Words in the names of columns that name tags."""

VALUE_WORDS: Final = word_set("value val values wert messwert valeur valor reading pv istwert result measurement")
"""Words in the names of columns that hold values."""

STATUS_WORDS: Final = word_set("status statuscode quality qual state flag validity good qualitaet q")
"""Words in the names of columns that hold statuses."""

UNIT_WORDS: Final = word_set("unit units uom einheit engunit eu")
"""Words in the names of columns that hold units."""

SOURCE_WORDS: Final = word_set(
    "vehicle machine device equipment asset station host node robot pump turbine well meter truck bus plant site source"
    " cell line unit serial deviceid machineid sensorid assetid stationid maschine anlage engine"
    " instance"
)
"""Words in the names of columns that tell from which thing a row comes."""

KEY_WORDS: Final = word_set("id uuid guid serial sn code nr no key")
"""Words in the names of columns that identify things."""

MISSING: Final = word_set(
    "nan -nan null none nil na n/a #n/a #na n.a. - -- --- ---- ? * missing nodata no_data undefined inf -inf +inf"
    " infinity -infinity #value! #div/0! #ref! bad"
) | {"no data", "no value", "not available"}
"""Texts among numbers that stand for no value, in small letters."""
