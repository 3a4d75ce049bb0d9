"""Proposing a source declaration: from a sample of a delivered file to the YAML that reads it, with what was seen.

What a file is follows from its content: each kind has a small recogniser, asked in the order of `_RECOGNISERS`, that
takes a sample and finds the format with its options, or nothing. Formats of rows are then read by the decoder itself
(`decoders.registry`), so that names and numbers are those that it will see, and judged alike whatever the format: which
fields say the time, whether a row is one value or one of many tags, what names the source. Nothing is learned and
nothing is looked up elsewhere: the tables of words, dates and times in this module are all there is.

Beside every line that does not go without saying stands what was seen and how sure that is. What would change values
(sentinels) is proposed as a comment only.

Belongs here: recognising, and the proposal as text. Does not belong here: decoding (`decoders`), trying the proposal
(`trial`), showing it (`commands.source`).
"""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, cached_property, lru_cache
from itertools import islice, pairwise
from pathlib import Path
from statistics import quantiles
from typing import Any, Final, Literal, NamedTuple

import duckdb

from idm_assets.capture.content import HEAD_BYTES, Content, Expected, as_utf8, encoding_of, kind_of
from idm_assets.capture.decoders import PreparedFile, UndecodableFile
from idm_assets.capture.decoders.csv_rows import HEADER_MISSING
from idm_assets.capture.decoders.json_documents import Document, Json, Written, elements
from idm_assets.capture.decoders.registry import row_format_for
from idm_assets.capture.decoders.tabular import Rows
from idm_assets.capture.decoders.xml_elements import Closed, Opened, tags
from idm_assets.capture.survey import Limits, UnreadableCapture, survey
from idm_assets.capture.text_values import NUMBER, number
from idm_assets.capture.time_reading import TimeReading, timed
from idm_assets.referential.unece import symbol_of_display_name
from idm_assets.sql import literal
from idm_assets.status import symbols

SAMPLE_BYTES: Final = 4 << 20
SCHEMA_LINE: Final = "# yaml-language-server: $schema=../schemas/sources.json"

_LINES_JUDGED: Final = 2_000
_CELLS_JUDGED: Final = 400_000
_COLUMNS_JUDGED: Final = 300
_TEXTS_JUDGED: Final = 2_000
_DOCUMENTS_JUDGED: Final = 2_000
_LINE_CHARACTERS: Final = 20_000
_WIDTH: Final = 116


# --- What is known beforehand ----------------------------------------------------------------------------------------

_DATES: Final = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y",
    "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%m-%y", "%y-%m-%d", "%y/%m/%d", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y",
    "%b %d %Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%Y%m%d",
)  # fmt: skip
"""Dates as strptime patterns; of two that fit equally well, the first is proposed."""

_TIMES: Final = (
    "%H:%M:%S", "%H:%M:%S.%f", "%H:%M:%S,%f", "%H:%M:%S:%f", "%H:%M", "%H.%M.%S", "%H.%M", "%H-%M-%S", "%H%M%S",
    "%H%M%S.%f", "%I:%M:%S %p", "%I:%M:%S.%f %p", "%I:%M %p",
)  # fmt: skip
_BETWEEN: Final = (" ", "T", ", ", "_", "-", "")
_ZONES: Final = ("", "%z", " %z", "Z", " UTC", " GMT")

_DIRECTIVES: Final[Mapping[str, str]] = {
    "%Y": r"(?:19|20)\d\d", "%y": r"\d\d", "%m": r"(?:1[0-2]|0?[1-9])", "%d": r"(?:3[01]|[12]\d|0?[1-9])",
    "%H": r"(?:2[0-3]|[01]?\d)", "%I": r"(?:1[0-2]|0?[1-9])", "%M": r"[0-5]?\d", "%S": r"[0-5]?\d", "%f": r"\d{1,9}",
    "%p": r"[AaPp][Mm]", "%z": r"[-+]\d\d(?::?\d\d)?",
    "%b": r"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)",
    "%B": r"(?i:january|february|march|april|may|june|july|august|september|october|november|december)",
}  # fmt: skip
"""Parts of strptime patterns as regular expressions; where nothing stands between them, all digits have to be there."""

_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{0,9})?(?P<zone>Z|[-+]\d\d(:?\d\d)?)?")

_MIDNIGHTS: Final = (" 00:00:00", "T00:00:00", " 00:00:00.000", "T00:00:00.000")

_EPOCH_SECONDS: Final = (631_152_000, 4_102_444_800)
"""From 1990 to 2100: what numbers since 1970 are expected to say, in seconds."""

_DATES_OF_NAMES: Final = (
    (r"\d{4}-\d{2}-\d{2}", "%Y-%m-%d"), (r"\d{4}_\d{2}_\d{2}", "%Y_%m_%d"), (r"\d{4}\.\d{2}\.\d{2}", "%Y.%m.%d"),
    (r"\d{8}", "%Y%m%d"), (r"\d{2}\.\d{2}\.\d{4}", "%d.%m.%Y"), (r"\d{2}-\d{2}-\d{4}", "%d-%m-%Y"),
    (r"\d{2}_\d{2}_\d{4}", "%d_%m_%Y"),
)  # fmt: skip
"""Dates in the names of files, with their strptime patterns."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TIME_WORDS: Final = _words(
    "time timestamp timestamps date datetime ts utc epoch zeit datum uhrzeit zeitstempel zeitpunkt heure horodatage"
    " fecha hora tijd data stamp timeutc occurred recorded day at when"
)
_SECOND_TIME_WORDS: Final = _words(
    "server received receive enqueued created creation inserted insert ingested ingest updated update modified end stop"
    " finish exported processed due arrival"
)
_TAG_WORDS: Final = _words(
    "tag tags tagname signal signalname variable metric item itemid point pointname channel parameter attribute nodeid"
    " address measurand datapoint sensor quantity messgroesse kanal messstelle name"
)
_VALUE_WORDS: Final = _words("value val values wert messwert valeur valor reading pv istwert result measurement")
_STATUS_WORDS: Final = _words("status statuscode quality qual state flag validity good qualitaet q")
_UNIT_WORDS: Final = _words("unit units uom einheit engunit eu")
_SOURCE_WORDS: Final = _words(
    "vehicle machine device equipment asset station host node robot pump turbine well meter truck bus plant site source"
    " cell line unit serial deviceid machineid sensorid assetid stationid maschine anlage engine"
    " instance"
)
_KEY_WORDS: Final = _words("id uuid guid serial sn code nr no key")

_MISSING: Final = _words(
    "nan -nan null none nil na n/a #n/a #na n.a. - -- --- ---- ? * missing nodata no_data undefined inf -inf +inf"
    " infinity -infinity #value! #div/0! #ref! bad"
) | {"no data", "no value", "not available"}
"""Texts among numbers that stand for no value, in small letters."""

_KNOWN_SENTINELS: Final = frozenset(
    {
        -1.0, -99.0, -200.0, -999.0, -9999.0, -99999.0, 99.0, 255.0, 999.0, 9999.0, 99999.0, 999999.0, 32767.0,
        -32768.0, 65535.0, 1145979424.0, 2147483647.0, -2147483648.0, 4294967295.0,
    }
)  # fmt: skip
"""What devices write where they have no measurement; 1145979424 is the text ``DND `` read as a number."""

_STATUS_MEANINGS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("ok", "valid", "g", "normal", "n", "true", "gut", "fine"), "Good"),
    **dict.fromkeys(("invalid", "error", "err", "fault", "failed", "fail", "b", "false", "schlecht"), "Bad"),
    **dict.fromkeys(("suspect", "questionable", "doubtful", "u", "warning", "estimated", "unsicher"), "Uncertain"),
    **dict.fromkeys(("offline", "disconnected", "not connected", "no communication"), "BadNoCommunication"),
    **dict.fromkeys(("missing", "no data", "nodata", "null", "nan"), "BadNoData"),
    **dict.fromkeys(("substituted", "manual", "replaced"), "UncertainSubstituteValue"),
}
"""Words of plants for statuses, in small letters, as OPC UA symbols; those of OPC UA need none."""

_UNITS: Final = _words(
    "rpm RPM 1/min U/min min-1 degC degF C F K Nm N.m m3/h m³/h Nm3/h kWh MWh Wh kVA VA kvar psi ppm ppb pH bara barg"
    " l/h ml/min mg/m3 mg/m³ µg/m3 µg/m³ ug/m3 dB dBA g °"
)
"""Units as headers have them, beyond those that UNECE Recommendation 20 lists."""


# --- The proposal as text --------------------------------------------------------------------------------------------

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Said:
    """One field of a declaration.

    Attributes:
        key: its name.
        value: a scalar, a list of scalars, or more fields.
        seen: what was seen, for people; one comment each.
        state: ``in_force``, or ``suggested``: written as a comment, for people to switch on.
    """

    key: str
    value: Scalar | Sequence[Scalar] | tuple[Said, ...]
    seen: tuple[str, ...] = ()
    state: Literal["in_force", "suggested"] = "in_force"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A declaration that was found for a file.

    Attributes:
        what: what the file was recognised as, one sentence.
        name: name of the declaration.
        fields: its fields, in the order in which they are written.
    """

    what: str
    name: str
    fields: tuple[Said, ...]

    @property
    def text(self) -> str:
        """The YAML file that declares the source."""
        lines = [SCHEMA_LINE, *_comment(self.what), "sources:"]
        first, *rest = _yaml(self.fields, 4)
        return "\n".join([*lines, f"  - {first.strip()}", *rest]) + "\n"


@dataclass(frozen=True, slots=True)
class Unrecognised:
    """Nothing sensible was found.

    Attributes:
        why: what was looked for and what was found instead.
        template: the declaration that comes closest, as YAML to fill in; empty: none would do.
    """

    why: str
    template: str = ""


def _yaml(fields: Iterable[Said], indent: int) -> Iterator[str]:
    for said in fields:
        margin = " " * indent
        yield from (margin + line for seen in said.seen for line in _comment(seen, _WIDTH - indent))
        head = f"{margin}{'# ' if said.state == 'suggested' else ''}{_scalar(said.key)}:"
        inner = _fields_of(said.value)
        if inner is None:
            yield f"{head} {_inline(said.value)}"
        elif not inner:
            yield f"{head} {{}}"
        elif said.state == "suggested":
            yield f"{head} {{{', '.join(f'{_scalar(f.key)}: {_inline(f.value)}' for f in inner)}}}"
        else:
            yield head
            yield from _yaml(inner, indent + 2)


def _fields_of(value: object) -> tuple[Said, ...] | None:
    """The fields that a value consists of; None if it is a scalar or a list of scalars."""
    if isinstance(value, tuple):
        inner = tuple(part for part in value if isinstance(part, Said))  # pyright: ignore[reportUnknownVariableType]
        return inner if len(inner) == len(value) else None  # pyright: ignore[reportUnknownArgumentType]
    return None


def _inline(value: object) -> str:
    if isinstance(value, str | int | float):
        return _scalar(value)
    assert isinstance(value, Sequence), "what is no scalar is a list here"
    return f"[{', '.join(map(_inline, value))}]"  # pyright: ignore[reportUnknownArgumentType]


