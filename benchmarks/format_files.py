"""Files of every format that hold the same made-up rows, and how each is read with nothing but a library.

A row is a tag, an instant, a value and a status; the tags are read one after the other in scans of one instant, so that
messages and wide tables hold just these rows too. What a row says is a function of its number and the seed alone, so
the same shape makes the same bytes (as long as DuckDB's `hash` stays the same). Formats that have no status go without.

A bare reader is what a good engineer would write to get the same rows as Parquet, and no more: no line numbers, nothing
kept of what cannot be read, no check of the outcome. It is a query of DuckDB, or a frame made with the usual library.

Belongs here: what has to be known of each format: writing it, declaring it to the product, reading it bare. Does not
belong here: running or timing anything (`formats`).
"""

from __future__ import annotations

import base64
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast

import duckdb
import polars as pl
import pyarrow as pa
from pyarrow import ipc

from idm_assets.capture.decoders.sparkplug_payload import Payload
from idm_assets.sql import literal

SOURCE: Final = "machine"
TAGS: Final = 10
FIRST_SCAN: Final = datetime(2024, 3, 4, tzinfo=UTC)
SCAN_US: Final = 731_000
UNCERTAIN: Final = 0x40950000

# lxml and pyarrow have no types.
_etree: Any = import_module("lxml.etree")
_arrow: Any = cast("Any", pa)
_ipc: Any = cast("Any", ipc)

_BATCH: Final = 50_000
_TYPES: Final = "{tag: 'VARCHAR', ts: 'TIMESTAMPTZ', value: 'DOUBLE', status: 'VARCHAR'}"
_WIDE: Final = ", ".join(f"t{number}" for number in range(TAGS))
_WIDE_TYPES: Final = ", ".join(f"t{number}: 'DOUBLE'" for number in range(TAGS))
_STREAMS: Final = "urn:mtconnect.org:MTConnectStreams:1.4"
_B2MML: Final = "http://www.mesa.org/xml/B2MML-V0600"
_DOUBLE: Final = 10
_UINT64: Final = 8


@dataclass(frozen=True, slots=True)
class Shape:
    """What is made.

    Attributes:
        format: one of `FORMATS`.
        rows: rows in total; each file gets the same number of whole scans, so that some may be left out.
        files: files.
        seed: another seed makes other values.
    """

    format: str
    rows: int
    files: int = 1
    seed: int = 1

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"unknown format {self.format!r}; known: {', '.join(FORMATS)}")
        if self.files < 1 or self.rows < self.files * TAGS:
            raise ValueError(f"a file has at least one scan of {TAGS} rows; found {self.rows} rows in {self.files}")

    @property
    def scans_per_file(self) -> int:
        """Scans in each file."""
        return self.rows // self.files // TAGS


@dataclass(frozen=True, slots=True)
class Made:
    """What was made, as it must be found again.

    Attributes:
        rows: observations or records.
        total: sum of their values.
    """

    rows: int
    total: float


Writer = Callable[[duckdb.DuckDBPyConnection, str, Path], None]
"""Writes the rows of a query, whose columns are those of `_rows`, to a file."""
Reader = Callable[[Sequence[Path]], "str | pl.DataFrame"]
"""Query or frame with the rows of some files; the columns differ, but there is always one called ``value``."""


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        suffix: ending of the file names.
        write: makes a file.
        bare: reads files without the product.
        library: what the bare reader is made of.
        declared: fields of the source declaration.
        beside: rows that each file has beside those that were asked for, all of the value 0.
    """

    suffix: str
    write: Writer
    bare: Reader
    library: str
    declared: Mapping[str, Any] = field(default_factory=dict[str, Any])
    beside: int = 0


def land(shape: Shape, folder: Path) -> Made:
    """Write all files of a shape to a folder, named by their numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    made = FORMATS[shape.format]
    rows, total = shape.files * made.beside, 0.0
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'").fetchall()
        for number in range(shape.files):
            query = _rows(shape, number * shape.scans_per_file)
            made.write(con, query, folder / f"{number:05}.{made.suffix}")
            found = con.execute(f"SELECT count(*), sum(value) FROM ({query})").fetchall()[0]
            rows, total = rows + found[0], total + found[1]
    return Made(rows, total)


