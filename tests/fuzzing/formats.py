"""Formats as they are fuzzed: declarations, small cuts of real files, and mutations that know what a format is made of.

Where no real file is at hand, seeds are made; all are the same whenever they are made.

Belongs here: one builder per format. Does not belong here: mutations of any bytes or text (`mutations`), judging
(`attempt`).
"""

from __future__ import annotations

import base64
import binascii
import functools
import gzip
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Final
from xml.sax.saxutils import escape

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import ipc

from idm_assets.capture.decoders.sparkplug_payload import DataType
from idm_assets.capture.sources import SourceEntry
from tests.capture.test_sparkplug_b import bd_seq, frame, jsonl, metric, payload, temperature
from tests.fuzzing.mutations import (
    BYTES,
    TEXT,
    TOKENS,
    Mutation,
    flipped,
    line_very_long,
    mutated,
    packed,
    seldom,
    zipped,
)

ROOT: Final = Path(__file__).resolve().parents[2]
VECTORS: Final = ROOT / "tests" / "vectors"
LANDING: Final = ROOT / "examples" / "landing"

PACKED_ONCE_IN: Final = 8
_WIDE: Final = 5_000
_AT: Final = datetime(2024, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    """One declaration, with what is delivered under it.

    Attributes:
        name: the format, a slash, and what is declared.
        entry: the declaration.
        path: path below the landing folder of the plant.
        seeds: files that are well, or nearly so.
        mutations: how they are broken.
    """

    name: str
    entry: SourceEntry
    path: str
    seeds: tuple[bytes, ...]
    mutations: tuple[Mutation, ...]

    @property
    def format(self) -> str:
        """Name of the format."""
        return self.entry.format

    def input(self, seed: int, number: int) -> bytes:
        """An input, which depends on the name of the case, the seed and the number, and nothing else."""
        rng = Random(f"{seed}/{self.name}/{number}")
        data = mutated(rng, self.seeds, self.mutations)
        return packed(rng, data, self.seeds) if rng.randrange(PACKED_ONCE_IN) == 0 else data


def cases(form: str) -> tuple[Case, ...]:
    """The cases of a format."""
    return tuple(_BUILDERS[form]())


def _case(
    name: str, seeds: Sequence[bytes], mutations: Sequence[Mutation], path: str = "file", **declared: Any
) -> Case:
    entry = SourceEntry(
        **{"name": "fuzzed", "plant": "fuzz", "glob": "*", "format": name.split("/", maxsplit=1)[0], **declared}
    )
    return Case(name, entry, path, tuple(seeds), tuple(mutations))


# Seeds


def _read(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def _lines(path: Path, first: int, count: int, head: int = 1) -> bytes:
    """Some lines of a file after those at its head."""
    lines = _read(path).splitlines(keepends=True)
    return b"".join([*lines[:head], *lines[head + first : head + first + count]])


def _text(data: bytes) -> str:
    return data.decode("utf-8-sig")


# SHDR


def _shdr() -> Iterator[Case]:
    nist = LANDING / "nist"
    seeds = [
        _lines(nist / "Mazak01/Mazak01-20161107-20161108.txt.gz", 0, 60, 0),
        _lines(nist / "Mazak01/Mazak01-20161107-20161108.txt.gz", 3_000, 250, 0),
        _lines(nist / "Mazak03/Mazak03-20161114-20161115.txt.gz", 5_000, 90, 0),
        _lines(nist / "GFAgie01/GFAgie01-20161107-20161108.txt.gz", 2_000, 120, 0),
        _read(nist / "Hurco02/Hurco02-20161116-20161117.txt.gz"),
        b"".join(
            b"2016-11-07T10:00:%02d.5Z|%s\r\n" % (second, rest)
            for second, rest in enumerate(
                (
                    b"Xpos|12.5|Ypos|-3", b"avail|AVAILABLE", b"system|FAULT|E12|1|HIGH|hot \\| wet", b"note|code|text",
                    b"@ASSET@|T1|CuttingTool|<CuttingTool serialNumber='1'/>", b"@REMOVE_ASSET@|T1",
                    b"@ASSET@|T2|CuttingTool|--multiline--AB\n<CuttingTool>\n|a|\n</CuttingTool>\n--multiline--AB",
                    b"@UPDATE_ASSET@|T2|OverallToolLength|323.64", b"Xload@TS|1:5", b"path|1 2 3|series|3|10|1 2 3",
                )
            )
        ),
    ]  # fmt: skip
    yield _case("shdr/machine", seeds, _of_lines(), source="Mazak01")
    yield _case("shdr/local", seeds, _of_lines(), source="Mazak01", timezone="America/New_York")


def _of_lines() -> tuple[Mutation, ...]:
    return (*TEXT, seldom(line_very_long, 40))


# Delimited text


def _repeated_header(rng: Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """A header whose names occur twice."""
    header, end, rest = data.partition(b"\n")
    names = re.split(rb"([,;\t])", header)
    names[2 * rng.randrange(len(names) // 2 + 1)] = names[2 * rng.randrange(len(names) // 2 + 1)]
    return b"".join(names) + end + rest


def _very_wide(rng: Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """A table of thousands of columns, of few rows."""
    sign = b"\t" if b"\t" in data.partition(b"\n")[0] else b","
    header, *rows = data.splitlines()[:3] or [b""]
    width = rng.choice((300, 900, _WIDE))
    more = [sign.join([cell] * width) for cell in (b"1", b"", b"x")]
    lines = [
        header + sign + sign.join(b"c%d" % n for n in range(width)),
        *(row + sign + rng.choice(more) for row in rows),
    ]
    return b"\n".join(lines)


def _ragged(rng: Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """Cells left out of a row, or put into it."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    sign = rng.choice((b",", b";", b"\t"))
    cells = lines[at].split(sign)
    match rng.randrange(3):
        case 0:
            del cells[rng.randrange(len(cells)) :]
        case 1:
            cells.insert(rng.randrange(len(cells) + 1), rng.choice((b"", b'"a', b'"a"b', b' "a" ', b'"a\nb"', b"x")))
        case _:
            cells[rng.randrange(len(cells))] = (
                b'"' + rng.choice((*TOKENS, b"a", b"1,5")) + rng.choice((b'"', b'"', b""))
            )
    lines[at] = sign.join(cells)
    return b"\n".join(lines)


_DELIMITED: Final = (*TEXT, *(_ragged,) * 4, _repeated_header, seldom(_very_wide, 60), seldom(line_very_long, 60))


def _csv() -> Iterator[Case]:
    exports = VECTORS / "exports"
    buses = [
        _lines(LANDING / "capmetro/2016-09-01.csv.gz", 0, 60),
        _lines(LANDING / "capmetro/2015-03-08.csv.gz", 140, 60),
        _lines(LANDING / "capmetro/2015-12-30.csv.gz", 10, 5),
    ]
    yield _case(
        "csv/wide", buses, _DELIMITED, timezone="America/Chicago", time={"field": "timestamp"},
        wide={"source": "vehicle_id", "columns": {"speed": "speed", "route": "route_id", "headsign": "trip_headsign"}},
        record={"model": "Trip", "fields": {"trip": "trip_id"}, "only": ["trip_id", "route_id"]},
    )  # fmt: skip
    cars = [
        _lines(exports / "2017-07-05_Seat_Leon_RT_S_Stau.csv.gz", 0, 30),
        _lines(exports / "2018-02-23_Seat_Leon_S_S_Stau.csv.gz", 0, 30),
    ]
    yield _case(
        "csv/units", cars, _DELIMITED, path="2017-07-05_Seat_Leon.csv", timezone="Europe/Berlin",
        path_pattern=r"(?P<day>\d{4}-\d\d-\d\d)_(?P<source>Seat_Leon)\.csv", options={"units": "in_brackets"},
        time={"field": ["{day}", "Time"], "doubled_hour": "reject", "missing_hour": "reject"}, wide={"empty": "no_data"},
    )  # fmt: skip
    air = [_lines(exports / "AirQualityUCI.csv.gz", 400, 40)]
    air += [_text(air[0]).replace(",", ";").replace('"', "").replace(";", ",", 3).encode("utf-16")]
    yield _case(
        "csv/decimal_comma", air, _DELIMITED, source="station", options={"decimal": ","}, timezone="Europe/Rome",
        time={"field": ["Date", "Time"], "format": "%d/%m/%Y %H.%M.%S"}, wide={"without": ["AH"], "tag": "air.{column}"},
        status={"sentinels": [-200]},
    )  # fmt: skip
    historian = [_lines(exports / "rtdip_historian_export.csv.gz", first, 60) for first in (0, 300)]
    yield _case(
        "csv/long", historian, _DELIMITED, source="historian", time={"field": "EventTime"},
        long={"tag": "TagName", "value": "Value", "status": "Status"},
        record={"model": "Reading", "time": {"field": "EventTime", "format": "%Y-%m-%d %H:%M:%S.%f"}},
    )  # fmt: skip
    part_13 = [_lines(VECTORS / f"opcua_part13/Historian{number}.csv", 0, 10, 9) for number in (1, 2, 3)]
    yield _case(
        "csv/preamble", part_13, _DELIMITED, time={"field": "Timestamp", "format": "%H:%M:%S"},
        options={"preamble": 8, "facts": r"^(?P<historian>Historian\d)", "comment": "#"},
        long={"tag": "{historian}.value", "value": "Value", "status": "StatusCode", "source": "{historian}"},
        status={"words": {"Bad_NoData": "BadNoData"}},
    )  # fmt: skip
    orders = [_lines(exports / "excavators.csv.gz", 0, 40), (VECTORS / "excavators/excavators.csv").read_bytes()]
    yield _case(
        "csv/record",
        orders,
        _DELIMITED,
        time={"field": "BscStartDate", "format": "date"},
        record={"model": "WorkOrder"},
    )
    pairs = "".join(
        f"{second};{'; '.join(f'{tag};1.234,{second}' for tag in 'ab')};;7\n"
        for second in range(1_714_521_600, 1_714_521_640)
    )
    yield _case(
        "csv/pairs", [pairs.encode(), pairs.replace("\n", "\r\n").encode("cp1252")], _DELIMITED, source="line",
        options={"delimiter": ";", "header": 0, "quote": "", "decimal": ",", "thousands": ".", "encoding": "windows-1252",
                 "columns": ["t", "tag1", "v1", "tag2", "v2", "tag3", "v3"]},
        time={"field": "t", "format": "epoch_s", "label": "end", "interval": "1min"},
        pairs={"pairs": [{"tag": f"tag{n}", "value": f"v{n}"} for n in (1, 2, 3)]},
    )  # fmt: skip
    machine = _lines(VECTORS / "nab/machine_temperature_system_failure.csv.gz", 0, 1_500)
    yield _case(
        "csv/one_column", [machine, machine[:3_000]], _DELIMITED, source="machine", time={"field": "timestamp"}, wide={}
    )


def _tsv() -> Iterator[Case]:
    exports = VECTORS / "exports"
    historian = [
        _lines(exports / "rtdip_historian_export.csv.gz", first, 50).replace(b",", b"\t") for first in (50, 500)
    ]
    yield _case(
        "tsv/long", historian, _DELIMITED, source="historian", time={"field": "EventTime"},
        long={"tag": "TagName", "value": "Value", "status": "Status"},
    )  # fmt: skip
    buses = [_lines(LANDING / "capmetro/2016-09-01.csv.gz", 100, 40).replace(b",", b"\t")]
    yield _case(
        "tsv/wide", [*buses, buses[0].replace(b"\n", b"\r\n")], _DELIMITED, source="bus", time={"field": "timestamp"},
        wide={"without": ["vehicle_id"]}, record={"model": "Position"},
    )  # fmt: skip


# JSON


def _repeated_member(rng: Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """A member of an object that comes twice, with another value perhaps."""
    found = list(re.finditer(rb'"\w+"\s*:\s*("[^"]*"|-?[\d.]+)\s*,?', data))
    if not found:
        return data
    one, other = rng.choice(found), rng.choice(found)
    member = rng.choice((one, other)).group().rstrip(b",") + b","
    return data[: one.start()] + member + data[one.start() :]


def _value_replaced(rng: Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """A value replaced by one of another type, in JSON that stays JSON for the most part."""
    found = list(re.finditer(rb':\s*("(?:[^"\\]|\\.)*"|-?[\d.eE+-]+|true|false|null)', data))
    if not found:
        return data
    one = rng.choice(found)
    return data[: one.start(1)] + rng.choice(_JSON_VALUES) + data[one.end(1) :]


_JSON_VALUES: Final = (
    b"null", b"true", b"[]", b"{}", b'""', b'" "', b"[1,2,3]", b'{"a":{"b":[1]}}', b"9" * 400, b"-0", b"-0.0", b"1e400",
    b"0.1000000000000000055511151231257827", b"1E+2", b"NaN", b"-Infinity", b'"NaN"', b'"\\ud800"', b'"\\u0000"',
    b'"\\ud83d\\ude00"', b"[" * 64 + b"]" * 64, b"[" * 130 + b"]" * 130, b'"' + b"A" * 70_000 + b'"',
    b'{"a":1,"a":2}', b'"12.50"', b'"\\"\\\\\\/\\b\\f\\n"', b"9007199254740993", b"'a'", b"undefined", b"1_000", b"0x1F",
    b"01", b"1.", b".5", b"+1", b"[1,]", b'{"a":1,}', b"/* c */ 1", b'"\xff"', b'"\xed\xa0\x80"', b'"tab\there"',
    b"253402300800000", b"-1", b"4294967296", b'"2024-02-30T00:00:00Z"', b"1" + b"0" * 309, b'{"value":5}', b'{"":1}',
    b'{"a.b":1,"a":{"b":2}}', b'{"__proto__":1}', b"[" + b"1," * 3_000 + b"1]",
)  # fmt: skip

_JSON: Final = (*TEXT, *(_value_replaced,) * 24, _repeated_member, _repeated_member)


def _points(count: int, first: int = 0) -> list[dict[str, Any]]:
    rows = _text(_lines(VECTORS / "exports/rtdip_historian_export.csv.gz", first, count)).splitlines()[1:]
    points: list[dict[str, Any]] = []
    for row in rows:
        tag, at, status, value = row.split(",")
        number: Any = float(value) if re.fullmatch(r"-?\d+\.\d+", value) else value
        points.append({"ts": at.replace(" ", "T") + "Z", "tag": tag, "value": number, "q": {"status": status.strip()}})
    return points


def _json_lines() -> Iterator[Case]:
    def written(rows: Sequence[Any], **how: Any) -> bytes:
        return "".join(f"{json.dumps(row, **how)}\n" for row in rows).encode()

    long = [written(_points(60)), written(_points(30, 200), ensure_ascii=False, separators=(",", ":"))]
    named = {"tag": "tag", "value": "value", "status": "q.status"}
    yield _case(
        "json_lines/long", long, (*_JSON, *_of_lines()), source="historian", time={"field": "ts"}, long=named,
        record={"model": "Point"},
    )  # fmt: skip
    entries = [
        {
            "at": 1_714_521_600_000 + 1_000 * n,
            "payload": {"T 1": n / 3, "é": None, "on": n % 2 == 0, "list": [n, {"a": n}]},
        }
        for n in range(40)
    ]
    yield _case(
        "json_lines/entries", [written(entries)], _JSON, source="line", options={"entries": "payload"},
        time={"field": "at", "format": "epoch_ms"}, long={"tag": "key", "value": "value"},
    )  # fmt: skip
    wide = [{"t": f"2024-10-27 02:{n:02}:00", "a": {"b": n, "c": [n]}, "s": "x" * n, "d.e": 1.5} for n in range(50)]
    yield _case(
        "json_lines/wide", [written(wide), written([{**row, "$x": 1} for row in wide[:20]])], _JSON, source="line",
        timezone="Europe/Berlin", time={"field": "t", "doubled_hour": "earlier"},
        wide={"columns": {"b": "a.b", "first": "a.c.0", "s": "s", "de": "d.e"}},
    )  # fmt: skip


def _json() -> Iterator[Case]:
    result = [
        {"metric": {"name": f"m{n}", "unit": "°C"}, "values": [[1_714_521_600 + k, f"{k / 7}"] for k in range(20)]}
        for n in range(3)
    ]
    series = {"status": "success", "result": result}
    yield _case(
        "json/items", [json.dumps(series).encode(), json.dumps(series, indent=2, ensure_ascii=False).encode()], _JSON,
        source="line", options={"items": "$.result[*].values[*]"}, time={"field": "0", "format": "epoch_s"},
        long={"tag": "$.result[*].metric.name", "value": "1", "unit": "$.result[*].metric.unit"},
    )  # fmt: skip
    listed = [json.dumps(_points(40), indent=1).encode(), b"\n".join(json.dumps(p).encode() for p in _points(30, 90))]
    yield _case(
        "json/documents", [*listed, b"".join(listed)], _JSON, source="historian", time={"field": "ts"},
        long={"tag": "tag", "value": "value", "status": "q.status"}, record={"model": "Point"},
    )  # fmt: skip
    members = {"day": "2024-03-01", "shift": {f"{hour:02}:00:00": {"value": hour, "state": "ok"} for hour in range(24)}}
    yield _case(
        "json/members", [json.dumps(members).encode(), json.dumps([members, members]).encode()], _JSON, source="line",
        options={"entries": "$.shift"}, time={"field": ["$.day", "key"]},
        wide={"columns": {"value": "value.value", "state": "value.state"}},
    )  # fmt: skip


def _opcua_pubsub() -> Iterator[Case]:
    seeds = [path.read_bytes() for path in sorted((VECTORS / "opcua_pubsub_json").glob("*.json"))]
    yield _case("opcua_pubsub/messages", [*seeds, b"\n".join(seeds[:4])], _JSON)
    yield _case(
        "opcua_pubsub/fields", seeds, _JSON, source="hub",
        options={"source": "writer", "tag": "field", "layout": "fields", "documents": "one", "missing_time": "enqueued",
                 "strings": "numbers", "event_tag": "event_type", "item_tag": "display_name"},
    )  # fmt: skip


# Messages


def _within_base64(rng: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """A message broken, and written as base64 again."""
    found = list(re.finditer(rb'"payload": "([A-Za-z0-9+/=]*)"', data))
    if not found:
        return data
    one = rng.choice(found)
    try:
        broken = base64.b64decode(one[1] + b"===")
    except binascii.Error:
        return data  # what is broken already stays as it is
    for _ in range(rng.choice((1, 1, 2, 4))):
        broken = rng.choice(BYTES)(rng, broken, seeds)
    return data[: one.start(1)] + base64.b64encode(broken) + data[one.end(1) :]


def _sparkplug_messages(count: int) -> list[tuple[str, bytes, str]]:
    birth = [
        bd_seq(3), temperature(alias=1), metric("Strom", DataType.INT32, int_value=2**32 - 7, alias=2),
        metric("on", DataType.BOOLEAN, boolean_value=True, alias=3), metric("name", DataType.STRING, string_value="Prägung"),
        metric("big", DataType.UINT64, long_value=2**64 - 1, alias=4), metric("bytes", DataType.BYTES, bytes_value=b"\0\xff"),
        metric("f", DataType.FLOAT, float_value=0.1, alias=5), metric("at", DataType.DATETIME, long_value=1_714_521_600_000),
        metric("array", DataType.DOUBLE_ARRAY, bytes_value=struct.pack("<3d", 1.5, float("nan"), -0.0)),
        metric("strings", DataType.STRING_ARRAY, bytes_value=b"a\0b\0"),
        metric("none", DataType.INT32, is_null=True), metric("stale", DataType.DOUBLE, double_value=2.0, quality=500),
    ]  # fmt: skip
    node, device = "spBv1.0/plant/N{}/edge", "spBv1.0/plant/D{}/edge/press"
    at = "2024-05-01T00:00:{:02}Z"
    messages = [
        (node.format("BIRTH"), payload(*birth, seq=0), at.format(0)),
        (device.format("BIRTH"), payload(temperature(alias=7), seq=1), at.format(1)),
    ]
    messages += [
        (device.format("DATA"), payload(metric(alias=7, ms=n, double_value=n / 3), seq=n), at.format(n))
        for n in range(2, count)
    ]
    messages += [
        (
            node.format("DATA"),
            payload(metric(alias=alias, int_value=4) if alias < 9 else temperature(float("inf"))),
            at.format(40),
        )
        for alias in (1, 2, 3, 5, 6, 9)
    ]
    messages += [
        ("STATE/host", b"ONLINE", at.format(41)), ("spBv1.0/plant/NCMD/edge", payload(temperature()), at.format(42)),
        (device.format("DEATH"), payload(seq=30), at.format(43)), (node.format("DEATH"), payload(bd_seq(3)), at.format(44)),
    ]  # fmt: skip
    return messages


def _sparkplug_b() -> Iterator[Case]:
    messages = _sparkplug_messages(25)
    yield _case("sparkplug_b/jsonl", [jsonl(messages), jsonl(messages[:6])], (*_JSON, *(_within_base64,) * 12))
    frames = [frame(topic.encode(), octets, 1_714_521_600_000 + n) for n, (topic, octets, _) in enumerate(messages)]
    yield _case(
        "sparkplug_b/binary", [b"".join(frames), b"".join(frames[:4])], (*BYTES, *BYTES, flipped, flipped),
        options={"recording": "binary"},
    )  # fmt: skip


def _line_protocol() -> Iterator[Case]:
    real = _read(VECTORS / "nab/machine_temperature_system_failure.lp.gz").splitlines(keepends=True)
    made = (
        b'# DML\nweather,location=us\\ mid\\,west,unit=\xc2\xb0C temp=82,hum=71i,on=t,text="a \\"b\\" \\\\",n=18446744073709551615u'
        b' 1465839830100400200\n\nmy\\ meas,a\\=b=c v=-1.5e-7,w=f,x="" 1465839830100400201\nm f="two\nlines" 1465839830100400202\r\n'
        b'm,site=s,equipment=e "f g"=1 1465839830100400203\nm value=1\n_m,_t=1 _f=.5 0\n'
    )
    seeds = [b"".join(real[:60]), b"".join(real[8_000:8_020]) + made, made]
    yield _case("line_protocol/plain", seeds, _of_lines())
    in_us = [re.sub(rb"(\d{16})\d{3}(\r?\n)", rb"\1\2", seed) for seed in seeds]
    yield _case(
        "line_protocol/templates", in_us, _of_lines(), source="plant", timezone="Europe/Paris",
        options={"precision": "us", "source": "{site}/{equipment}", "tag": "{measurement}:{field}", "unit": "unit"},
    )  # fmt: skip


# XML


def _elements(document: bytes, name: bytes, count: int) -> bytes:
    """An XML document with only the first elements of a name that are on lines of their own."""
    kept, found = [], 0
    for line in document.splitlines(keepends=True):
        if line.strip().startswith(b"<" + name + b" "):
            found += 1
            if found > count:
                continue
        kept.append(line)
    return b"".join(kept)


def _element_moved(rng: Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """A whole element left out, come twice, or in another place."""
    found = list(re.finditer(rb"<(\w+)\b[^<>]*(?:/>|>[^<>]*</\1>)", data))
    if not found:
        return data
    one, other = rng.choice(found), rng.choice(found)
    if rng.random() < 0.3:
        return data[: one.start()] + data[one.end() :]
    return data[: other.start()] + one.group() + data[other.start() :]


def _content_replaced(rng: Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """A text or an attribute replaced by a token, written so that the document stays well-formed for the most part."""
    found = list(re.finditer(rb'>([^<>]+)<|="([^"<>]*)"', data))
    if not found:
        return data
    one = rng.choice(found)
    token = rng.choice(TOKENS).translate(None, _NOT_IN_XML).decode("utf-8", "ignore")
    start, end = one.span(1 if one[1] is not None else 2)
    return data[:start] + escape(token, {'"': "&quot;"}).encode() + data[end:]


_NOT_IN_XML: Final = bytes(code for code in range(32) if code not in b"\t\n\r")
_XML: Final = (*TEXT, *(_element_moved,) * 10, *(_content_replaced,) * 24)


def _mtconnect_streams() -> Iterator[Case]:
    cover = _read(VECTORS / "mtconnect_streams/Cover-Hurco04-01of20.xml.gz")
    for name in (b"RotaryVelocity", b"Position", b"Load", b"AxisFeedrate", b"PathFeedrate", b"Line", b"Block"):
        cover = _elements(cover, name, 6)
    off = (VECTORS / "mtconnect_streams/qdr_input141.xml").read_bytes()
    made = off.replace(b'name="GFAgie01"', b'name="a\xc3\xa9 &amp; b"').replace(b"<Events>", b"<Condition><Fault dataItemId='c'"
        b" timestamp='2024-05-01T10:00:00Z' sequence='7' nativeCode='E1' qualifier='HIGH'>hot</Fault></Condition><Events>", 1)  # fmt: skip
    yield _case("mtconnect_streams/names", [cover[:60_000], off, made], _XML)
    yield _case("mtconnect_streams/ids", [off, made], _XML, options={"tag": "id"}, timezone="Asia/Tokyo")


def _b2mml() -> Iterator[Case]:
    seeds = [path.read_bytes() for path in sorted((VECTORS / "b2mml").glob("*.xml"))]
    created = "ApplicationArea/CreationDateTime"
    yield _case(
        "b2mml/leaves", seeds, _XML, options={"element": "Quantity", "timestamp": created}, record={"model": "Quantity"},
    )  # fmt: skip
    yield _case(
        "b2mml/fields", seeds, _XML, timezone="Europe/Paris", record={"model": "Segment"},
        options={"element": "SegmentRequirement", "timestamp": created,
                 "fields": {"id": "ID", "order": "../ID", "materials": "MaterialRequirement/MaterialDefinitionID",
                            "released": "/@releaseID"}},
    )  # fmt: skip


# Columns

_HOSTILE_FLOATS: Final = (
    0.0,
    -0.0,
    1.5,
    0.1,
    float("nan"),
    float("inf"),
    float("-inf"),
    5e-324,
    1.7976931348623157e308,
    None,
)
_HOSTILE_TEXTS: Final = (
    "", " ", "Good", "12.5", "=cmd|' /C calc'!A0", "a\0b", "\U0001f600", "\u202e", "9" * 400, "x" * 3_000, "NaN", "true",
    "2024-03-01T12:00:00Z", "infinity", '{"a":1}', None,
)  # fmt: skip


def _columns(rng: Random, rows: int) -> dict[str, Any]:
    """Columns of many types, with values that hurt among them."""

    def of(values: Sequence[Any], kind: Any = None) -> Any:
        return pa.array([rng.choice(values) for _ in range(rows)], kind)

    whole = (0, 1, -1, 2**31 - 1, -(2**31), None)
    times = [_AT + timedelta(seconds=n) for n in range(rows)]
    made = {
        "i64": lambda: of((*whole, 2**63 - 1, -(2**63)), pa.int64()),
        "u64": lambda: of((0, 2**64 - 1, None), pa.uint64()),
        "f64": lambda: of(_HOSTILE_FLOATS, pa.float64()),
        "f32": lambda: of((0.1, float("nan"), 3.4e38, None), pa.float32()),
        "dec": lambda: of((Decimal("1.50"), Decimal("-9" + "9" * 35 + ".99"), None), pa.decimal128(38, 2)),
        "flag": lambda: of((True, False, None), pa.bool_()),
        "text": lambda: of(_HOSTILE_TEXTS, pa.string()),
        "word": lambda: of(("Good", "Bad", None), pa.string()).dictionary_encode(),
        "bytes": lambda: of((b"", b"\0\xff", None), pa.binary()),
        "day": lambda: of((date(1, 1, 1), date(9999, 12, 31), date(2024, 2, 29), None), pa.date32()),
        "clock": lambda: of((time(0, 0), time(23, 59, 59, 999_999), None), pa.time64("us")),
        "local": lambda: of((*times, None), pa.timestamp("ms")),
        "nanos": lambda: of((0, 1, 2**63 - 1, -(2**63), None), pa.timestamp("ns", "UTC")),
        "span": lambda: of((0, -1, 2**63 - 1, None), pa.duration("us")),
        "list": lambda: of(([], [1, None], None), pa.list_(pa.int32())),
        "struct": lambda: of(({"a": 1, "b": "x"}, {"a": None, "b": "\0"}, None), pa.struct({"a": pa.int8(), "b": pa.string()})),
        "map": lambda: of(([("k", 1)], [], None), pa.map_(pa.string(), pa.int16())),
        "null": lambda: pa.nulls(rows),
    }  # fmt: skip
    chosen = rng.sample(sorted(made), rng.randrange(1, 7))
    ts = rng.choice(
        (
            lambda: pa.array(times, pa.timestamp("us", "UTC")),
            lambda: pa.array(times, pa.timestamp("ns", "Europe/Berlin")),
            lambda: pa.array([at.isoformat() for at in times]),
            lambda: of((*times, None), pa.timestamp("s")),
            lambda: of(
                (0, 2**63 - 1, -(2**63), 1_714_521_600_000_000, 253_402_300_800_000_000, None),
                pa.timestamp("us", "UTC"),
            ),
        )
    )()
    tag = of(("a", "b b", "", None, "é"), pa.string())
    return {
        "ts": ts,
        "tag": tag,
        "value": made[rng.choice(("f64", "text", "i64", "dec"))](),
        **{n: made[n]() for n in chosen},
    }


def _table(rng: Random) -> Any:
    rows = rng.choice((0, 1, 3, 10, 40, 200))
    columns = _columns(rng, rows)
    if rng.random() < 0.05:
        columns.update({f"c{n}": pa.nulls(rows) for n in range(rng.choice((300, 900, _WIDE)))})
    names, arrays = list(columns), list(columns.values())
    if rng.random() < 0.1:
        names[-1] = rng.choice(("TS", "ts", "value", "tag", "", "a\0b", "x" * 300, "a.b", '"', "{column}"))
    return pa.table(arrays, names=names)


def _as_parquet(rng: Random, table: Any) -> bytes:
    target = io.BytesIO()
    pq.write_table(
        table, target, compression=rng.choice(("none", "none", "snappy", "gzip", "zstd", "lz4")),
        row_group_size=rng.choice((1, 7, 100, 1_000)) if table.num_columns < 100 else 1_000,
        data_page_version=rng.choice(("1.0", "2.0")), use_dictionary=rng.random() < 0.5,
        version=rng.choice(("1.0", "2.4", "2.6")), coerce_timestamps="us", allow_truncated_timestamps=True,
        write_statistics=rng.random() < 0.7, write_page_checksum=rng.random() < 0.2,
    )  # fmt: skip
    return target.getvalue()


def _as_arrow(rng: Random, table: Any) -> bytes:
    target = io.BytesIO()
    options = ipc.IpcWriteOptions(compression=rng.choice((None, None, "lz4", "zstd")), allow_64bit=True)
    opened = rng.choice((ipc.new_file, ipc.new_stream))
    with opened(target, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rng.choice((1, 9, 1_000)) if table.num_columns < 100 else 1_000)
    return target.getvalue()


def _made_anew(written: Callable[[Random, Any], bytes]) -> Mutation:
    """Another table in the place of a mutated one."""

    def made(rng: Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
        try:
            return written(rng, _table(rng))
        except (pa.ArrowException, ValueError):
            return data  # a table that cannot be written is no file

    return made


def _edges_flipped(rng: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """Bits turned over where columnar files say what they hold: at their begin and end."""
    reach = rng.choice((16, 200, 1_500))
    if rng.random() < 0.4:
        return flipped(rng, data[:reach], seeds) + data[reach:]
    return data[:-reach] + flipped(rng, data[-reach:], seeds)


def _integer_set(rng: Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """An integer in place of some bytes: small, or as large as there is."""
    width = rng.choice((1, 2, 4, 8))
    if len(data) < width:
        return data
    place = rng.randrange(0, len(data) - width + 1, width)
    value = rng.choice((0, 1, 2 ** (8 * width - 1) - 1, 2 ** (8 * width - 1), 2 ** (8 * width) - 1, rng.randrange(256)))
    return data[:place] + value.to_bytes(width, "little") + data[place + width :]


def _columnar(form: str, written: Callable[[Random, Any], bytes]) -> Iterator[Case]:
    seeds = [written(rng, _table(rng)) for rng in map(Random, range(16))]
    mutations = (*BYTES, *(flipped,) * 4, *(_edges_flipped,) * 6, *(_integer_set,) * 6, *(_made_anew(written),) * 6)
    yield _case(
        f"{form}/long", seeds, mutations, source="line", time={"field": "ts"}, long={"tag": "tag", "value": "value"},
        record={"model": "Row"},
    )  # fmt: skip
    yield _case(
        f"{form}/wide", seeds, mutations, source="line", timezone="Europe/Berlin", time={"field": "ts"}, wide={}
    )


# XLSX


def _within_package(rng: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """A part of a package broken, and the package whole again."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError, EOFError, zlib.error):
        return data  # what is broken already stays as it is
    if not parts:
        return data
    at = rng.choice([n for n, (name, _) in enumerate(parts) if "sheet" in name or "Strings" in name] or [0])
    if rng.random() < 0.3:
        at = rng.randrange(len(parts))
    name, content = parts[at]
    for _ in range(rng.choice((1, 1, 2, 4))):
        content = rng.choice(_XML)(rng, content, [content])
    parts[at] = rng.choice(
        ((name, content), (name, content), (name, content), (rng.choice(("../x", "a", name)), content))
    )
    if rng.random() < 0.05:
        del parts[at]
    return zipped(parts)


_WORKBOOK_TIMES: Final = re.compile(rb"<dcterms:\w+[^>]*>[^<]*</dcterms:\w+>")


def _workbook(rng: Random, rows: int) -> bytes:
    """A workbook whose first sheet is a table, the same whenever it is made."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "data"
    sheet.append(["ts", "tag", "value", "state"])
    values = (
        1,
        1.5,
        -0.0,
        1e300,
        "text",
        "12,5",
        True,
        None,
        "=1/0",
        "#N/A",
        date(1900, 2, 28),
        time(12, 30),
        "x" * 300,
    )
    for n in range(rows):
        at = datetime(2024, 3, 1, 12, 0, 0) + timedelta(seconds=n)  # noqa: DTZ001 - cells have no zone
        sheet.append(
            [at if n % 7 else at.isoformat(), rng.choice("abé"), rng.choice(values), rng.choice(("on", None, 0))]
        )
    if rows > 10:
        sheet.merge_cells("C3:D4")
        sheet["B6"] = openpyxl.cell.rich_text.CellRichText("rich ", "text")
        book.create_sheet("other").append([1, 2])
    target = io.BytesIO()
    book.save(target)
    with zipfile.ZipFile(target) as archive:
        return zipped([(i.filename, _WORKBOOK_TIMES.sub(b"", archive.read(i))) for i in archive.infolist()])


def _xlsx() -> Iterator[Case]:
    seeds = [_workbook(Random(rows), rows) for rows in (0, 1, 8, 40)]
    mutations = (*BYTES, *(_within_package,) * 24)
    yield _case(
        "xlsx/long", seeds, mutations, source="line", time={"field": "ts"}, long={"tag": "tag", "value": "value"},
        record={"model": "Row"},
    )  # fmt: skip
    yield _case("xlsx/wide", seeds, mutations, source="line", time={"field": "ts"}, wide={"without": ["tag"]})


_BUILDERS: Final[Mapping[str, Callable[[], Iterator[Case]]]] = {
    "arrow": functools.partial(_columnar, "arrow", _as_arrow),
    "b2mml": _b2mml,
    "csv": _csv,
    "json": _json,
    "json_lines": _json_lines,
    "line_protocol": _line_protocol,
    "mtconnect_streams": _mtconnect_streams,
    "opcua_pubsub": _opcua_pubsub,
    "parquet": functools.partial(_columnar, "parquet", _as_parquet),
    "shdr": _shdr,
    "sparkplug_b": _sparkplug_b,
    "tsv": _tsv,
    "xlsx": _xlsx,
}
FORMATS: Final = tuple(_BUILDERS)