def _scalar(value: Scalar) -> str:
    """A scalar in the core schema of YAML 1.2."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(int(value) if value == int(value) else value)
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]*( [A-Za-z0-9_./-]+)*", value) and value.lower() not in _YAML_WORDS:
        return value
    if "\\" in value and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    return f'"{_escaped(value)}"'


_YAML_WORDS: Final = frozenset({"null", "true", "false"})


def _escaped(text: str) -> str:
    """Text within double quotes: nothing in it can end them, the line or the file."""
    special = {'"': '\\"', "\\": "\\\\", "\t": "\\t"}
    return "".join(special.get(c) or (c if c.isprintable() else f"\\U{ord(c):08x}") for c in text)


def _shown(text: str, limit: int = 40) -> str:
    """Text of a file as a comment may show it."""
    return f'"{_escaped(text[:limit])}{"..." if len(text) > limit else ""}"'


def _listed(texts: Iterable[str], limit: int = 6) -> str:
    """Some texts of a file as a comment may show them."""
    found = list(texts)
    return ", ".join(_shown(text) for text in found[:limit]) + (
        f" and {len(found) - limit} more" * (len(found) > limit)
    )


def _comment(text: str, width: int = _WIDTH) -> list[str]:
    """A sentence as lines of comments; nothing in it can end a line."""
    text = "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)
    lines: list[str] = []
    for word in text.split(" "):
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(f"# {word}")
    return lines


# --- The sample ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sample:
    """What is looked at of a delivered file.

    Attributes:
        name: name of the file.
        parent: name of the folder it lies in.
        member: path of the member that was looked at, where the file is an archive.
        path: the content, unpacked, for formats that are read from their end.
        head: its first 4 MB.
        is_whole: whether that is all of it.
        folder: where scratch files may be put.
    """

    name: str
    parent: str
    member: str | None
    path: Path
    head: bytes
    is_whole: bool
    folder: Path


def sampled(file: Path, folder: Path) -> Sample | Unrecognised:
    """Take a sample of a file, whatever it is packed in.

    Args:
        file: the file as delivered; it is read to its end once, to be unpacked.
        folder: existing folder for unpacked content, which the caller removes.

    Raises:
        OSError: the file or folder cannot be accessed.
        CaptureMoved: the file changes while it is read.
    """
    try:
        surveyed = survey(file, folder, Limits(), Expected(Content.BYTES))
    except UnreadableCapture as error:
        return Unrecognised(f"The file cannot be read, whatever its format: {error.detail}.")
    members = [member for member in surveyed.members if member.refusal is None and member.text_bytes]
    if not members:
        refused = [f"{m.name or file.name}: {m.refusal[1]}" for m in surveyed.members if m.refusal is not None]
        return Unrecognised(f"There is nothing to look at: {'; '.join(refused[:3]) or 'the file is empty'}.")
    member = members[0]
    with member.text.open("rb") as stream:
        head = stream.read(SAMPLE_BYTES + 1)
    is_whole = len(head) <= SAMPLE_BYTES
    return Sample(
        file.name, file.absolute().parent.name, member.name, member.text, head[:SAMPLE_BYTES], is_whole, folder
    )


# --- From sample to proposal -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """What a recogniser found.

    Attributes:
        what: what the file is, one sentence.
        format: name of the format.
        options: its options.
        meaning: how the time is read, what a row becomes, and statuses; empty for formats that say it themselves.
        names_source: whether every unit names its source.
        is_zoned: whether all times carry their zone.
    """

    what: str
    format: str
    options: tuple[Said, ...] = ()
    meaning: tuple[Said, ...] = ()
    names_source: bool = False
    is_zoned: bool = True


Recogniser = Callable[[Sample], Finding | Unrecognised | None]
"""Finds what it knows, says that it cannot be read, or has nothing to say."""


def propose(sample: Sample, plant: str | None = None, name: str | None = None) -> Proposal | Unrecognised:
    """Propose the declaration of a source for a sample of one of its files.

    Args:
        sample: the sample.
        plant: plant, which is also the folder below the landing zone; None: a placeholder.
        name: name of the declaration; None: made of the file's name.
    """
    for recogniser in _RECOGNISERS:
        found = recogniser(sample)
        if isinstance(found, Finding):
            return _placed(found, sample, plant, name or _slug(_stem(sample.name), sample.parent))
        if found is not None:
            return found
    kind = kind_of(sample.head[:HEAD_BYTES])
    return Unrecognised(
        f"No format was recognised; the content looks like {kind}, and begins with {_shown(_begin(sample.head), 60)}.",
        template("csv" if kind == "text" else "json_lines" if kind == "json" else ""),
    )


def _placed(found: Finding, sample: Sample, plant: str | None, name: str) -> Proposal:
    """The whole declaration: what was found, and what follows from the file's name."""
    seen_path = _path_seen(sample)
    fields = [
        Said("name", name),
        Said("plant", plant) if plant else Said("plant", "my_plant", ("the folder below the landing zone; not known",)),
        Said("glob", seen_path.glob, ("make it narrower if other files lie there too",)),
        Said("format", found.format),
    ]
    if found.options:
        fields.append(Said("options", found.options))
    fields += found.meaning
    pattern, names_source = seen_path.pattern, seen_path.names_source
    if pattern is not None and found.names_source:
        pattern, names_source = pattern.replace("(?P<source>[^/]+)", "[^/]+"), False
    if pattern is not None:
        fields.append(Said("path_pattern", pattern, seen_path.seen + (_REST_SEEN,) * names_source))
    if not found.names_source and not names_source:
        where = f"(?:.*/)?(?P<source>[^/]+){seen_path.suffix}"
        fields.append(Said("source", name, (f"not in the content; where the path names it: path_pattern: {where}",)))
    if not found.is_zoned:
        zone = ("the times carry no zone; put the zone of the plant's clocks, such as Europe/Paris",)
        fields.append(Said("timezone", "UTC", zone))
    member = f", member {_shown(sample.member, 80)}" if sample.member else ""
    what = f"{_shown(sample.name, 80)}{member}: {found.what}"
    return Proposal(what, name, tuple(fields))


# --- What the name of the file says ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PathSeen:
    """What follows from the name of a file.

    Attributes:
        glob: pattern of all files like it.
        suffix: its suffixes as a regular expression.
        pattern: expression over its path, where the name has a date.
        names_source: whether the expression has a group for the source.
        day: the date as text; None: there is none.
        day_format: strptime pattern of the date.
        seen: what was seen.
    """

    glob: str
    suffix: str
    pattern: str | None = None
    names_source: bool = False
    day: str | None = None
    day_format: str = ""
    seen: tuple[str, ...] = ()


_REST_SEEN: Final = "the rest of the name is taken for the source; cut it down to what names it"
_SUFFIXES: Final = re.compile(r"(\.[A-Za-z][A-Za-z0-9]{0,7}){1,2}$")


def _stem(name: str) -> str:
    found = _SUFFIXES.search(name)
    return name[: found.start()] if found and found.start() else name


def _slug(*texts: str) -> str:
    """The first text that has letters as the name of a declaration, without the dates in it."""
    for text in texts:
        for digits, _ in (*_DATES_OF_NAMES, (r"\d{6,}", "")):
            text = re.sub(rf"(?<!\d){digits}(?!\d)", " ", text)  # noqa: PLW2901 - bit by bit
        slug = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:50].strip("_")
        if re.search(r"[a-z]", slug):
            return slug
    return "source"


def _path_seen(sample: Sample) -> PathSeen:
    suffix = sample.name[len(_stem(sample.name)) :]
    glob = f"*{suffix}" if suffix else "*"
    name = (sample.member or sample.name).rpartition("/")[2]
    stem = _stem(name)
    within = re.escape(name[len(stem) :])
    dated = [(found, form) for digits, form in _DATES_OF_NAMES for found in _dates_in(stem, digits, form)]
    if not dated:
        return PathSeen(glob, within)
    dated.sort(key=lambda found: found[0].start())
    first, form = dated[0]
    pieces: list[str] = []
    names_source = False
    place = 0
    for match, _ in dated:
        piece, names = _piece(stem[place : match.start()], names_source=names_source)
        names_source |= names
        group = f"(?P<day>{_digits(match[0])})" if match is first else _digits(match[0])
        pieces += [piece, group]
        place = match.end()
    piece, names = _piece(stem[place:], names_source=names_source)
    pieces.append(piece)
    seen = f"the name of the file has a date, {_shown(first[0])}: it tells files of equal content apart"
    pattern = f"(?:.*/)?{''.join(pieces)}{within}"
    return PathSeen(glob, within, pattern, names_source or names, first[0], form, (seen,))


def _dates_in(stem: str, digits: str, form: str) -> Iterator[re.Match[str]]:
    for match in re.finditer(rf"(?<!\d){digits}(?!\d)", stem):
        try:
            year = datetime.strptime(match[0], form).year  # noqa: DTZ007 - only asked whether it is a date
        except ValueError:
            continue
        if 1990 <= year <= 2100:
            yield match


def _digits(text: str) -> str:
    """A date as a regular expression."""
    return re.sub(r"\d+", lambda found: rf"\d{{{len(found[0])}}}", re.escape(text).replace(r"\-", "-"))


def _piece(text: str, *, names_source: bool) -> tuple[str, bool]:
    """What stands before or after a date as a regular expression; whether it is the group of the source."""
    core = text.strip("_-. ")
    if not core:
        return re.escape(text).replace(r"\-", "-"), False
    before, _, after = text.partition(core)
    inner = "[^/]*" if names_source else "(?P<source>[^/]+)"
    return f"{re.escape(before)}{inner}{re.escape(after)}".replace(r"\-", "-"), not names_source


# --- Tables ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Column:
    """A field of rows, in a sample of them.

    Attributes:
        name: its name.
        cells: texts without blanks around, None where there is nothing.
        numbers: the numbers that they are to the format.
        is_instant: whether the format delivers instants that are no text.
    """

    name: str
    cells: Sequence[str | None]
    numbers: Sequence[float | None]
    is_instant: bool = False

    @cached_property
    def texts(self) -> list[str]:
        """The cells that hold something."""
        return [cell for cell in self.cells if cell]

    @cached_property
    def distinct(self) -> list[str]:
        """Different texts, in the order in which they come first."""
        return list(dict.fromkeys(self.texts))

    @cached_property
    def words(self) -> frozenset[str]:
        """The words of the name, in small letters: ``EventTime`` has event and time, and eventtime as a whole.

        Of a path, those of its last step.
        """
        name = next((step for step in reversed(re.split(r"[.\]]", self.name)) if step), self.name)
        parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
        return frozenset(re.findall(r"[^\W\d_]+", parts.lower())) | {re.sub(r"[\W\d_]+", "", name.lower())}

    @cached_property
    def odd(self) -> Counter[str]:
        """Texts that are no numbers, how often."""
        return Counter(c for c, n in zip(self.cells, self.numbers, strict=True) if c and n is None)

    @cached_property
    def missing(self) -> list[str]:
        """Texts that stand for no value, in small letters."""
        return sorted({text.lower() for text in self.odd} & _MISSING)

    @cached_property
    def values(self) -> list[float]:
        """The numbers."""
        return [n for n in self.numbers if n is not None]

    @property
    def is_number(self) -> bool:
        """Whether nearly all that stands for a value is a number."""
        unknown = sum(count for text, count in self.odd.items() if text.lower() not in _MISSING)
        return bool(self.texts) and len(self.values) >= 4 * unknown

    @property
    def is_flag(self) -> bool:
        """Whether it says yes or no."""
        return bool(self.texts) and {text.lower() for text in self.distinct} <= {"true", "false", "yes", "no"}

    @property
    def is_text(self) -> bool:
        """Whether it holds words."""
        return bool(self.texts) and not self.is_number and not self.is_flag and not self.is_instant

    @property
    def repeats(self) -> bool:
        """Whether values come again, as names do."""
        return len(self.texts) > len(self.distinct) or len(self.texts) == 1

    @property
    def is_unnamed(self) -> bool:
        """Whether nothing names the column."""
        return re.fullmatch(r"column_\d+", self.name) is not None

    def has(self, words: frozenset[str]) -> bool:
        """Whether the name has one of some words."""
        return bool(self.words & words)