def _rows(shape: Shape, first_scan: int) -> str:
    """Query for the rows of one file: ``scan, tag, ts, stamp, value, status``, ``stamp`` being ``ts`` as ISO 8601."""
    start = int(FIRST_SCAN.timestamp()) * 1_000_000
    first, end = first_scan * TAGS, (first_scan + shape.scans_per_file) * TAGS
    return f"""
        SELECT scan, tag, ts, strftime(ts, '%Y-%m-%dT%H:%M:%S.%gZ') AS stamp, value, status FROM (
            SELECT i // {TAGS} AS scan, 't' || i % {TAGS} AS tag,
                make_timestamptz({start} + i // {TAGS} * {SCAN_US}) AS ts,
                round(60 + 40 * sin(i / 50000.0) + (hash(i, 'value', {shape.seed}) % 20000) / 1000, 3) AS value,
                CASE WHEN hash(i, 'status', {shape.seed}) % 50 = 0 THEN 'UncertainSubNormal' ELSE 'Good' END AS status
            FROM range({first}, {end}) AS r(i)
        )
    """


# --- text ------------------------------------------------------------------------------------------------


def _lines(con: duckdb.DuckDBPyConnection, query: str, between: str = "\n") -> Iterator[str]:
    """The only column of a query as text with something between the rows, in large pieces."""
    con.execute(query)
    before = ""
    while batch := con.fetchmany(_BATCH):
        yield before + between.join(line for (line,) in batch)
        before = between


def _text(line: str, *, before: str = "", between: str = "\n", after: str = "\n", scans: bool = False) -> Writer:
    """Writer of text: an SQL expression for each row or, with what is aggregated, for each scan."""

    def write(con: duckdb.DuckDBPyConnection, rows: str, path: Path) -> None:
        query = f"SELECT {line} FROM ({rows})" + (" GROUP BY scan, stamp ORDER BY scan" if scans else "")
        with path.open("w", encoding="utf-8", newline="") as file:
            file.write(before)
            file.writelines(_lines(con, query, between))
            file.write(after)

    return write


def _paths(paths: Sequence[Path]) -> str:
    return f"[{', '.join(literal(str(path)) for path in paths)}]"


def _bare_csv(paths: Sequence[Path]) -> str:
    return (
        f"SELECT * FROM read_csv({_paths(paths)}, header = true, delim = ',', auto_detect = false, columns = {_TYPES})"
    )


def _bare_wide(paths: Sequence[Path]) -> str:
    types = f"{{ts: 'TIMESTAMPTZ', {_WIDE_TYPES}}}"
    wide = (
        f"SELECT * FROM read_csv({_paths(paths)}, header = true, delim = ',', auto_detect = false, columns = {types})"
    )
    return f"SELECT * FROM (UNPIVOT ({wide}) ON {_WIDE} INTO NAME tag VALUE value)"


def _bare_json(kind: str) -> Reader:
    return lambda paths: f"SELECT * FROM read_json({_paths(paths)}, format = '{kind}', columns = {_TYPES})"


def _bare_shdr(paths: Sequence[Path]) -> str:
    lines = (
        f"SELECT string_split(line, '|') AS s FROM read_csv({_paths(paths)}, header = false, auto_detect = false,"
        " columns = {line: 'VARCHAR'}, delim = '\x01', quote = '', escape = '')"
    )
    return f"SELECT s[2] AS tag, s[1]::TIMESTAMPTZ AS ts, s[3]::DOUBLE AS value FROM ({lines})"