@dataclass(frozen=True, slots=True)
class Day:
    """A date outside of the rows, to which a declaration refers as ``{day}``.

    Attributes:
        format: its strptime pattern.
        origin: where it stands, for people.
        pattern: expression that finds it in the lines before the header; empty: the path says it.
    """

    format: str
    origin: str
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A sample of rows.

    Attributes:
        columns: fields in order.
        rows: number of rows in the sample.
        problems: rows that cannot be read, by reason.
        is_named: fields have to be named one by one.
    """

    columns: tuple[Column, ...]
    rows: int
    problems: Mapping[str, int] = field(default_factory=dict[str, int])
    is_named: bool = False


def _read_table(
    sample: Sample, path: Path, format_name: str, options: Mapping[str, Any], names: Sequence[str] = ()
) -> Table | str:
    """Read rows with the decoder of a format; a sentence if it cannot.

    Args:
        sample: the sample.
        path: the content that is read.
        format_name: name of the format.
        options: its options.
        names: fields to look for, in formats whose rows differ.
    """
    with path.open("rb") as stream:
        lines = sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(1 << 20), b"")) + 1
    file = PreparedFile(number=0, path=path, source="", lines=lines, plain=False)
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'").fetchall()
        try:
            rows = row_format_for(format_name, options)
            if path == sample.path:
                # What is read whole is read by the quick way, where that can be.
                try:
                    return _table_of(con, rows.fast(con, [replace(file, plain=True)], names, sample.folder), names)
                except (UndecodableFile, duckdb.Error):
                    pass
            return _table_of(con, rows.exact(con, file, names, sample.folder), names)
        except UndecodableFile as error:
            return f"{error.reason}: {error.detail}"
        except duckdb.Error as error:
            return f"its rows cannot be read: {str(error)[:200]}"


def _table_of(con: duckdb.DuckDBPyConnection, rows: Rows, names: Sequence[str]) -> Table:
    """The first rows with their fields as text and as numbers."""
    fields = [(name, rows.fields[name]) for name in (rows.columns or names)][:_COLUMNS_JUDGED]
    parts: list[str] = []
    for _, found in fields:
        typed = [f"({part})::VARCHAR" for part in (found.double, found.instant) if part is not None]
        value = number(rows.number(found.text))
        parts.append(f"trim(coalesce({', '.join([found.text, *typed])}))")
        parts.append(value if found.double is None else f"coalesce({found.double}, {value})")
    limit = max(50, _CELLS_JUDGED // max(1, len(fields)))
    cells = con.execute(
        f"SELECT {', '.join(parts) or 'NULL'} FROM ({rows.query}) WHERE problem IS NULL LIMIT {limit}"
    ).fetchall()
    problems = con.execute(
        f"SELECT problem, count(*) FROM ({rows.query}) WHERE problem IS NOT NULL GROUP BY 1 LIMIT 100"
    ).fetchall()
    columns = tuple(
        Column(name, [row[2 * i] or None for row in cells], [row[2 * i + 1] for row in cells], f.instant is not None)
        for i, (name, f) in enumerate(fields)
    )
    passed = set(rows.passed_over)
    return Table(columns, len(cells), {reason: n for reason, n in problems if reason not in passed})


def _table_finding(
    table: Table, what: str, format_name: str, options: tuple[Said, ...], day: Day | None
) -> Finding | Unrecognised:
    """What rows mean, as far as that can be told."""
    time = _time_found(table, day)
    if time is None:
        names = _listed(column.name for column in table.columns)
        return Unrecognised(
            f"It was recognised as {what}, but none of its fields says the time of a row: {names}. Looked for were ISO"
            " 8601, numbers since 1970, the common forms of dates and times, and a time of day beside a date in the"
            " name of the file.",
            template(format_name),
        )
    shape = _shape(table, time)
    time_said = [Said("field", time.fields[0] if len(time.fields) == 1 else time.fields, time.seen)]
    if time.format != "iso":
        time_said.append(Said("format", time.format, time.form_seen))
    meaning = (Said("time", tuple(time_said), time.form_seen if time.format == "iso" else ()), *shape.said)
    lost = "".join(f"; {n} lines of the sample cannot be read: {reason}" for reason, n in table.problems.items())
    return Finding(f"{what}{lost}", format_name, options, meaning, shape.names_source, time.is_zoned)


# --- Time ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ColumnTime:
    """What a column says of the time of its rows.

    Attributes:
        column: the column.
        kind: an instant, a date, or a time of day.
        format: as `TimeReading` has it; of a time of day, a strptime pattern.
        share: share of the different texts that are of this format.
        is_zoned: whether all texts carry their zone.
        seen: what was seen.
    """

    column: Column
    kind: Literal["instant", "date", "time"]
    format: str
    share: float
    is_zoned: bool = False
    seen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TimeFound:
    """How the time of a row is read.

    Attributes:
        fields: fields that say it.
        format: as `TimeReading` has it.
        columns: columns among the fields.
        is_zoned: whether all times carry their zone.
        seen: why these fields.
        form_seen: why this format.
    """

    fields: tuple[str, ...]
    format: str
    columns: tuple[Column, ...]
    is_zoned: bool
    seen: tuple[str, ...] = ()
    form_seen: tuple[str, ...] = ()

    def keys(self) -> list[tuple[str | None, ...]]:
        """What each row of the sample says of its time."""
        return list(zip(*(column.cells for column in self.columns), strict=True))


def _time_found(table: Table, day: Day | None) -> TimeFound | None:
    """The time of the rows; None where no field says it."""
    filled = [c for c in table.columns if len(c.texts) >= 0.9 * max(1, table.rows)]
    times = [found for column in filled if (found := _time_of(column)) is not None]
    if any(found.kind == "time" for found in times):
        times = [_as_date(found) for found in times]
    by_kind = {kind: [t for t in times if t.kind == kind] for kind in ("instant", "date", "time")}
    if by_kind["instant"]:
        best = max(by_kind["instant"], key=_preference)
        others = [t.column.name for t in by_kind["instant"] if t is not best]
        seen = (f"other times in a row: {_listed(others)}; they are tags like any other",) if others else ()
        return TimeFound((best.column.name,), best.format, (best.column,), best.is_zoned, seen, best.seen)
    if by_kind["time"]:
        of_day = max(by_kind["time"], key=_preference)
        if by_kind["date"]:
            return _joined(max(by_kind["date"], key=_preference), of_day)
        if day is not None:
            return _with_day(day, of_day)
    if by_kind["date"]:
        date = max(by_kind["date"], key=_preference)
        form = "date" if date.format == "%Y-%m-%d" else date.format
        seen = ("a date without a time of day",)
        return TimeFound((date.column.name,), form, (date.column,), is_zoned=False, seen=seen, form_seen=date.seen)
    return None


def _as_date(found: ColumnTime) -> ColumnTime:
    """What looks like instants but are midnights is a date, where a time of day stands beside it."""
    midnights = {text[10:] for text in found.column.distinct}
    if found.kind == "instant" and found.format == "iso" and len(midnights) == 1 and midnights <= {*_MIDNIGHTS}:
        return replace(found, kind="date", format=f"%Y-%m-%d{midnights.pop()}")
    return found


def _with_day(day: Day, of_day: ColumnTime) -> TimeFound:
    seen = (
        f"the rows have a time of day only; the date is that of {day.origin}",
        "a row after midnight would be taken for one of the same date: check files that run over it",
    )
    form = _joined_format(day.format, of_day.format)
    fields = ("{day}", of_day.column.name)
    return TimeFound(fields, form, (of_day.column,), is_zoned=False, seen=seen, form_seen=of_day.seen)


def _joined(date: ColumnTime, of_day: ColumnTime) -> TimeFound:
    fields = (date.column.name, of_day.column.name)
    form = _joined_format(date.format, of_day.format)
    seen = ("date and time of day stand in two columns, which are joined by a blank",)
    form_seen = (*date.seen, *of_day.seen)
    return TimeFound(fields, form, (date.column, of_day.column), is_zoned=False, seen=seen, form_seen=form_seen)


def _joined_format(date: str, of_day: str) -> str:
    is_iso = date == "%Y-%m-%d" and of_day in ("%H:%M:%S", "%H:%M:%S.%f")
    return "iso" if is_iso else f"{date} {of_day}"


def _preference(found: ColumnTime) -> tuple[float, ...]:
    """Names that speak of time come first, then what all rows have, then what has changed most often."""
    is_second = found.column.has(_SECOND_TIME_WORDS)
    changes = len(found.column.distinct) / max(1, len(found.column.texts))
    return found.column.has(_TIME_WORDS), not is_second, found.share, changes > 0.5, found.column.is_instant


def _time_of(column: Column) -> ColumnTime | None:
    """What a column says of the time; None if it says nothing of it."""
    texts = column.distinct[:_TEXTS_JUDGED]
    if column.is_instant:
        return ColumnTime(column, "instant", "iso", 1.0, is_zoned=True)
    iso = [found for text in texts if (found := _ISO.fullmatch(text))]
    if len(iso) >= 0.9 * len(texts) and iso:
        return _iso_time(column, texts, iso)
    is_digits = all(re.fullmatch(r"-?\d+([.,]\d*)?", text) for text in texts)
    if is_digits and (epoch := _epoch(column)):
        return epoch
    found = _formed(column, texts)
    if found is None or not is_digits or found.kind == "instant":
        return found
    # Digits of a date or a time of day alone may be anything, unless a name says that they are a time.
    return found if column.has(_TIME_WORDS) or column.is_unnamed else None


def _iso_time(column: Column, texts: Sequence[str], iso: Sequence[re.Match[str]]) -> ColumnTime:
    zoned = sum(1 for found in iso if found["zone"])
    seen: list[str] = []
    if 0 < zoned < len(iso):
        seen.append(f"{len(iso) - zoned} of {len(iso)} different times carry no zone, the others do")
    if len(iso) < len(texts):
        seen.append(_unfit(texts, (text for text in texts if not _ISO.fullmatch(text))))
    return ColumnTime(column, "instant", "iso", len(iso) / len(texts), zoned == len(iso), tuple(seen))


def _unfit(texts: Sequence[str], unfit: Iterable[str]) -> str:
    found = list(unfit)
    return f"of another form, so kept out, are {len(found)} of {len(texts)} different times: {_listed(found, 3)}"


def _epoch(column: Column) -> ColumnTime | None:
    """Numbers since 1970, told by their magnitude."""
    if not column.values or not (column.has(_TIME_WORDS) or column.name.lower() in ("t", "0", "column_1")):
        return None
    low, high = min(column.values), max(column.values)
    for form, power in (("epoch_s", 0), ("epoch_ms", 3), ("epoch_us", 6), ("epoch_ns", 9)):
        first, last = (second * 10**power for second in _EPOCH_SECONDS)
        if first <= low and high <= last:
            begin = datetime.fromtimestamp(low / 10**power, UTC).date()
            seen = (f"told by the magnitude of the numbers: the first would be of {begin}",)
            return ColumnTime(column, "instant", form, 1.0, is_zoned=True, seen=seen)
    return None


def _formed(column: Column, texts: Sequence[str]) -> ColumnTime | None:
    """Times of one of the forms of the tables at the top of the module."""
    if not any(_fits(text) for text in texts[:20]):
        return None
    fits = Counter(pattern for text in texts for pattern in _fits(text))
    most = max(fits.values(), default=0)
    if most < 0.9 * len(texts):
        return None
    order = {pattern: place for place, pattern in enumerate(_ordered(fits))}
    best = sorted((pattern for pattern, count in fits.items() if count == most), key=order.__getitem__)
    chosen, seen = _least_jumps(column, best) if len(best) > 1 else (best[0], ())
    seen += _day_first_seen(chosen, fits, texts) if len(best) == 1 else ()
    if most < len(texts):
        seen += (_unfit(texts, (text for text in texts if chosen not in _fits(text))),)
    has_date, has_time = "%d" in chosen, "%M" in chosen
    kind = "instant" if has_date and has_time else "date" if has_date else "time"
    return ColumnTime(column, kind, chosen, most / len(texts), "%z" in chosen or chosen.endswith(("Z", " UTC")), seen)


def _ordered(patterns: Iterable[str]) -> list[str]:
    """Patterns in the order of the tables."""

    def place(pattern: str) -> tuple[int, int]:
        dates = [i for i, date in enumerate(_DATES) if pattern.startswith(date)]
        times = [i for i, time in enumerate(_TIMES) if time in pattern]
        return (dates[-1] if dates else len(_DATES), times[-1] if times else len(_TIMES))

    return sorted(patterns, key=place)


def _least_jumps(column: Column, patterns: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Of several patterns that fit alike, the one by which rows follow each other most closely."""
    jumps: dict[str, float] = {}
    texts = column.texts[:_TEXTS_JUDGED]
    for pattern in patterns:
        instants = _parsed(texts, pattern)
        read = [instant for instant in instants if instant is not None]
        if len(read) == len(texts):
            jumps[pattern] = float(sum(abs(b - a) for a, b in pairwise(read)))
    if not jumps:
        return patterns[0], ()
    chosen = min(jumps, key=lambda pattern: jumps[pattern])
    others = [pattern for pattern in patterns if pattern != chosen]
    first = column.texts[0]
    doubt = f"AMBIGUOUS: {_shown(first)} may also be {_listed(others, 4)}, as no number is over 12"
    return chosen, (
        f"{doubt}; by this one rows follow each other most closely, or it is the more common one: check it",
    )


def _day_first_seen(chosen: str, fits: Mapping[str, int], texts: Sequence[str]) -> tuple[str, ...]:
    """Why the day is told from the month."""
    swapped = chosen.translate(str.maketrans("md", "dm"))
    if swapped == chosen or not re.match(r"%[md][/.\-]%[md]", chosen):
        return ()
    over = len(texts) - fits.get(swapped, 0)
    first = "the day comes first" if chosen.startswith("%d") else "the month comes first"
    return (f"{first}: {over} of {len(texts)} different texts would be no date otherwise",)


def _parsed(texts: Sequence[str], pattern: str) -> list[int | None]:
    """Microseconds since 1970 of texts, as the decoder reads them."""
    given = "SELECT unnest(range(len($texts))) AS place, unnest($texts) AS said"
    query = timed(given, "said", None, TimeReading(field="said", format=pattern), "UTC")
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'").fetchall()
        rows = con.execute(f"SELECT epoch_us(ts) FROM ({query}) ORDER BY place", {"texts": list(texts)}).fetchall()
    return [row[0] for row in rows]


@lru_cache(maxsize=1 << 16)
def _fits(text: str) -> frozenset[str]:
    """The strptime patterns of the tables that a text is of."""
    if not 3 < len(text) < 48 or not text[-1:].isalnum():
        return frozenset()
    # Hours and minutes with a point are as well a number.
    found = {time for time in _TIMES if time != "%H.%M" and _expression(time).fullmatch(text)}
    for date in _DATES:
        match = _expression(date).match(text)
        if match is None:
            continue
        rest = text[match.end() :]
        if not rest:
            found.add(date)
            continue
        for between in _BETWEEN:
            if rest.startswith(between) and (between or date == "%Y%m%d"):
                found |= {
                    f"{date}{between}{time}{zone}"
                    for zone in _ZONES
                    for time in _TIMES
                    if _expression(time + zone).fullmatch(rest[len(between) :])
                }
    return frozenset(found)


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    """A strptime pattern as a regular expression; digits that touch have to be all there."""
    touching = re.search(r"%[YmdHMS]%[YmdHMS]", pattern) is not None
    parts = (
        _DIRECTIVES[part].replace("0?", "0").replace("[01]?", "[01]").replace("[0-5]?", "[0-5]")
        if touching and part in _DIRECTIVES
        else _DIRECTIVES.get(part) or re.escape(part)
        for part in re.findall(r"%.|[^%]+", pattern)
    )
    return re.compile("".join(parts))


# --- What a row becomes ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shape:
    """What a row becomes, and what its values mean.

    Attributes:
        said: fields of the declaration.
        names_source: whether a row names its source.
    """

    said: tuple[Said, ...]
    names_source: bool


class Named(NamedTuple):
    """A field that was chosen, and why."""

    column: Column
    seen: tuple[str, ...] = ()


def _shape(table: Table, time: TimeFound) -> Shape:
    used = {column.name for column in time.columns}
    columns = [column for column in table.columns if column.name not in used and column.texts]
    return _long(columns, table) or _record(columns, table, time) or _wide(columns, table, time)


class Roles(NamedTuple):
    """What the columns of a table of single values say.

    Attributes:
        tag: names of tags.
        value: values.
        others: all else, of which a role is given at most once.
        status: statuses.
        source: names of sources.
        unit: units.
    """

    tag: Column
    value: Column
    others: Sequence[Column]
    status: Column | None = None
    source: Column | None = None
    unit: Column | None = None

    @property
    def unread(self) -> list[str]:
        """Names of columns without a role."""
        return [c.name for c in self.others if c not in (self.status, self.source, self.unit)]


def _long(columns: Sequence[Column], table: Table) -> Shape | None:
    """Rows of which each is one value of the tag that it names."""
    roles = _roles(columns, table)
    if roles is None:
        return None
    tag, value = roles.tag, roles.value
    seen = [f"each row is one value: {_shown(tag.name)} has {len(tag.distinct)} different names in {table.rows} rows"]
    if roles.unread:
        seen.append(f"not read: {_listed(roles.unread)}")
    said = [Said("tag", tag.name), Said("value", value.name, _odd_seen([value]))]
    words: tuple[Said, ...] = ()
    if roles.status is not None:
        status_said, words = _status(roles.status)
        said.append(status_said)
    if roles.source is not None:
        said.append(Said("source", roles.source.name, (_sources_seen(roles.source),)))
    if roles.unit is not None:
        said.append(Said("unit", roles.unit.name))
    groups: dict[str, list[float]] = {}
    for name, found in zip(tag.cells, value.numbers, strict=True):
        if name and found is not None:
            groups.setdefault(name, []).append(found)
    shape = (Said("long", tuple(said), tuple(seen)), *_values_said(groups, value.missing, words))
    return Shape(shape, roles.source is not None)


def _roles(columns: Sequence[Column], table: Table) -> Roles | None:
    """Which columns hold tag, value and what belongs to them; None if rows are no single values."""
    value = _hinted_value(columns, table)
    # What a document says of itself is not the status of a value in it.
    stated = [c for c in columns if c.has(_STATUS_WORDS) and not c.name.startswith("$.") and len(c.distinct) <= 50]
    statuses = [c for c in stated if c is not value]
    units = [c for c in columns if c.has(_UNIT_WORDS) and c.is_text and c.repeats and len(c.distinct) <= 200]
    rest = [c for c in columns if c is not value and c not in statuses and c not in units]
    named = [c for c in rest if c.has(_TAG_WORDS) and c.repeats and not c.has(_SOURCE_WORDS - {"sensorid"})]
    texts = [c for c in rest if c.is_text and c.repeats and (c.has(_TAG_WORDS) or not c.has(_SOURCE_WORDS))]
    numbers = [c for c in rest if c.is_number and c not in named]
    if value is None and len(numbers) == 1 and (named or len(texts) == 1) and len(rest) <= (8 if named else 4):
        value = numbers[0]
    tag = next(iter((*named, *texts)), None)
    if value is None or tag is None:
        return None
    left = [c for c in columns if c is not tag and c is not value]
    sources = (c for c in left if c.has(_SOURCE_WORDS) and c.repeats and len(c.texts) == table.rows and c in rest)
    return Roles(tag, value, left, next(iter(statuses), None), next(sources, None), next(iter(units), None))


def _hinted_value(columns: Sequence[Column], table: Table) -> Column | None:
    """A column whose name says that it holds values; numbers first."""
    hinted = [c for c in columns if c.has(_VALUE_WORDS) and not c.has(_TAG_WORDS - {"measurement"})]
    varied = [c for c in hinted if len(c.distinct) > 1 or table.rows == 1]
    return next((c for c in (*hinted, *varied) if c.is_number), None) or next(iter(varied), None)


def _sources_seen(column: Column) -> str:
    return f"{len(column.distinct)} sources: {_listed(column.distinct, 4)}"


def _record(columns: Sequence[Column], table: Table, time: TimeFound) -> Shape | None:
    """Rows that are records of things that happened, such as work orders: mostly words."""
    texts = [c for c in columns if c.is_text]
    numbers = [c for c in columns if c.is_number]
    has_sentences = any(
        sum(" " in text for text in c.distinct) > 0.3 * len(c.distinct) and len(c.distinct) > 0.2 * len(c.texts)
        for c in texts
    )
    if len(texts) < 3 or len(texts) < len(numbers) or not has_sentences:
        return None
    words = f"{len(texts)} of {len(columns)} columns hold words, some of them sentences"
    seen = (
        f"{words}: a row is taken for a record, such as a work order",
        "its model is still to be written: idm model new <Model> --kind record",
        "if the columns are tags instead, put here wide: {}",
    )
    index = _index(columns, table)
    said = [Said("model", _model_name(texts), ("the name of the model, which says what the fields mean",))]
    if index is not None or table.is_named:
        only = [c.name for c in columns if c is not index]
        why = (f"without {_shown(index.name)}, which only counts the rows",) if index is not None else ()
        said.append(Said("only", [*only, *(c.name for c in time.columns)], why))
    return Shape((Said("record", tuple(said), seen),), names_source=False)


def _model_name(texts: Sequence[Column]) -> str:
    """Nothing in a table says what its records are."""
    is_order = any(c.has(_words("pmtype wo workorder order maintenance")) for c in texts)
    return "WorkOrder" if is_order else "MyRecord"


def _index(columns: Sequence[Column], table: Table) -> Column | None:
    """A column that only counts the rows, as exports of data frames have it."""
    unnamed = [column for column in columns if column.is_unnamed]
    for column in columns:
        is_unnamed = unnamed == [column] or column.words & _words("index unnamed row nr no rownum")
        steps = {b - a for a, b in pairwise(column.values)}
        if is_unnamed and len(column.values) == table.rows > 1 and steps == {1.0}:
            return column
    return None