def _bare_line_protocol(paths: Sequence[Path]) -> pl.DataFrame:
    """No library reads line protocol well, so this splits lines as one would who knows that nothing is escaped."""
    tags: list[str] = []
    times: list[int] = []
    values: list[float] = []
    for path in paths:
        with path.open(encoding="utf-8") as file:
            for line in file:
                series, fields, time = line.split(" ")
                line_tags = dict(part.split("=", 1) for part in series.split(",")[1:])
                for part in fields.split(","):
                    name, value = part.split("=", 1)
                    tags.append(f"{line_tags['sensor']}.{name}")
                    times.append(int(time) // 1000)
                    values.append(float(value))
    return _since_1970(tags, times, values, "us")


_JSON_ROW: Final = (
    """'{"tag":"' || tag || '","ts":"' || stamp || '","value":' || value || ',"status":"' || status || '"}'"""
)


# --- tables ----------------------------------------------------------------------------------------------


def _write_parquet(con: duckdb.DuckDBPyConnection, rows: str, path: Path) -> None:
    con.execute(
        f"COPY (SELECT tag, ts, value, status FROM ({rows})) TO {literal(str(path))} (FORMAT parquet)"
    ).fetchall()


def _write_arrow(con: duckdb.DuckDBPyConnection, rows: str, path: Path) -> None:
    reader = con.sql(f"SELECT tag, ts, value, status FROM ({rows})").to_arrow_reader(_BATCH)
    options = _ipc.IpcWriteOptions(compression="lz4")
    with _arrow.OSFile(str(path), "wb") as sink, _ipc.new_file(sink, reader.schema, options=options) as writer:
        for batch in reader:
            writer.write_batch(batch)


_SHEET: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_SHEET_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_STRINGS: Final = ("tag", "ts", "value", "status", *(f"t{n}" for n in range(TAGS)), "Good", "UncertainSubNormal")
_WORKBOOK: Final[Mapping[str, str]] = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_SHEET_TYPE}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_SHEET_TYPE}.worksheet+xml"/>'
    f'<Override PartName="/xl/styles.xml" ContentType="{_SHEET_TYPE}.styles+xml"/>'
    f'<Override PartName="/xl/sharedStrings.xml" ContentType="{_SHEET_TYPE}.sharedStrings+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" '
    f'Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_SHEET}" xmlns:r="{_OFFICE}"><sheets>'
    '<sheet name="Export" sheetId="1" r:id="r1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="r1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
    f'<Relationship Id="r2" Type="{_OFFICE}/styles" Target="styles.xml"/>'
    f'<Relationship Id="r3" Type="{_OFFICE}/sharedStrings" Target="sharedStrings.xml"/></Relationships>',
    "xl/styles.xml": f'<styleSheet xmlns="{_SHEET}">'
    '<numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss.000"/></numFmts>'
    '<fonts count="1"><font/></fonts><fills count="1"><fill/></fills><borders count="1"><border/></borders>'
    '<cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="2"><xf/>'
    '<xf numFmtId="164" applyNumberFormat="1"/></cellXfs></styleSheet>',
    "xl/sharedStrings.xml": f'<sst xmlns="{_SHEET}" count="{len(_STRINGS)}" uniqueCount="{len(_STRINGS)}">'
    + "".join(f"<si><t>{text}</t></si>" for text in _STRINGS)
    + "</sst>",
}
_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'


def _write_xlsx(con: duckdb.DuckDBPyConnection, rows: str, path: Path) -> None:
    """A workbook as Excel writes it: shared strings, instants as days since 1900 with a style of dates."""
    header = "".join(f'<c r="{column}1" t="s"><v>{index}</v></c>' for index, column in enumerate("ABCD"))
    line = (
        """'<row r="' || n || '"><c r="A' || n || '" t="s"><v>' || (4 + tag[2:]::INTEGER) || '</v></c><c r="B' || n"""
        """ || '" s="1"><v>' || (epoch_us(ts) / 86400000000 + 25569) || '</v></c><c r="C' || n || '"><v>' || value"""
        f""" || '</v></c><c r="D' || n || '" t="s"><v>' || CASE status WHEN 'Good' THEN {4 + TAGS}"""
        f" ELSE {5 + TAGS} END || '</v></c></row>'"
    )
    query = f"SELECT {line} FROM (SELECT row_number() OVER () + 1 AS n, * FROM ({rows}))"
    with zipfile.ZipFile(path, "w") as package:
        for name, content in _WORKBOOK.items():
            package.writestr(_entry(name), _DECLARATION + content)
        with package.open(_entry("xl/worksheets/sheet1.xml"), "w") as sheet:
            sheet.write(f'{_DECLARATION}<worksheet xmlns="{_SHEET}"><sheetData><row r="1">{header}</row>'.encode())
            for lines in _lines(con, query):
                sheet.write(lines.encode())
            sheet.write(b"</sheetData></worksheet>")


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _bare_parquet(paths: Sequence[Path]) -> str:
    return f"SELECT * FROM read_parquet({_paths(paths)})"