def _wide(columns: Sequence[Column], table: Table, time: TimeFound) -> Shape:
    """Rows with a column per tag."""
    index = _index(columns, table)
    source = _source_column([c for c in columns if c is not index], table, time)
    left = [c for c in columns if c is not index and (source is None or c is not source.column)]
    said: list[Said] = []
    if source is not None:
        said.append(Said("source", source.column.name, source.seen))
    if table.is_named:
        said.append(Said("columns", tuple(Said(tag, c.name) for tag, c in zip(_tags(left), left, strict=True))))
    elif index is not None:
        said.append(Said("without", [index.name], ("it only counts the rows",)))
    texts = [c.name for c in left if c.is_text]
    seen = [f"a column per tag: {len(left)} tags, of which {sum(c.is_number for c in left)} hold numbers"]
    if texts:
        seen.append(f"kept as text: {_listed(texts)}")
    seen += _odd_seen([c for c in left if c.is_number])
    groups = {c.name: c.values for c in left if c.is_number}
    missing = sorted({text for c in left if c.is_number or c.odd.keys() <= {*c.missing} for text in c.missing})
    return Shape((Said("wide", tuple(said), tuple(seen)), *_values_said(groups, missing, ())), source is not None)


def _tags(columns: Sequence[Column]) -> list[str]:
    """Short names for fields that are paths, where these are distinct."""
    short = [re.split(r"[.\]]", c.name)[-1] or c.name for c in columns]
    return short if len(set(short)) == len(short) else [c.name for c in columns]


def _source_column(columns: Sequence[Column], table: Table, time: TimeFound) -> Named | None:
    """A column that tells from which thing a row comes, beside columns with its values."""
    keys = time.keys()
    alone = len(set(keys))
    ranked: list[tuple[tuple[float, ...], Column, int]] = []
    for column in columns:
        is_key = column.is_text or all(v == int(v) for v in column.values)
        if len(column.texts) < table.rows or not column.repeats or not is_key or len(columns) < 2 or column.is_flag:
            continue
        together = len(set(zip(keys, column.cells, strict=True)))
        is_source, is_id = column.has(_SOURCE_WORDS | {"topic"}), column.has(_KEY_WORDS | {"topic"})
        needed = alone < 0.95 * table.rows and together > 0.98 * table.rows and column.is_text
        if (is_source and (is_id or column.is_text)) or needed:
            ranked.append(((is_source, is_source and is_id, together), column, together))
    if not ranked:
        return None
    _, best, together = max(ranked, key=lambda found: found[0])
    seen = [_sources_seen(best)]
    if together > alone:
        seen.append(f"{alone} different times in {table.rows} rows, {together} different times of a source")
    return Named(best, tuple(seen))


def _odd_seen(columns: Sequence[Column]) -> tuple[str, ...]:
    """Texts in columns of numbers."""
    odd = Counter({t: n for c in columns for t, n in c.odd.items() if t.lower() not in _MISSING and c.is_number})
    if not odd:
        return ()
    return (f"cells among numbers that are none, {sum(odd.values())} in all, are kept as text: {_listed(odd, 4)}",)


# --- Statuses, missing values, sentinels -----------------------------------------------------------------------------


def _status(column: Column) -> tuple[Said, tuple[Said, ...]]:
    """The field of the status, and how statuses are read."""
    counts = Counter(text.strip() for text in column.texts)
    shown = ", ".join(f"{_shown(text)} {count} times" for text, count in counts.most_common(6))
    known = {name.lower() for name, _ in symbols().values()}
    said = Said("status", column.name, (f"seen: {shown}",))
    if all(text.isdecimal() for text in counts):
        codes = [int(text) for text in counts]
        if all(code == 0 or code >= 1 << 30 for code in codes):
            doubt = ("all are 0, which is good in OPC UA and bad in OPC DA: check it",) if codes == [0] else ()
            return replace(said, seen=(*said.seen, *doubt)), ()
        if max(codes) <= 65_535 and any(code & 192 == 192 for code in codes):
            return said, (Said("scale", "opc_da", ("192 is good in OPC DA",)),)
    words = [
        Said(text.lower(), symbol or "Uncertain", () if symbol else ("not a known word: say what it means",))
        for text in sorted({text.lower() for text in counts} - known)
        for symbol in [_STATUS_MEANINGS.get(text)]
    ]
    if not words:
        return said, ()
    return said, (Said("words", tuple(words), ("what these words mean is a guess",)),)


def _values_said(
    groups: Mapping[str, Sequence[float]], missing: Sequence[str], words: tuple[Said, ...]
) -> tuple[Said, ...]:
    """How statuses are read, and which values stand for none."""
    said = list(words)
    if missing:
        said.append(Said("missing", list(missing), ("these texts stand among numbers; they become BadNoData",)))
    found = _sentinels(groups)
    if not found:
        return (Said("status", tuple(said)),) if said else ()
    values = [int(value) if value == int(value) else value for value in found]
    seen = [
        f"{value:g} comes {sum(n.values())} times, far from all else, in {_listed(n, 4)}: no measurement?"
        for value, n in found.items()
    ]
    proposed = Said("sentinels", values, (*seen, "if so, switch this on; it holds for all tags"), "suggested")
    if said:
        return (Said("status", (*said, proposed)),)
    return (Said("status", (replace(proposed, seen=()),), proposed.seen, "suggested"),)


def _sentinels(groups: Mapping[str, Sequence[float]]) -> dict[float, dict[str, int]]:
    """Values that recur as an extreme far from the rest, with how often they come in which tag."""
    certain = {value for values in groups.values() for value in _far(values)}
    found: dict[float, dict[str, int]] = {}
    for name, values in groups.items():
        if values:
            ends = (min(values), max(values))
            for value in certain & {*ends}:
                found.setdefault(value, {})[name] = values.count(value)
    return dict(sorted(found.items()))


def _far(values: Sequence[float]) -> Iterator[float]:
    """The least and the largest value, if they cannot be of a kind with the others."""
    if len(values) < 20:
        return
    for value in {min(values), max(values)}:
        rest = [v for v in values if v != value]
        if len(rest) < 10:
            continue
        low, *_, high = quantiles(rest, n=100)
        spread = max(high - low, 1e-12)
        gap = min(abs(value - min(rest)), abs(value - max(rest)))
        is_known = value in _KNOWN_SENTINELS
        is_whole = value == int(value) and abs(value) > 50
        recurs = values.count(value) >= 3
        is_varied = len(set(rest)) >= 10
        is_usual = is_known and gap >= 10 and gap > (0.25 if recurs else 20) * spread
        if is_usual or (is_whole and recurs and is_varied and gap > 3 * spread):
            yield value


# --- Delimited text --------------------------------------------------------------------------------------------------


def _delimited(sample: Sample) -> Finding | Unrecognised | None:
    """CSV and TSV in any dialect."""
    encoding, seen_encoding = _encoding(sample.head)
    if encoding is None:
        return None
    lines = _lines(sample, encoding)
    dialect = _dialect(lines, sample)
    if dialect is None:
        return None
    path = sample.folder / "sample.csv"
    path.write_bytes(b"".join(as_utf8([_unmarked(sample, encoding)], encoding_of(sample.head, encoding)[0])))
    day = _day(sample, lines[: dialect.preamble])
    options = {**dialect.options, "units": _units_of(lines, dialect)}
    options = {name: value for name, value in options.items() if value != ""}
    format_name = "tsv" if dialect.delimiter == "\t" else "csv"
    table = _read_table(sample, path, format_name, options)
    if isinstance(table, str):
        return Unrecognised(f"It looks like delimited text, but {table}", template(format_name))
    said = _dialect_said(options, dialect, table)
    if day is not None and day.pattern and any("{day}" in found.fields for found in [_time_found(table, day)] if found):
        said = (*said, Said("facts", day.pattern, ("the date stands in the lines before the header",)))
    if encoding != "utf-8":
        said = (Said("encoding", encoding, seen_encoding), *said)
    what = f"delimited text of {len(table.columns)} columns"
    return _table_finding(table, what, format_name, said, day)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How text becomes cells.

    Attributes:
        delimiter: between cells.
        quote: around cells.
        decimal: decimal sign.
        thousands: between groups of digits.
        preamble: lines before the header.
        header: lines that name the columns.
        comment: what lines begin with that are none.
        width: cells of most lines.
        doubt: what is not sure about numbers.
    """

    delimiter: str
    quote: str
    width: int
    decimal: str = "."
    thousands: str = ""
    preamble: int = 0
    header: int = 1
    comment: str = ""
    doubt: str = ""

    @property
    def options(self) -> dict[str, Any]:
        """As options of the format, only what differs from its defaults."""
        usual = {"delimiter": ",", "quote": '"', "decimal": ".", "thousands": "", "preamble": 0, "comment": ""}
        said = {name: getattr(self, name) for name in usual if getattr(self, name) != usual[name]}
        if said.get("delimiter") == "\t":
            del said["delimiter"]
        return said | ({"header": self.header} if self.header != 1 else {})


def _encoding(head: bytes) -> tuple[str | None, tuple[str, ...]]:
    """Python codec of a text and why; ``utf-8`` where a byte-order mark decides, None where the bytes are no text."""
    marked, mark = encoding_of(head, "utf-8")
    if mark or marked != "utf-8":
        return "utf-8", ()
    if b"\x00" in head[:4096]:
        for encoding, odd in (("utf-16-le", head[1:4096:2]), ("utf-16-be", head[:4096:2])):
            if odd.count(0) > 0.4 * len(odd):
                return encoding, ("every other byte is zero, as in UTF-16 without a byte-order mark",)
        return None, ()
    try:
        # The sample may end within a character.
        head.decode("utf-8") if len(head) < SAMPLE_BYTES else head[: head.rfind(b"\n") + 1].decode("utf-8")
    except UnicodeDecodeError as error:
        if kind_of(head[:HEAD_BYTES]) not in ("text", "json", "xml"):
            return None, ()
        why = f"byte {error.start + 1} is no UTF-8; Western European of Windows is a guess, check the letters"
        return "windows-1252", (why,)
    return ("utf-8", ()) if kind_of(head[:HEAD_BYTES]) == "text" else (None, ())


def _unmarked(sample: Sample, encoding: str) -> bytes:
    """The text of a sample without its byte-order mark, and without the line that it breaks off in."""
    real, mark = encoding_of(sample.head, encoding)
    head = sample.head
    if not sample.is_whole and b"\n" in head:
        # In UTF-16 of this order the other byte of the line end follows.
        head = head[: head.rfind(b"\n") + 1 + (real == "utf-16-le")]
    return head[mark:].removeprefix(codecs.BOM_UTF8)


def _lines(sample: Sample, encoding: str) -> list[str]:
    """The first lines as text."""
    text = _unmarked(sample, encoding).decode(encoding_of(sample.head, encoding)[0], "replace")
    return [line.removesuffix("\r")[:_LINE_CHARACTERS] for line in text.split("\n", _LINES_JUDGED)[:_LINES_JUDGED]]


def _dialect(lines: Sequence[str], sample: Sample) -> Dialect | None:
    """The dialect by which lines fall into equally many cells; None if there is none."""
    comment = _comment_sign(lines)
    judged = [line for line in lines if line.strip() and not (comment and line.startswith(comment))]
    if not judged:
        return None
    best: tuple[tuple[float, ...], str, str, int] | None = None
    sniffed = _sniffed(judged, sample.folder)
    for delimiter, quote in dict.fromkeys([*sniffed, *((d, '"') for d in ",;\t|^~")]):
        rows = [cells for line in judged if (cells := _cells(line, delimiter, quote)) is not None]
        widths = Counter(len(cells) for cells in rows)
        width, count = max(widths.items(), key=lambda found: (found[1] * (found[0] > 1), found[0]), default=(1, 0))
        share = count / len(judged)
        if width < 2 or share < 0.6 or len(judged) - count > max(30, 0.2 * len(judged)):
            continue
        others = set(";\t|") - {delimiter}
        foreign = sum(any(o in cell for o in others) for cells in rows for cell in cells) / (count * width)
        rank = (foreign < 0.05, round(share, 2), (delimiter, quote) in sniffed, delimiter != ",", width)
        if best is None or rank > best[0]:
            best = rank, delimiter, quote, width
    if best is None:
        return None
    _, delimiter, quote, width = best
    dialect = Dialect(delimiter, quote, width, comment=comment)
    rows = [_cells(line, delimiter, quote) for line in lines]
    return _with_header(_with_numbers(dialect, rows), rows, lines)


def _sniffed(lines: Sequence[str], folder: Path) -> list[tuple[str, str]]:
    """Delimiter and quote as DuckDB's sniffer finds them, which knows single quotes too; one or none."""
    path = folder / "sniffed.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="replace")
    try:
        with duckdb.connect() as con:
            found = con.execute(f"SELECT delimiter, quote FROM sniff_csv({literal(str(path))})").fetchall()
    except duckdb.Error:
        # It gives up on what is no table, which is for the others to find.
        return []
    return [(d, q if len(q) == 1 else '"') for d, q in found if len(d) == 1 and not d.isspace() and not d.isalnum()]


def _cells(line: str, delimiter: str, quote: str) -> list[str] | None:
    """Cells of a line; None if it cannot be split."""
    try:
        return next(csv.reader([line], delimiter=delimiter, quotechar=quote, skipinitialspace=True), list[str]())
    except csv.Error:
        return None


def _comment_sign(lines: Sequence[str]) -> str:
    """What lines begin with that are no rows, where such lines stand between the rows too."""
    for sign in ("#", "//", "%"):
        found = [place for place, line in enumerate(lines) if line.startswith(sign)]
        if found and found[-1] > len(found) and len(found) < 0.5 * len(lines):
            return sign
    return ""


_STYLES: Final = ((".", ""), (",", ""), (".", ","), (",", "."), (".", "'"), (",", "'"), (",", " "), (".", " "),
                  (",", "\u00a0"), (".", "\u00a0"), (",", "\u202f"), (".", "\u202f"))  # fmt: skip
"""Decimal sign and sign between groups of three digits, the common ones first."""


def _with_numbers(dialect: Dialect, rows: Sequence[list[str] | None]) -> Dialect:
    """The dialect with the signs by which most cells are numbers."""
    cells = Counter(c.strip() for row in rows if row and len(row) == dialect.width for c in row if c.strip())
    usable = [(d, t) for d, t in _STYLES if t != dialect.delimiter]
    read = {style: sum(n for c, n in cells.items() if _is_number(c, *style)) for style in usable}
    decimal, thousands = max(usable, key=lambda style: read[style])
    if (decimal, thousands) == (".", ""):
        return dialect
    rivals = [s for s in usable if read[s] == read[decimal, thousands] and s[0] != decimal]
    example = next((c for c in cells if _is_number(c, decimal, thousands) and not _is_number(c, ".", "")), "")
    doubt = f"as in {_shown(example)}, {read[decimal, thousands] - read['.', '']} cells are numbers only this way"
    if rivals:
        doubt += "; AMBIGUOUS: the sign may as well stand between thousands, check it"
    return replace(dialect, decimal=decimal, thousands=thousands, doubt=doubt)


def _is_number(cell: str, decimal: str, thousands: str) -> bool:
    if re.fullmatch(NUMBER, cell.replace(decimal, ".") if decimal not in ("", ".") and "." not in cell else cell):
        # With a decimal comma a point is none, and the other way round.
        return decimal == "." or "." not in cell
    if not thousands:
        return False
    mark, sign = re.escape(thousands), re.escape(decimal)
    return re.fullmatch(rf"[-+]?\d{{1,3}}({mark}\d{{3}})+({sign}\d*)?", cell) is not None


def _is_typed(cell: str, dialect: Dialect) -> bool:
    """Whether a cell is a number or a time, which names of columns are not."""
    return _is_number(cell, dialect.decimal, dialect.thousands) or bool(_ISO.fullmatch(cell)) or bool(_fits(cell))