def _bare_arrow(paths: Sequence[Path]) -> pl.DataFrame:
    return pl.concat([pl.read_ipc(path) for path in paths])


def _bare_xlsx(paths: Sequence[Path]) -> pl.DataFrame:
    return pl.concat([pl.read_excel(path, engine="calamine") for path in paths])


# --- elements --------------------------------------------------------------------------------------------

_STREAMS_HEAD: Final = (
    f'{_DECLARATION}<MTConnectStreams xmlns="{_STREAMS}"><Header creationTime="2024-03-05T00:00:00Z" sender="agent"'
    ' instanceId="1" version="1.4" bufferSize="131072" firstSequence="1" lastSequence="1" nextSequence="1"/><Streams>'
    f'<DeviceStream name="{SOURCE}" uuid="{SOURCE}"><ComponentStream component="Device" componentId="{SOURCE}"'
    f' name="{SOURCE}"><Samples>\n'
)
_STREAMS_TAIL: Final = "\n</Samples></ComponentStream></DeviceStream></Streams></MTConnectStreams>\n"
_STREAMS_ROW: Final = (
    f"""'<Temperature dataItemId="{SOURCE}_' || tag || '" name="' || tag || '" timestamp="' || stamp"""
    """ || '" sequence="' || (scan * 10 + tag[2:]::INTEGER + 1) || '">' || value || '</Temperature>'"""
)
_B2MML_HEAD: Final = (
    f'{_DECLARATION}<ProductionPerformance xmlns="{_B2MML}"><ID>performance</ID><ProductionResponse><ID>response</ID>\n'
)
_B2MML_TAIL: Final = "\n</ProductionResponse></ProductionPerformance>\n"
_B2MML_ROW: Final = (
    "'<SegmentResponse><ID>' || tag || '</ID><ActualStartTime>' || stamp || '</ActualStartTime><SegmentState>'"
    " || status || '</SegmentState><MaterialActual><Quantity><QuantityString>' || value"
    " || '</QuantityString></Quantity></MaterialActual></SegmentResponse>'"
)


def _bare_streams(paths: Sequence[Path]) -> pl.DataFrame:
    found = [e for path in paths for e in _etree.parse(path).getroot().findall(f".//{{{_STREAMS}}}Samples/*")]
    return _iso([e.get("name") for e in found], [e.get("timestamp") for e in found], [float(e.text) for e in found])


def _bare_b2mml(paths: Sequence[Path]) -> pl.DataFrame:
    roots = [_etree.parse(path).getroot() for path in paths]

    def texts(*steps: str) -> list[str]:
        way = "/".join(f"{{{_B2MML}}}{step}" for step in ("SegmentResponse", *steps))
        return [element.text for root in roots for element in root.findall(f".//{way}")]

    values = [float(text) for text in texts("MaterialActual", "Quantity", "QuantityString")]
    return _iso(texts("ID"), texts("ActualStartTime"), values, status=texts("SegmentState"))


# --- messages --------------------------------------------------------------------------------------------

_PUBSUB_FIELD: Final = (
    """'"' || tag || '":{"Value":' || value || ',"SourceTimestamp":"' || stamp || '"' || CASE status WHEN 'Good'"""
    f""" THEN '' ELSE ',"StatusCode":{{"Code":{UNCERTAIN}}}' END || '}}'"""
)
_PUBSUB_MESSAGE: Final = (
    f"""'{{"MessageId":"' || scan || '","MessageType":"ua-data","PublisherId":"{SOURCE}","Messages":["""
    """{"DataSetWriterId":1,"DataSetWriterName":"scan","SequenceNumber":' || (scan + 1) || ',"Timestamp":"' || stamp"""
    f""" || '","Payload":{{' || string_agg({_PUBSUB_FIELD}, ',' ORDER BY tag) || '}}}}]}}'"""
)


def _bare_pubsub(paths: Sequence[Path]) -> pl.DataFrame:
    tags: list[str] = []
    times: list[str] = []
    values: list[float] = []
    statuses: list[int] = []
    for path in paths:
        with path.open("rb") as file:
            for line in file:
                for message in json.loads(line)["Messages"]:
                    for name, told in message["Payload"].items():
                        tags.append(name)
                        times.append(told["SourceTimestamp"])
                        values.append(told["Value"])
                        statuses.append(told.get("StatusCode", {}).get("Code", 0))
    return _iso(tags, times, values, status=statuses)