def _with_header(dialect: Dialect, rows: Sequence[list[str] | None], lines: Sequence[str]) -> Dialect:
    """The dialect with the lines before the rows."""
    full = [place for place, row in enumerate(rows) if row and _is_full(row, dialect) and lines[place].strip()]
    later = [rows[place] or [] for place in full[len(full) // 2 :]][:200]
    typed = [i for i in range(dialect.width) if _share_typed(later, i, dialect) > 0.8]
    if not typed:
        first = full[0] if full else 0
        return replace(dialect, preamble=first)
    start = next((place for place in full if _is_row(rows[place] or [], typed, dialect)), full[0])
    header: list[int] = []
    for place in range(start - 1, max(-1, start - 4), -1):
        row = rows[place]
        if not row or not _is_heading(row, dialect, is_above=bool(header)):
            break
        header.append(place)
    first = header[-1] if header else start
    return replace(dialect, preamble=first, header=len(header))


def _is_full(row: Sequence[str], dialect: Dialect) -> bool:
    return len(row) == dialect.width or (len(row) > dialect.width and not any(row[dialect.width :]))


def _share_typed(rows: Sequence[Sequence[str]], place: int, dialect: Dialect) -> float:
    cells = [row[place].strip() for row in rows if place < len(row) and row[place].strip()]
    known = [cell for cell in cells if cell.lower() not in _MISSING]
    return sum(_is_typed(cell, dialect) for cell in known) / len(known) if known else 0.0


def _is_row(row: Sequence[str], typed: Sequence[int], dialect: Dialect) -> bool:
    cells = [row[i].strip() for i in typed if i < len(row) and row[i].strip()]
    return bool(cells) and sum(_is_typed(c, dialect) or c.lower() in _MISSING for c in cells) > 0.7 * len(cells)


def _is_heading(row: Sequence[str], dialect: Dialect, *, is_above: bool) -> bool:
    """Whether cells name columns: most are filled, none is a number; of a line above another, as many as columns."""
    filled = [cell.strip() for cell in row if cell.strip()]
    enough = len(filled) >= (0.5 if not is_above else 0.6) * dialect.width
    return len(row) >= min(2, dialect.width) and enough and not any(_is_typed(cell, dialect) for cell in filled)


def _units_of(lines: Sequence[str], dialect: Dialect) -> str:
    """Whether the names of the columns end in units in brackets."""
    header = lines[dialect.preamble : dialect.preamble + dialect.header]
    cells = [c.strip() for line in header for c in _cells(line, dialect.delimiter, dialect.quote) or []]
    return "in_brackets" if _have_units(cells) else ""


def _have_units(cells: Sequence[str]) -> bool:
    """Whether what stands in brackets behind names are units, for the most part."""
    found = [c for c in cells if c.endswith(("]", ")")) and max(c.rfind("["), c.rfind("(")) >= 0]
    known = [c for c in found if _is_unit(c[max(c.rfind("["), c.rfind("(")) + 1 : -1].strip())]
    return len(known) > 0.5 * len(found)


def _is_unit(text: str) -> bool:
    # Degrees that were encoded twice are still degrees.
    text = text.replace("\u00c2\u00b0", "°").replace("\u00c2", "")
    return text in _UNITS or text in ("", "-") or symbol_of_display_name(text) is not None


def _dialect_said(options: Mapping[str, Any], dialect: Dialect, table: Table) -> tuple[Said, ...]:
    first = table.columns[0].name if table.columns else ""
    seen: dict[str, tuple[str, ...]] = {
        "decimal": (dialect.doubt,) if dialect.decimal != "." else (),
        "thousands": (dialect.doubt,) if dialect.decimal == "." else (),
        "preamble": ("lines before the one that names the columns",),
        "units": ("the names of the columns end in units",),
        "comment": ("such lines stand between the rows",),
        "header": (
            (f"no line names the columns; name them instead of {_shown(first)} and so on: columns: [...]",)
            if dialect.header == 0
            else (f"the names of the columns are made of {dialect.header} lines",)
        ),
    }  # fmt: skip
    return tuple(Said(name, value, seen.get(name, ())) for name, value in options.items())


def _day(sample: Sample, preamble: Sequence[str]) -> Day | None:
    """A date outside of the rows: in the name of the file, else in the lines before the header."""
    named = _path_seen(sample)
    if named.day is not None:
        return Day(named.day_format, f"the file's name, {_shown(named.day)}")
    for digits, form in _DATES_OF_NAMES:
        for line in preamble:
            if next(_dates_in(line, digits, form), None) is not None:
                return Day(form, f"a line before the header, {_shown(line)}", rf"\b(?P<day>{digits})\b")
    return None


# --- Columnar files and workbooks ------------------------------------------------------------------------------------


def _columnar(sample: Sample) -> Finding | Unrecognised | None:
    """Parquet and Arrow, by their signatures."""
    kind = kind_of(sample.head[:HEAD_BYTES])
    if kind not in ("parquet", "arrow"):
        return None
    table = _read_table(sample, sample.path, kind, {})
    if isinstance(table, str):
        return Unrecognised(f"It looks like {kind}, but {table}", template(kind))
    return _table_finding(table, f"{kind} of {len(table.columns)} columns", kind, (), _day(sample, ()))


_SHEETS_JUDGED: Final = 8
_ROWS_BEFORE: Final = 20


def _workbook(sample: Sample) -> Finding | Unrecognised | None:
    """XLSX: a zip that the survey left whole, as it is an Office document; the first sheet that holds a table."""
    if kind_of(sample.head[:HEAD_BYTES]) != "zip":
        return None
    why = ""
    for sheet in range(1, _SHEETS_JUDGED + 1):
        found = _sheet(sample, sheet)
        if isinstance(found, Finding):
            return found
        if found is None:
            break
        why = why or found.why
    return Unrecognised(f"It looks like a workbook. {why or 'It has no sheet that can be read.'}", template("xlsx"))


def _sheet(sample: Sample, sheet: int) -> Finding | Unrecognised | None:
    """What a sheet of a workbook means; None if there is no such sheet."""
    options: dict[str, Any] = {"sheet": sheet} if sheet > 1 else {}
    try:
        heads = _heads(sample, options)
    except UndecodableFile as error:
        return None if sheet > 1 else Unrecognised(f"{error.reason}: {error.detail}.")
    if not heads:
        return Unrecognised(f"Nothing is in the first {_ROWS_BEFORE} rows of sheet {sheet}.")
    preamble = max(heads, key=lambda place: (len(heads[place]), -place))
    names = heads[preamble]
    is_bare = any(_is_typed(name, Dialect(",", '"', 0)) for name in names)
    said = [
        *(Said(name, value, ("the first sheet that holds a table",)) for name, value in options.items()),
        *([Said("preamble", preamble, ("rows before the one that names the columns",))] if preamble else []),
        *([Said("header", 0, ("no row names the columns",))] if is_bare else []),
        *([Said("units", "in_brackets", ("the names of the columns end in units",))] if _have_units(names) else []),
    ]
    table = _read_table(sample, sample.path, "xlsx", {option.key: option.value for option in said})
    if isinstance(table, str):
        return Unrecognised(f"Sheet {sheet}: {table}")
    what = f"sheet {sheet} of a workbook, of {len(table.columns)} columns"
    return _table_finding(table, what, "xlsx", tuple(said), _day(sample, ()))


def _heads(sample: Sample, options: Mapping[str, Any]) -> dict[int, Sequence[str]]:
    """The names that columns would have, by the number of rows before them.

    Raises:
        UndecodableFile: there is no such sheet, or no workbook at all.
    """
    file = PreparedFile(number=0, path=sample.path, source="", lines=0, plain=True)
    heads: dict[int, Sequence[str]] = {}
    for preamble in range(_ROWS_BEFORE):
        rows: Any = row_format_for("xlsx", {**options, "preamble": preamble})
        try:
            heads[preamble] = rows.head(file).names
        except UndecodableFile as error:
            if error.reason != HEADER_MISSING:
                raise
    return heads


# --- JSON ------------------------------------------------------------------------------------------------------------


def _json(sample: Sample) -> Finding | Unrecognised | None:
    """JSON: messages of OPC UA or Sparkplug B, else rows."""
    if kind_of(sample.head[:HEAD_BYTES]) != "json":
        return None
    found = [d for d in islice(elements(sample.path), _DOCUMENTS_JUDGED) if isinstance(d, Document)]
    objects = [document.value for document in found if isinstance(document.value, dict)]
    if not objects:
        return Unrecognised("It looks like JSON, but no object was found in it.", template("json"))
    return _sparkplug(objects) or _pubsub(objects) or _json_rows(sample, found, objects)


def _sparkplug(objects: Sequence[dict[str, Json]]) -> Finding | None:
    """Recorded messages of Sparkplug B, by their topics."""
    for topic in objects[0]:
        topics = [text for found in objects if (text := _string(found.get(topic)))]
        if not any(text.startswith("spBv1.0/") for text in topics):
            continue
        texts = {
            name: [text for found in objects if (text := _string(found.get(name)))]
            for name in objects[0]
            if name != topic
        }
        is_hex = {
            name: bool(t) and all(re.fullmatch(r"(?:[0-9a-fA-F]{2})+", x) for x in t) for name, t in texts.items()
        }
        payloads = [n for n, t in texts.items() if t and all(re.fullmatch(r"[A-Za-z0-9+/=\s]{4,}", x) for x in t)]
        payloads.sort(key=lambda name: (name != "payload", -sum(map(len, texts[name]))))
        if not payloads:
            continue
        options = [Said("recording", "jsonl")]
        if topic != "topic":
            options.append(Said("topic", topic))
        if payloads[0] != "payload":
            options.append(Said("payload", payloads[0]))
        if is_hex[payloads[0]]:
            options.append(Said("payload_encoding", "hex", ("all digits are hexadecimal",)))
        options += _received(objects, {topic, payloads[0]})
        what = f"Sparkplug B messages as JSON lines, {len(topics)} of {len(objects)} with a topic of it"
        return Finding(what, "sparkplug_b", tuple(options), names_source=True)
    return None


def _string(value: Json) -> str:
    """What a string says; nothing for all else."""
    return value if isinstance(value, str) and not isinstance(value, Written) else ""


def _received(objects: Sequence[dict[str, Json]], used: set[str]) -> list[Said]:
    """The option that says when a message was received."""
    for name in objects[0]:
        if name in used:
            continue
        texts = [str(found[name]) for found in objects if found.get(name) is not None]
        numbers = [float(text) if re.fullmatch(NUMBER, text) else None for text in texts]
        # That something here says when a message came needs no name.
        time = _time_of(Column("time", texts, numbers)) if texts else None
        if time is None or time.format not in ("iso", "epoch_s", "epoch_ms", "epoch_us"):
            continue
        said = [] if name == "received" else [Said("received", name, ("when messages arrived",))]
        return said + ([] if time.format == "iso" else [Said("received_format", time.format, time.seen)])
    return []


_ENQUEUED: Final = ("enqueuedTime", "enqueuedTimeUtc", "EnqueuedTimeUtc")
_MESSAGE_TIMES: Final = ("Timestamp", "SourceTimestamp", "ServerTimestamp", "Time", "ReceiveTime")


def _pubsub(objects: Sequence[dict[str, Json]]) -> Finding | None:
    """OPC UA PubSub messages, by their members."""
    messages = [message for found in objects for message in _messages(found)]
    named = [m for m in messages if _is_pubsub(m)]
    if not named or len(named) < 0.5 * len(messages):
        return None
    has_publisher = any("PublisherId" in m or "ApplicationUri" in m or "EndpointUrl" in m for m in named)
    options: list[Said] = []
    names = [name for m in named for name in ("DataSetWriterName", "DataSetWriterId") if name in m]
    if not has_publisher and names:
        options.append(Said("source", "writer", ("no message has a PublisherId",)))
    untimed = [found for found in objects if not _has_member(found, _MESSAGE_TIMES)]
    if any(_has_member(found, _ENQUEUED) for found in untimed):
        options.append(Said("missing_time", "enqueued", ("some messages have no time; that of the hub is taken",)))
    what = f"OPC UA PubSub messages in JSON, {len(named)} of {len(messages)} with their members"
    # What has no publisher is of the source that the declaration names.
    return Finding(what, "opcua_pubsub", tuple(options), names_source=False)


def _messages(found: Json) -> Iterator[dict[str, Json]]:
    """The messages in a document: within the envelope of a hub, and in lists."""
    if isinstance(found, list):
        for item in found[:_DOCUMENTS_JUDGED]:
            yield from _messages(item)
    elif isinstance(found, dict):
        body = found.get("body", found.get("Body"))
        if isinstance(body, dict | list):
            yield from _messages(body)
        else:
            yield found


def _is_pubsub(message: Mapping[str, Json]) -> bool:
    kind = message.get("MessageType")
    is_said = isinstance(kind, str) and kind.startswith("ua-")
    is_data_set = "Payload" in message and bool(
        {"DataSetWriterId", "DataSetWriterName", "SequenceNumber", "MetaDataVersion"} & message.keys()
    )
    return is_said or is_data_set or ("NodeId" in message and "Value" in message)


def _has_member(found: Json, names: Sequence[str], depth: int = 6) -> bool:
    """Whether a member of one of some names lies anywhere within a value."""
    if depth and isinstance(found, dict):
        return any(name in found for name in names) or any(
            _has_member(inner, names, depth - 1) for inner in found.values()
        )
    if depth and isinstance(found, list):
        return any(_has_member(item, names, depth - 1) for item in found[:100])
    return False


def _json_rows(sample: Sample, found: Sequence[Document], objects: Sequence[dict[str, Json]]) -> Finding | Unrecognised:
    """JSON of which each document, or each item in one, is a row."""
    lines = [line for line in sample.head.split(b"\n")[:_LINES_JUDGED] if line.strip()]
    lines = lines if sample.is_whole or len(lines) == 1 else lines[:-1]
    is_lines = len(lines) > 1 and all(line.strip().startswith(b"{") and line.strip().endswith(b"}") for line in lines)
    format_name = "json_lines" if is_lines else "json"
    layout = _json_layout(objects)
    options = {said.key: said.value for said in layout.said}
    path = sample.folder / "sample.json"
    path.write_text("\n".join(document.text for document in found), encoding="utf-8", errors="replace")
    table = _read_table(sample, path, format_name, options, layout.names)
    if isinstance(table, str):
        return Unrecognised(f"It looks like JSON, but {table}", template(format_name))
    filled = tuple(column for column in table.columns if column.texts)
    what = f"{'JSON lines' if is_lines else 'JSON documents'} with {len(filled)} fields in a row"
    named = replace(table, columns=filled, is_named=True)
    return _table_finding(named, what, format_name, layout.said, _day(sample, ()))


@dataclass(frozen=True, slots=True)
class JsonSeen:
    """Where rows are in documents.

    Attributes:
        said: options of the format.
        names: fields of a row.
    """

    said: tuple[Said, ...]
    names: tuple[str, ...]


def _json_layout(objects: Sequence[dict[str, Json]]) -> JsonSeen:
    """Rows are the documents, or the deepest lists of objects in them, or the members of an object whose names vary."""
    rows: list[Json] = list(objects)
    way, names = "$", list[str]()
    while (inner := _list_within(rows)) is not None:
        # What stands around the list belongs to each of its items.
        names += [f"{way}{_member(path)}" for path in _scalars(rows) if path != inner]
        way += f"{_member(inner)}[*]"
        rows = [item for row in rows for item in _list_at(row, inner)][: 4 * _DOCUMENTS_JUDGED]
    said = () if way == "$" else (Said("items", way, (f"{len(rows)} items in {len(objects)} documents",)),)
    entries = _varying(rows)
    if entries is None:
        return JsonSeen(said, tuple(dict.fromkeys([*_scalars(rows), *names])))
    path, found = entries
    seen = (f"the names in it differ from row to row, {len(found)} in all: {_listed(found, 4)}",)
    inner_names = [name for name in _scalars(rows) if name != path and not name.startswith(f"{path}.")]
    members = [found for row in rows for found in _members_at(row, path).values()]
    values = [f"value.{name}" for name in _scalars(members)] or ["value"]
    return JsonSeen((*said, Said("entries", path, seen)), tuple(dict.fromkeys(["key", *values, *inner_names, *names])))


def _scalars(rows: Sequence[Json], limit: int = _COLUMNS_JUDGED) -> list[str]:
    """Dotted names of all scalars in rows; of a row that is a list, its places."""
    found: dict[str, None] = {}
    for row in rows:
        for name in _names_in(row):
            found.setdefault(name)
        if len(found) >= limit:
            break
    return list(found)[:limit]


def _names_in(value: Json, prefix: str = "", depth: int = 8) -> Iterator[str]:
    members: Iterable[tuple[str, Json]] = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list) and not prefix:
        members = ((str(place), item) for place, item in enumerate(value[:20]))
    for name, inner in members:
        full = f"{prefix}{name}"
        if isinstance(inner, dict) and depth:
            yield from _names_in(inner, f"{full}.", depth - 1)
        elif inner is not None and len(full) <= 200 and name:
            yield full


def _list_within(rows: Sequence[Json]) -> str | None:
    """Dotted name of a list of objects or lists that most rows have; the first one."""
    count: Counter[str] = Counter()
    for row in rows[:_DOCUMENTS_JUDGED]:
        count.update(_lists_in(row))
    name, found = count.most_common(1)[0] if count else ("", 0)
    return name if found >= 0.5 * min(len(rows), _DOCUMENTS_JUDGED) else None


def _lists_in(value: Json, prefix: str = "", depth: int = 6) -> Iterator[str]:
    if not isinstance(value, dict):
        return
    for name, inner in value.items():
        if isinstance(inner, dict) and depth:
            yield from _lists_in(inner, f"{prefix}{name}.", depth - 1)
        elif isinstance(inner, list) and inner and all(isinstance(item, dict | list) for item in inner):
            yield f"{prefix}{name}"


def _list_at(row: Json, path: str) -> list[Json]:
    found = _at(row, path)
    return found if isinstance(found, list) else []


def _members_at(row: Json, path: str) -> dict[str, Json]:
    found = _at(row, path)
    return found if isinstance(found, dict) else {}


def _at(row: Json, path: str) -> Json:
    for name in path.split("."):
        row = row.get(name) if isinstance(row, dict) else None
    return row


def _member(path: str) -> str:
    """A dotted name as a piece of a JSON path."""
    parts = path.split(".")
    quoted = (p if re.fullmatch(r"[A-Za-z_]\w*", p) else None for p in parts)
    return "".join(f".{q}" if q else f"['{part}']" for q, part in zip(quoted, parts, strict=True))


def _varying(rows: Sequence[Json]) -> tuple[str, list[str]] | None:
    """Dotted name of an object whose members differ from row to row, with their names."""
    paths = {path for row in rows[:200] for path in _objects_in(row)}
    for path in sorted(paths, key=lambda p: (p.count("."), p)):
        members = [set(found) for row in rows if (found := _members_at(row, path))]
        names = set[str]().union(*members)
        mean = sum(map(len, members)) / max(1, len(members))
        if len(members) >= 0.5 * len(rows) > 1 and len(names) >= 5 and mean < 0.5 * len(names):
            return path, sorted(names)
    return None


def _objects_in(value: Json, prefix: str = "", depth: int = 4) -> Iterator[str]:
    if isinstance(value, dict) and depth:
        for name, inner in value.items():
            if isinstance(inner, dict) and inner:
                yield f"{prefix}{name}"
                yield from _objects_in(inner, f"{prefix}{name}.", depth - 1)


# --- XML -------------------------------------------------------------------------------------------------------------

_PLANT_MODELS: Final = frozenset({"MTConnectDevices", "UANodeSet", "AASX", "environment", "aasenv", "CAEXFile"})


def _xml(sample: Sample) -> Finding | Unrecognised | None:
    """Streams of MTConnect agents, and B2MML, by their root elements."""
    if kind_of(sample.head[:HEAD_BYTES]) != "xml":
        return None
    try:
        opened = list(islice(tags(sample.path), 50_000))
    except UndecodableFile as error:
        return Unrecognised(f"It looks like XML, but {error.detail}.")
    root = opened[0]
    assert isinstance(root, Opened), "a document begins with its root"
    if root.name == "MTConnectStreams":
        return Finding("observations of an MTConnect agent (MTConnectStreams)", "mtconnect_streams", names_source=True)
    if "b2mml" in root.namespace.lower():
        return _b2mml(root, opened)
    if root.name in _PLANT_MODELS:
        return Unrecognised(
            f"The file ({root.name}) describes a plant and holds no observations: idm referential import reads it."
        )
    return Unrecognised(f"XML with the root {_shown(root.name)}, for which there is no format.", template("b2mml"))


_RECORD_ELEMENTS: Final = (
    "SegmentResponse", "JobResponse", "SegmentRequirement", "JobOrder", "ProductionResponse", "ProductionRequest",
    "OperationsResponse", "OperationsRequest", "WorkResponse", "WorkRequest", "InventoryItem", "MaterialInventory",
)  # fmt: skip
"""Elements of B2MML that say what happened or shall happen, the most detailed first."""


def _b2mml(root: Opened, opened: Sequence[Opened | Closed]) -> Finding | Unrecognised:
    """Records of a B2MML document: which element is one, and what says when it happened."""
    names = Counter(tag.name for tag in opened if isinstance(tag, Opened))
    noun = re.sub(r"^(Sync|Process|Acknowledge|Get|Show|Change|Cancel|Respond|Confirm)(?=[A-Z])", "", root.name)
    element = next((name for name in _RECORD_ELEMENTS if name in names), noun)
    if element not in names or element == root.name:
        return Unrecognised(f"B2MML ({root.name}) without an element that could be a record.", template("b2mml"))
    within, header, is_zoned = _timestamps(opened, element)
    chosen = within or header
    if chosen is None:
        return Unrecognised(f"B2MML ({root.name}) without a time.", template("b2mml"))
    seen = f"{names[element]} elements {element}; each is taken for a record, with all that is in it"
    where = "every record has it" if within else "no record has a time of its own; that of the message is taken"
    options = (Said("element", element, (seen,)), Said("timestamp", chosen, (where,)))
    model = Said("model", element, ("the record model is still to be written: idm model new <Model> --kind record",))
    return Finding(f"B2MML, {root.name}", "b2mml", options, (Said("record", (model,)),), is_zoned=is_zoned)


def _timestamps(opened: Sequence[Opened | Closed], element: str) -> tuple[str | None, str | None, bool]:
    """Path to a time that all records have, that of the message, and whether all times carry their zone."""
    way: list[str] = []
    found: Counter[str] = Counter()
    header: str | None = None
    records = 0
    is_zoned = True
    for tag in opened:
        if isinstance(tag, Opened):
            way.append(tag.name)
            records += tag.name == element
            continue
        if tag.is_leaf and re.search(r"(Time|Date|DateTime|Timestamp)$", tag.name) and tag.text:
            if element in way[:-1]:
                inner = way[len(way) - way[::-1].index(element) :]
                found["/".join(inner)] += 1
            elif "ApplicationArea" in way:
                header = f"/{'/'.join(way[1:])}"
            iso = _ISO.fullmatch(tag.text.strip())
            is_zoned &= iso is not None and iso["zone"] is not None
        way.pop()
    times = [path for path, count in found.items() if count >= records]
    times.sort(key=lambda path: (path.count("/"), "End" in path))
    return (times[0] if times else None), header, is_zoned


# --- Lines -----------------------------------------------------------------------------------------------------------

_SHDR: Final = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z?(@\d+(\.\d+)?)?\|[^|]*[^|\d.\s-][^|]*(\|.*)?")
# Possessive, so that no line takes longer than it is long.
_NAME: Final = r"(?:\\.|[^,=\s\\])++"
_FIELD: Final = rf'{_NAME}=(?:"(?:\\.|[^"\\])*+"|[^,\s"]++)'
_POINT: Final = re.compile(
    rf"(?:\\.|[^,\s\\])++(?P<tags>(?:,{_NAME}={_NAME})*+) {_FIELD}(?:,{_FIELD})*+ (?P<time>-?\d+)"
)


def _text_lines(sample: Sample) -> list[str]:
    """The first lines that hold something, where the sample is text in UTF-8."""
    if kind_of(sample.head[:HEAD_BYTES]) != "text" or b"\x00" in sample.head:
        return []
    return [line for line in _lines(sample, "utf-8") if line.strip()]


def _shdr(sample: Sample) -> Finding | None:
    """Logs of MTConnect adapters: lines of time, item and value."""
    lines = [line for line in _text_lines(sample) if not line.startswith("* ")]
    found = [line for line in lines if _SHDR.fullmatch(line)]
    inner = [line for line in lines if "|" not in line or not line[:1].isdecimal()]
    if not found or len(found) < 0.5 * len(lines) or len(found) + len(inner) < 0.95 * len(lines):
        return None
    if lines[0] in inner:
        # A line of names: a table that is delimited by pipes.
        return None
    return Finding(f"SHDR of MTConnect adapters: {len(found)} of {len(lines)} lines are time|item|value", "shdr")


def _line_protocol(sample: Sample) -> Finding | None:
    """Points of InfluxDB: measurement, tags, fields, time."""
    lines = [line for line in _text_lines(sample) if not line.startswith("#")]
    found = [match for line in lines if (match := _POINT.fullmatch(line))]
    if not found or len(found) < 0.8 * len(lines):
        return None
    times = [abs(int(match["time"])) for match in found if match["time"].strip("-0")]
    precision = next(
        (p for p, power in (("s", 0), ("ms", 3), ("us", 6)) if times and max(times) < _EPOCH_SECONDS[1] * 10**power),
        "ns",
    )
    options: list[Said] = []
    if precision != "ns":
        options.append(Said("precision", precision, ("told by the magnitude of the times",)))
    line_tags = [dict(re.findall(r",((?:\\.|[^,=\\])+)=((?:\\.|[^,=\\])+)", match["tags"])) for match in found]
    always = [name for name in line_tags[0] if all(name in tags_ for tags_ in line_tags) and "\\" not in name]
    unit = next((name for name in always if name.lower() in _UNIT_WORDS), None)
    naming = [n for n in always if n != unit and len({t[n] for t in line_tags}) < max(2, 0.5 * len(line_tags))]
    if naming:
        template_ = "/".join(f"{{{name}}}" for name in naming)
        seen = (
            f"the line tags that every point has; sources: {_listed({_joined_tags(t, naming) for t in line_tags}, 3)}",
        )
        options.append(Said("source", template_, seen))
    if unit is not None:
        options.append(Said("unit", unit, ("the line tag that holds the unit",)))
    what = f"InfluxDB line protocol: {len(found)} of {len(lines)} lines are points"
    return Finding(what, "line_protocol", tuple(options), names_source=bool(naming))


def _joined_tags(line_tags: Mapping[str, str], names: Sequence[str]) -> str:
    return "/".join(line_tags[name] for name in names)


def _sparkplug_frames(sample: Sample) -> Finding | None:
    """Binary recordings of Sparkplug B: the first frame begins with the length of its topic."""
    head = sample.head
    length = int.from_bytes(head[:4], "big")
    if not 8 < length < 1024 or head[4:12] != b"spBv1.0/":
        return None
    options = (Said("recording", "binary"),)
    return Finding("a binary recording of Sparkplug B messages", "sparkplug_b", options, names_source=True)


_RECOGNISERS: Final[tuple[Recogniser, ...]] = (
    _sparkplug_frames, _columnar, _workbook, _xml, _json, _line_protocol, _shdr, _delimited,
)  # fmt: skip


# --- Templates -------------------------------------------------------------------------------------------------------


def template(format_name: str) -> str:
    """A declaration in a format to fill in, as YAML; empty where there is none for the format."""
    head = (Said("name", "my_source"), Said("plant", "my_plant"))
    meaning = (
        Said("time", (Said("field", "timestamp", ("the field that says the time of a row",)),)),
        Said("long", (Said("tag", "tag"), Said("value", "value")), ("or wide: {}, where each column is a tag",)),
        Said("source", "my_source"),
    )
    record = Said("record", (Said("model", "MyRecord"),))
    b2mml = (Said("element", "SegmentResponse"), Said("timestamp", "ActualStartTime"))
    known: dict[str, tuple[Said, ...]] = {
        "csv": (Said("glob", "*.csv"), Said("options", (Said("delimiter", ","), Said("header", 1))), *meaning),
        "tsv": (Said("glob", "*.tsv"), *meaning),
        "json": (Said("glob", "*.json"), *meaning),
        "json_lines": (Said("glob", "*.jsonl"), *meaning),
        "parquet": (Said("glob", "*.parquet"), *meaning),
        "arrow": (Said("glob", "*.arrow"), *meaning),
        "xlsx": (Said("glob", "*.xlsx"), *meaning),
        "b2mml": (Said("glob", "*.xml"), Said("options", b2mml), record, Said("source", "my_source")),
    }
    if format_name not in known:
        return ""
    glob, *rest = known[format_name]
    fields = (*head, glob, Said("format", format_name), *rest)
    return Proposal("A template: put in what your file has.", "my_source", fields).text


def _begin(head: bytes) -> str:
    """The first line that holds something, as far as it is text."""
    return head[:2000].decode("utf-8", "replace").lstrip("\ufeff \t\r\n").split("\n")[0]