def _write_sparkplug(con: duckdb.DuckDBPyConnection, rows: str, path: Path) -> None:
    """A node and its device are born, and then the device tells a scan at a time, by the aliases of its birth."""
    con.execute(f"SELECT epoch_ms(ts), list(value ORDER BY tag) FROM ({rows}) GROUP BY scan, ts ORDER BY scan")
    number = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        while batch := con.fetchmany(_BATCH // TAGS):
            for time, values in batch:
                if not number:
                    file.write(_recorded(f"spBv1.0/site/NBIRTH/{SOURCE}", _node_birth(time), time))
                kind = "DDATA" if number else "DBIRTH"
                payload = _scan(time, (number + 1) % 256, values, is_birth=not number)
                file.write(_recorded(f"spBv1.0/site/{kind}/{SOURCE}/device", payload, time))
                number += 1


def _recorded(topic: str, payload: bytes, time: int) -> str:
    stamp = f"{datetime.fromtimestamp(time / 1000, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    return json.dumps({"topic": topic, "payload": base64.b64encode(payload).decode(), "received": stamp}) + "\n"


def _node_birth(time: int) -> bytes:
    birth = Payload(timestamp=time, seq=0)
    birth.metrics.add(name="bdSeq", timestamp=time, datatype=_UINT64, long_value=0)
    return birth.SerializeToString()


def _scan(time: int, seq: int, values: Sequence[float], *, is_birth: bool) -> bytes:
    message = Payload(timestamp=time, seq=seq)
    for alias, value in enumerate(values):
        named = {"name": f"t{alias}", "datatype": _DOUBLE} if is_birth else {}
        message.metrics.add(alias=alias, timestamp=time, double_value=value, **named)
    return message.SerializeToString()


def _bare_sparkplug(paths: Sequence[Path]) -> pl.DataFrame:
    tags: list[str] = []
    times: list[int] = []
    values: list[float] = []
    for path in paths:
        names: dict[tuple[str, int], str] = {}
        with path.open("rb") as file:
            for line in file:
                told = json.loads(line)
                sender = told["topic"].split("/", 3)[3]
                for metric in Payload.FromString(base64.b64decode(told["payload"])).metrics:
                    if metric.name:
                        names[sender, metric.alias] = metric.name
                    tags.append(metric.name or names[sender, metric.alias])
                    times.append(metric.timestamp)
                    values.append(float(getattr(metric, metric.WhichOneof("value"))))
    return _since_1970(tags, times, values, "ms")


# --- frames ----------------------------------------------------------------------------------------------


def _iso(
    tags: Sequence[str], times: Sequence[str], values: Sequence[float], status: Sequence[str | int] = ()
) -> pl.DataFrame:
    more = {"status": status} if status else {}
    instants = pl.Series(times, dtype=pl.String).str.to_datetime(
        "%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", time_zone="UTC"
    )
    return pl.DataFrame({"tag": tags, "ts": instants, "value": values, **more})


def _since_1970(tags: Sequence[str], times: Sequence[int], values: Sequence[float], unit: Any) -> pl.DataFrame:  # noqa: ANN401 - a literal of polars
    instants = pl.from_epoch(pl.Series(times, dtype=pl.Int64), unit).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return pl.DataFrame({"tag": tags, "ts": instants, "value": values})


# --- all of them -----------------------------------------------------------------------------------------

_LONG: Final = {"time": {"field": "ts"}, "long": {"tag": "tag", "value": "value", "status": "status"}}
_SEGMENT: Final = {
    "element": "SegmentResponse",
    "timestamp": "ActualStartTime",
    "fields": {
        "tag": "ID",
        "value": "MaterialActual/Quantity/QuantityString",
        "status": "SegmentState",
    },
}

FORMATS: Final[Mapping[str, Format]] = {
    "csv": Format(
        "csv",
        _text("tag || ',' || stamp || ',' || value || ',' || status", before="tag,ts,value,status\n"),
        _bare_csv,
        "DuckDB read_csv",
        {"format": "csv", **_LONG},
    ),
    "csv_wide": Format(
        "csv",
        _text(
            "stamp || ',' || string_agg(value::VARCHAR, ',' ORDER BY tag)",
            before=f"ts,{_WIDE.replace(' ', '')}\n",
            scans=True,
        ),
        _bare_wide,
        "DuckDB read_csv, UNPIVOT",
        {"format": "csv", "time": {"field": "ts"}, "wide": {}},
    ),
    "json_lines": Format(
        "jsonl",
        _text(_JSON_ROW),
        _bare_json("newline_delimited"),
        "DuckDB read_json",
        {"format": "json_lines", **_LONG},
    ),
    "json": Format(
        "json",
        _text(_JSON_ROW, before="[\n", between=",\n", after="\n]\n"),
        _bare_json("array"),
        "DuckDB read_json",
        {"format": "json", **_LONG},
    ),
    "parquet": Format("parquet", _write_parquet, _bare_parquet, "DuckDB read_parquet", {"format": "parquet", **_LONG}),
    "arrow": Format("arrow", _write_arrow, _bare_arrow, "Polars read_ipc", {"format": "arrow", **_LONG}),
    "xlsx": Format("xlsx", _write_xlsx, _bare_xlsx, "Polars read_excel (calamine)", {"format": "xlsx", **_LONG}),
    "shdr": Format(
        "shdr",
        _text("stamp || '|' || tag || '|' || value"),
        _bare_shdr,
        "DuckDB read_csv, string_split",
        {"format": "shdr"},
    ),
    "line_protocol": Format(
        "lp",
        _text(f"'{SOURCE},sensor=' || tag || ' value=' || value || ' ' || epoch_us(ts) || '000'"),
        _bare_line_protocol,
        "Python, split",
        {"format": "line_protocol", "options": {"tag": "{sensor}.{field}"}},
    ),
    "mtconnect_streams": Format(
        "xml",
        _text(_STREAMS_ROW, before=_STREAMS_HEAD, after=_STREAMS_TAIL),
        _bare_streams,
        "lxml parse, findall",
        {"format": "mtconnect_streams"},
    ),
    "b2mml": Format(
        "xml",
        _text(_B2MML_ROW, before=_B2MML_HEAD, after=_B2MML_TAIL),
        _bare_b2mml,
        "lxml parse, findall",
        {"format": "b2mml", "options": _SEGMENT, "record": {"model": "Segment"}},
    ),
    "opcua_pubsub": Format(
        "json",
        _text(_PUBSUB_MESSAGE, scans=True),
        _bare_pubsub,
        "json.loads, loop",
        {"format": "opcua_pubsub", "options": {"tag": "field"}},
    ),
    "sparkplug_b": Format(
        "jsonl", _write_sparkplug, _bare_sparkplug, "protobuf FromString, loop", {"format": "sparkplug_b"}, beside=1
    ),
}
"""The formats by name; ``csv_wide`` is CSV with a column per tag."""
