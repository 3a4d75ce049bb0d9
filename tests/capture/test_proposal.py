"""Proposals: what real and made files are recognised as, and that a proposal is in force as it is written."""

import codecs
import io
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import ipc
from pydantic import BaseModel

from idm_assets.capture.proposal import Proposal, Said, Unrecognised, propose, sampled, samples, template
from idm_assets.capture.shapes import LongReading, RecordReading, WideReading
from idm_assets.capture.sources import SourceEntry, load_sources
from idm_assets.capture.trial import Trial, landing_path, try_file
from idm_assets.configuration import load_yaml
from idm_assets.status import symbols

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
START = datetime(2024, 3, 18, 8, tzinfo=UTC)
TIMES = [START + timedelta(minutes=7 * n) for n in range(60)]


class Proposer:
    """Proposes declarations for files in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._count = 0

    def found(self, file: Path) -> Proposal | Unrecognised:
        work = self._fresh()
        sample = sampled(file, work)
        return sample if isinstance(sample, Unrecognised) else propose(sample)

    def written(self, name: str, content: str | bytes) -> Path:
        path = self._fresh() / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def entry(self, file: Path) -> SourceEntry:
        """The proposal for a file, as the configuration loads it."""
        found = self.found(file)
        assert isinstance(found, Proposal), found.why
        return self.loaded(found.text)

    def loaded(self, text: str) -> SourceEntry:
        config = self._fresh()
        (config / "sources").mkdir()
        (config / "sources" / "proposed.yaml").write_text(text, encoding="utf-8")
        (entry,) = load_sources(config)
        return entry

    def of(self, name: str, content: str | bytes) -> SourceEntry:
        return self.entry(self.written(name, content))

    def text(self, name: str, content: str | bytes) -> str:
        found = self.found(self.written(name, content))
        assert isinstance(found, Proposal), found.why
        return " ".join(line.strip(" #") for line in found.text.split("\n"))

    def why(self, name: str, content: str | bytes) -> Unrecognised:
        found = self.found(self.written(name, content))
        assert isinstance(found, Unrecognised), found.text
        return found

    def _fresh(self) -> Path:
        self._count += 1
        folder = self.folder / f"{self._count}"
        folder.mkdir()
        return folder


@pytest.fixture
def proposer(tmp_path: Path) -> Proposer:
    return Proposer(tmp_path)


def tried(entry: SourceEntry, file: Path) -> Trial:
    trial = try_file(entry, file, landing_path(entry, file), 100_000)
    for capture in trial.captures:
        assert capture["lines"] == capture["decoded_lines"] + capture["quarantined"] + capture["skipped"]
    return trial


def table(header: str, row: Callable[[int, datetime], str], end: str = "\n") -> str:
    return "".join(line + end for line in [header, *(row(n, time) for n, time in enumerate(TIMES))])


# --- real files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "decoded", "observations", "records"),
    [
        ("proposals/2016-09-01.csv", 199, 199 * 6, 0),
        ("proposals/2017-07-05_Seat_Leon_RT_S_Stau.csv", 149, 149 * 10 - 45, 0),
        ("proposals/2018-02-23_Seat_Leon_S_S_Stau.csv", 149, 149 * 10 - 45, 0),
        ("proposals/machine_temperature_system_failure.csv", 199, 199, 0),
        ("proposals/historian_export.csv", 73, 73, 0),
        ("proposals/air_quality_synthetic.csv", 60, 60 * 5, 0),
        ("proposals/capmetro_2016-09-01.jsonl", 100, 100 * 5, 0),
        ("proposals/nab_machine_temperature.lp", 60, 60, 0),
        ("proposals/Mazak01-20161107-20161108.txt", 161, 161, 0),
        ("mtconnect_streams/qdr_input141.xml", 26, 26, 0),
        ("opcua_pubsub_json/sample_01.json", 5, 5, 0),
        ("b2mml/PRO-20121210181416-27942.xml", 3, 0, 3),
        ("excavators/excavators.csv", 309, 0, 309),
    ],
)
def test_real_files_are_decoded_in_full_by_what_is_proposed(
    proposer: Proposer, name: str, decoded: int, observations: int, records: int
):
    trial = tried(proposer.entry(VECTORS / name), VECTORS / name)
    (capture,) = trial.captures
    assert not trial.left
    assert (capture["standing"], capture["quarantined"]) == ("decoded", 0), trial.samples["quarantine"][:3]
    assert (capture["decoded_lines"], capture["observations"], capture["records"]) == (decoded, observations, records)


def test_positions_of_a_fleet_name_their_source_and_the_file_its_day(proposer: Proposer):
    entry = proposer.entry(VECTORS / "proposals" / "2016-09-01.csv")
    assert entry.wide == WideReading(source="vehicle_id")
    assert entry.time is not None
    assert (entry.time.field, entry.time.format, entry.source) == ("timestamp", "iso", None)
    assert entry.path_pattern == r"(?:.*/)?(?P<day>\d{4}-\d{2}-\d{2})\.csv"


def test_a_trip_has_its_date_and_source_in_its_name_and_units_in_its_header(proposer: Proposer):
    file = VECTORS / "proposals" / "2017-07-05_Seat_Leon_RT_S_Stau.csv"
    entry = proposer.entry(file)
    assert entry.time is not None
    assert (entry.time.field, entry.time.format) == (("{day}", "Time"), "iso")
    assert entry.options == {"units": "in_brackets"}
    first = tried(entry, file).samples["observations"][0]
    assert first["ts"] == datetime(2017, 7, 5, 7, 16, 30, 444_000, tzinfo=UTC)
    assert (first["source"], first["tag"]) == ("Seat_Leon_RT_S_Stau", "Engine Coolant Temperature")
    assert json.loads(first["detail"]) == {"unit": "°C"}, "the header was encoded twice"


def test_decimal_commas_two_columns_of_time_and_a_sentinel_that_is_not_switched_on(proposer: Proposer):
    file = VECTORS / "proposals" / "air_quality_synthetic.csv"
    found = proposer.found(file)
    assert isinstance(found, Proposal)
    entry = proposer.loaded(found.text)
    assert entry.options == {"decimal": ","}, "(GT) and (CO) are no units"
    assert entry.time is not None
    assert (entry.time.field, entry.time.format) == (("Date", "Time"), "%d/%m/%Y %H.%M.%S")
    assert entry.status.sentinels == {}
    assert "# status: {sentinels: [-200]}" in found.text
    assert "-200 comes 17 times" in found.text
    switched_on = proposer.loaded(found.text.replace("# status: {sentinels", "status: {sentinels"))
    assert list(switched_on.status.sentinels) == [-200]


def test_a_historian_export_is_long_and_its_strange_status_is_asked_for(proposer: Proposer):
    entry = proposer.entry(VECTORS / "proposals" / "historian_export.csv")
    assert entry.long == LongReading(tag="TagName", value="Value", status="Status")
    assert entry.status.words == {}, "Good is a symbol of OPC UA"


def test_work_orders_are_records_of_a_model_to_be_written(proposer: Proposer):
    file = VECTORS / "excavators" / "excavators.csv"
    entry = proposer.entry(file)
    assert entry.record is not None
    assert entry.record.model == "WorkOrder"
    found = proposer.found(file)
    assert isinstance(found, Proposal)
    assert "idm model new" in found.text
    assert "wide: {}" in found.text


def test_messages_have_their_columns_by_paths_and_their_source_in_the_topic(proposer: Proposer):
    entry = proposer.entry(VECTORS / "proposals" / "capmetro_2016-09-01.jsonl")
    assert entry.format == "json_lines"
    assert entry.wide is not None
    assert entry.wide.source == "topic"
    assert entry.wide.columns["lat"] == "payload.lat"


def test_line_protocol_takes_its_source_and_unit_from_the_line_tags(proposer: Proposer):
    entry = proposer.entry(VECTORS / "proposals" / "nab_machine_temperature.lp")
    assert entry.options == {"source": "{site}/{equipment}", "unit": "unit"}


def test_logs_of_an_adapter_name_their_machine_in_the_path(proposer: Proposer):
    entry = proposer.entry(VECTORS / "proposals" / "Mazak01-20161107-20161108.txt")
    assert entry.format == "shdr"
    assert entry.path_pattern == r"(?:.*/)?(?P<source>[^/]+)-(?P<day>\d{8})-\d{8}\.txt"


@pytest.mark.parametrize("number", [1, 3, 5, 6, 8, 11, 12, 13, 14, 15, 16, 17])
def test_opc_ua_messages_are_decoded_in_every_layout(proposer: Proposer, number: int):
    file = VECTORS / "opcua_pubsub_json" / f"sample_{number:02d}.json"
    entry = proposer.entry(file)
    assert entry.format == "opcua_pubsub"
    if number in {5, 14}:
        assert entry.options == {"missing_time": "enqueued"}
        assert tried(entry, file).captures[0]["quarantined"] == 0


def test_records_of_b2mml_take_their_time_from_the_message_where_they_have_none(proposer: Proposer):
    entry = proposer.entry(VECTORS / "b2mml" / "PRO-20121210181416-27942.xml")
    assert entry.options == {"element": "SegmentRequirement", "timestamp": "/ApplicationArea/CreationDateTime"}
    assert entry.record == RecordReading(model="SegmentRequirement")


# --- dialects ----------------------------------------------------------------------------------------------


def german(number: float) -> str:
    return f"{number:,.2f}".translate(str.maketrans(",.", ".,"))


def test_an_export_of_a_german_control_system(proposer: Proposer):
    head = "Anlage 7;\r\nErstellt von Müller\r\n\r\n"
    rows = table(
        "Zeitstempel;Temperatur [°C];Druck [mbar];Ventil",
        lambda n, t: f"{t:%d.%m.%Y %H:%M:%S};{german(20 + n / 7)};{german(1000 + 37.5 * n)};{'-' if n % 9 else '3,5'}",
        "\r\n",
    )
    file = proposer.written("messung.csv", (head + rows).encode("cp1252"))
    entry = proposer.entry(file)
    assert entry.options == {
        "encoding": "windows-1252", "delimiter": ";", "decimal": ",", "thousands": ".", "preamble": 3,
        "units": "in_brackets",
    }  # fmt: skip
    assert entry.time is not None
    assert entry.time.format == "%d.%m.%Y %H:%M:%S"
    assert entry.status.missing == ("-",)
    trial = tried(entry, file)
    assert trial.captures[0]["decoded_lines"] == 60
    last = trial.samples["observations"][-2]
    assert (last["tag"], last["value"], json.loads(last["detail"])) == ("Druck", 3212.5, {"unit": "mbar"})


def test_several_lines_name_the_columns_and_times_are_numbers(proposer: Proposer):
    rows = table("t\tTemp\tPress\n\t[°C]\t[bar]", lambda n, t: f"{int(t.timestamp() * 1000)}\t{n}\t{1.5 * n}")
    entry = proposer.of("two.txt", rows)
    assert entry.format == "tsv"
    assert entry.options == {"header": 2, "units": "in_brackets"}
    assert entry.time is not None
    assert entry.time.format == "epoch_ms"


def test_without_a_header_columns_are_numbered_and_none_is_left_out(proposer: Proposer):
    rows = table("", lambda n, t: f"{t:%Y-%m-%dT%H:%M:%SZ},{n},{1.5 * n},run").lstrip("\n")
    file = proposer.written("bare.csv", rows)
    entry = proposer.entry(file)
    assert entry.options == {"header": 0}
    assert entry.wide == WideReading()
    assert tried(entry, file).captures[0]["observations"] == 180


def test_a_column_that_only_counts_the_rows_is_no_tag(proposer: Proposer):
    entry = proposer.of("frame.csv", table(",time,a", lambda n, t: f"{n},{t:%Y-%m-%d %H:%M:%S},{n * n}"))
    assert entry.wide == WideReading(without=("column_1",))


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-8-sig", "utf-32"])
def test_text_in_other_encodings_is_read(proposer: Proposer, codec: str):
    rows = table("time;größe", lambda n, t: f"{t:%Y-%m-%d %H:%M:%S};{n}")
    entry = proposer.of("wide.csv", rows.encode(codec))
    assert entry.options == ({"encoding": "utf-16-le"} if codec == "utf-16-le" else {}) | {"delimiter": ";"}


def test_the_date_may_stand_before_the_header(proposer: Proposer):
    rows = table("Time|Ch1|Ch2", lambda n, t: f"{t:%H:%M:%S}|{n}|{n / 3:.3f}")
    file = proposer.written("logger.txt", f"Logger XY\nDate: 2024-03-18\nSerial: 7\n\n{rows}")
    entry = proposer.entry(file)
    assert entry.options == {"delimiter": "|", "preamble": 4, "facts": r"\b(?P<day>\d{4}-\d{2}-\d{2})\b"}
    assert tried(entry, file).samples["observations"][0]["ts"] == START


def test_comments_between_rows_are_told_from_lines_before_the_header(proposer: Proposer):
    rows = table("time,a", lambda n, t: f"{t:%Y-%m-%d %H:%M:%S},{n}" + ("\n# calibrated" if n == 30 else ""))
    assert proposer.of("notes.csv", f"# made by x\n{rows}").options == {"preamble": 1, "comment": "#"}
    plain = table("time,a", lambda n, t: f"{t:%Y-%m-%d %H:%M:%S},{n}")
    assert proposer.of("notes.csv", f"# made by x\n{plain}").options == {"preamble": 1}


def test_single_quotes_hold_delimiters(proposer: Proposer):
    rows = table("time;'a;x';b", lambda n, t: f"{t:%Y-%m-%d %H:%M:%S};'{n};on';{n}")
    assert proposer.of("quoted.csv", rows).options == {"delimiter": ";", "quote": "'"}


# --- time --------------------------------------------------------------------------------------------------


def test_the_day_is_told_from_the_month_by_numbers_over_twelve(proposer: Proposer):
    american = proposer.of("us.csv", table("when,a", lambda n, t: f"{t:%m/%d/%Y %I:%M:%S %p},{n}"))
    assert american.time is not None
    assert american.time.format == "%m/%d/%Y %I:%M:%S %p"
    text = proposer.text("uk.csv", table("when,a", lambda n, t: f"{t:%d/%m/%Y %H:%M},{n}"))
    assert "%d/%m/%Y %H:%M" in text
    assert "the day comes first" in text
    assert "AMBIGUOUS" not in text


@pytest.mark.parametrize("form", ["%d/%m/%Y", "%m/%d/%Y"])
def test_an_ambiguous_date_is_read_so_that_rows_follow_each_other_and_is_marked(proposer: Proposer, form: str):
    days = [datetime(2024, 3, 1 + n // 6, 10, n % 6, tzinfo=UTC) for n in range(60)]
    rows = "when,a\n" + "".join(f"{day.strftime(form)} {day:%H:%M},{n}\n" for n, day in enumerate(days))
    assert "AMBIGUOUS" in proposer.text("ambiguous.csv", rows)
    entry = proposer.of("ambiguous.csv", rows)
    assert entry.time is not None
    assert entry.time.format == f"{form} %H:%M"


def test_a_time_of_day_without_any_date_is_no_time(proposer: Proposer):
    found = proposer.why("trip.csv", table("Time,a", lambda n, t: f"{t:%H:%M:%S},{n}"))
    assert '"Time", "a"' in found.why
    assert "format: csv" in found.template


def test_seconds_since_the_start_are_no_time(proposer: Proposer):
    assert (
        "none of its fields says the time" in proposer.why("rel.csv", table("time,a", lambda n, _: f"{n / 10},{n}")).why
    )


def test_midnights_beside_a_time_of_day_are_dates(proposer: Proposer):
    file = proposer.written("mid.csv", table("Date,Time,a", lambda n, t: f"{t:%Y-%m-%d} 00:00:00,{t:%H:%M:%S},{n}"))
    entry = proposer.entry(file)
    assert tried(entry, file).samples["observations"][1]["ts"] == TIMES[1]


def test_the_time_of_the_event_comes_before_that_of_the_server(proposer: Proposer):
    row = "{1:%Y-%m-%dT%H:%M:%SZ},{1:%Y-%m-%dT%H:%M:%SZ},{0}"
    entry = proposer.of("two.csv", table("ServerTimestamp,SourceTimestamp,a", row.format))
    assert entry.time is not None
    assert entry.time.field == "SourceTimestamp"


def test_digits_that_no_name_calls_a_time_are_none(proposer: Proposer):
    found = proposer.why("ids.csv", table("order,a", lambda n, t: f"{t:%Y%m%d},{n}"))
    assert "none of its fields says the time" in found.why


# --- shapes and values -------------------------------------------------------------------------------------


def test_qualities_of_opc_da_are_told_from_codes_of_opc_ua(proposer: Proposer):
    rows = table(
        "TagID;Timestamp;Val;Quality;Unit",
        lambda n, t: f"FIC{n % 3};{t:%Y-%m-%d %H:%M:%S};{n};{192 if n % 7 else 24};m3/h",
    )
    entry = proposer.of("da.csv", rows)
    assert entry.long == LongReading(tag="TagID", value="Val", status="Quality", unit="Unit")
    assert entry.status.scale == "opc_da"


def test_words_for_statuses_get_a_meaning_to_be_checked(proposer: Proposer):
    rows = table(
        "tag,time,value,status",
        lambda n, t: f"T{n % 3},{t:%Y-%m-%d %H:%M:%S},{n},{('OK', 'Fault', 'Blorp', 'Good')[n % 4]}",
    )
    file = proposer.written("words.csv", rows)
    entry = proposer.entry(file)
    meanings = {word: symbols()[code][0] for word, code in entry.status.words.items()}
    assert meanings == {"ok": "Good", "fault": "Bad", "blorp": "Uncertain"}
    assert tried(entry, file).captures[0]["quarantined"] == 0
    assert "not a known word" in proposer.text("words.csv", rows)


def test_a_thing_is_the_source_of_its_values_and_no_tag(proposer: Proposer):
    rows = table("when,machine,temp", lambda n, t: f"{t:%Y-%m-%d %H:%M:%S},M{n % 2},{n}")
    entry = proposer.of("machines.csv", rows)
    assert entry.wide == WideReading(source="machine")
    assert entry.source is None


def test_texts_that_stand_for_no_value_are_declared_and_others_are_told(proposer: Proposer):
    rows = table("time,a,b", lambda n, t: f"{t:%Y-%m-%d %H:%M:%S},{'NaN' if n % 5 else n},{'err' if n == 7 else n}")
    entry = proposer.of("missing.csv", rows)
    assert entry.status.missing == ("nan",)
    assert 'are kept as text: "err"' in proposer.text("missing.csv", rows)


def test_a_sentinel_recurs_far_from_the_rest(proposer: Proposer):
    def rows(odd: float, every: int) -> str:
        return table("time,a", lambda n, t: f"{t:%Y-%m-%d %H:%M:%S},{odd if n % every == 3 else 20 + n % 17}")

    assert "sentinels: [65535]" in proposer.text("a.csv", rows(65535, 11))
    assert "sentinels: [4711]" in proposer.text("a.csv", rows(4711, 11)), "also one that nobody has heard of"
    assert "sentinels" not in proposer.text("a.csv", rows(4711, 60)), "once may be a peak"
    assert "sentinels" not in proposer.text("a.csv", rows(45, 11)), "not far"


def test_items_of_documents_are_rows_with_what_stands_around_them(proposer: Proposer):
    documents = [
        {"device": f"d{n % 2}", "ts": int(t.timestamp()), "metrics": [{"name": m, "value": n} for m in ("temp", "p")]}
        for n, t in enumerate(TIMES)
    ]
    file = proposer.written("items.json", json.dumps(documents, indent=1))
    entry = proposer.entry(file)
    assert (entry.format, entry.options) == ("json", {"items": "$.metrics[*]"})
    assert entry.long == LongReading(tag="name", value="value", source="$.device")
    assert tried(entry, file).captures[0]["observations"] == 120
    assert "not read" not in proposer.text("items.json", json.dumps(documents)), "the list itself is no field"


def test_members_whose_names_vary_are_rows(proposer: Proposer):
    lines = [
        json.dumps({"ts": t.isoformat(), "values": {f"t{(n + k) % 20}": k for k in range(4)}})
        for n, t in enumerate(TIMES)
    ]
    entry = proposer.of("entries.jsonl", "\n".join(lines) + "\n")
    assert (entry.format, entry.options) == ("json_lines", {"entries": "values"})
    assert entry.long == LongReading(tag="key", value="value")


def test_sparkplug_recordings_are_known_by_their_topics(proposer: Proposer):
    lines = [json.dumps({"t": "spBv1.0/g/NDATA/e", "p": "CAE=", "at": int(t.timestamp() * 1000)}) + "\n" for t in TIMES]
    entry = proposer.of("recording.jsonl", "".join(lines))
    assert entry.format == "sparkplug_b"
    assert entry.options == {
        "recording": "jsonl", "topic": "t", "payload": "p", "received": "at", "received_format": "epoch_ms",
    }  # fmt: skip
    frame = (19).to_bytes(4, "big") + b"spBv1.0/g/NBIRTH/ee" + bytes(12)
    assert proposer.of("recording.bin", frame * 3).options == {"recording": "binary"}


def test_parquet_and_arrow_are_read_by_their_types(proposer: Proposer):
    times = pa.array(TIMES, pa.timestamp("us", "UTC"))
    rows = pa.table({"ts": times, "machine": ["m1", "m2"] * 30, "a": [float(n) for n in range(60)]})
    sink = io.BytesIO()
    pq.write_table(rows, sink)
    entry = proposer.of("x.parquet", sink.getvalue())
    assert (entry.format, entry.wide) == ("parquet", WideReading(source="machine"))
    sink = io.BytesIO()
    with ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows)
    assert proposer.of("x.arrow", sink.getvalue()).format == "arrow"


def test_of_a_workbook_the_first_sheet_with_a_table_is_found(proposer: Proposer):
    book = openpyxl.Workbook()
    book.create_sheet("Data")
    for row in [["Report"], [], ["Zeit", "Temp [°C]"], *([t.replace(tzinfo=None), n] for n, t in enumerate(TIMES))]:
        book["Data"].append(row)
    sink = io.BytesIO()
    book.save(sink)
    file = proposer.written("report.xlsx", sink.getvalue())
    entry = proposer.entry(file)
    assert (entry.format, entry.options) == ("xlsx", {"sheet": 2, "preamble": 2, "units": "in_brackets"})
    trial = tried(entry, file)
    assert (trial.captures[0]["decoded_lines"], trial.samples["observations"][1]["ts"]) == (60, TIMES[1])


def test_of_an_archive_a_member_is_looked_at_and_all_are_decoded(proposer: Proposer):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for day in (1, 2):
            archive.writestr(f"M1_2024-03-0{day}.csv", table("Zeit;a", lambda n, t: f"{t:%H:%M:%S};{n},5"))
    file = proposer.written("pack.zip", packed.getvalue())
    entry = proposer.entry(file)
    trial = tried(entry, file)
    assert [capture["decoded_lines"] for capture in trial.captures] == [60, 60]
    assert {row["source"] for row in trial.samples["observations"]} == {"M1"}
    assert {row["ts"].date().isoformat() for row in trial.samples["observations"]} == {"2024-03-01", "2024-03-02"}


# --- what is none ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("empty.csv", b"", "the file is empty"),
        ("page.csv", b"<html><body>login</body></html>", "web page"),
        ("prose.txt", b"This is a text.\nIt has lines.\nAnd no table.\n", "No format was recognised"),
        ("noise.dat", bytes(range(256)) * 20, "No format was recognised"),
        ("plant.xml", b"<MTConnectDevices><Header/></MTConnectDevices>", "idm referential import"),
        ("other.xml", b"<Orders><Order/></Orders>", '"Orders"'),
        ("list.json", b"[1, 2, 3]", "no object"),
        ("cut.zip", b"PK\x03\x04" + bytes(30), "cannot be read"),
    ],
)
def test_what_is_no_source_is_said_with_what_it_is(proposer: Proposer, name: str, content: bytes, why: str):
    assert why in proposer.why(name, content).why


@pytest.mark.parametrize("format_name", ["csv", "tsv", "json", "json_lines", "parquet", "arrow", "xlsx", "b2mml"])
def test_templates_can_be_loaded(proposer: Proposer, format_name: str):
    assert proposer.loaded(template(format_name)).format == format_name


def test_a_sample_ends_with_a_line_and_a_character(proposer: Proposer, monkeypatch: pytest.MonkeyPatch):
    content = table("time;größe", lambda n, t: f"{t:%Y-%m-%d %H:%M:%S};{n},5 ä").encode()
    monkeypatch.setattr(samples, "SAMPLE_BYTES", content.rindex("ä".encode()) + 1)
    assert proposer.of("long.csv", content).options == {"delimiter": ";"}, "UTF-8, although a character is cut"
    monkeypatch.setattr(samples, "SAMPLE_BYTES", content.rindex(b";") - 3)
    assert "cannot be read" not in proposer.text("long.csv", content), "the line that was cut is none"


# --- properties --------------------------------------------------------------------------------------------

Cells = st.sampled_from(["1", "2,5", "a", "", '"', "2024-03-01", "10:00", "NaN", "{", "|", "\x1b"])
Anything = st.one_of(
    st.binary(max_size=400),
    st.text(max_size=400).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(st.lists(Cells, max_size=4)).map(lambda rows: "\n".join(";".join(row) for row in rows).encode()),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode()),
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=Anything)
def test_whatever_a_file_holds_there_is_an_answer_and_it_loads(proposer: Proposer, content: bytes):
    found = proposer.found(proposer.written("any file'.csv", content))
    if isinstance(found, Proposal):
        assert proposer.loaded(found.text).name == found.name
    else:
        assert found.why


class Loaded(BaseModel):
    """The outermost level of a file of declarations."""

    sources: list[dict[str, Any]]


Texts = st.text(max_size=20).filter(lambda text: not any(0xD800 <= ord(c) <= 0xDFFF for c in text))
Scalars = Texts | st.booleans() | st.integers(-(10**12), 10**12)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    what=Texts,
    seen=Texts,
    fields=st.dictionaries(Texts.filter(bool), Scalars | st.lists(Scalars, max_size=3), max_size=4),
)
def test_text_of_a_file_never_leaves_its_place_in_the_proposal(
    tmp_path: Path, what: str, seen: str, fields: dict[str, Any]
):
    inner = tuple(Said(key, value, (seen,)) for key, value in fields.items())
    text = Proposal(what, "x", (Said("name", "x"), Said("options", inner))).text
    path = tmp_path / "written.yaml"
    path.write_text(text, encoding="utf-8")
    assert load_yaml(path, Loaded).sources == [{"name": "x", "options": fields}]


FORMS = (
    "%Y-%m-%d %H:%M:%S",
    "%d.%m.%Y %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%d-%b-%y %H:%M:%S",
    "%Y%m%d%H%M%S",
    "%m/%d/%Y %H:%M",
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    delimiter=st.sampled_from(";\t|,"),
    decimal=st.sampled_from(".,"),
    form=st.sampled_from(FORMS),
    preamble=st.integers(0, 4),
    has_header=st.booleans(),
    numbers=st.lists(st.integers(-99_999, 99_999), min_size=30, max_size=60),
    mark=st.sampled_from([b"", codecs.BOM_UTF8]),
    end=st.sampled_from(["\n", "\r\n"]),
)  # fmt: skip
def test_a_table_in_any_dialect_is_proposed_in_that_dialect(
    proposer: Proposer, *, delimiter, decimal, form, preamble, has_header, numbers, mark, end
):
    def cell(number: int) -> str:
        text = f"{number / 100:.2f}".replace(".", decimal)
        return f'"{text}"' if decimal == delimiter else text

    lines = [f"about line {n}" for n in range(preamble)]
    lines += [delimiter.join(("time", "alpha", "beta"))] * has_header
    for n, number in enumerate(numbers):
        lines.append(delimiter.join((f"{START + timedelta(hours=9 * n):{form}}", cell(number), cell(number + 12_345))))
    entry = proposer.of("any.csv", mark + "".join(line + end for line in lines).encode())
    expected: dict[str, Any] = {
        "delimiter": delimiter,
        "decimal": decimal,
        "preamble": preamble,
        "header": int(has_header),
    }
    usual = {"delimiter": "\t" if entry.format == "tsv" else ",", "decimal": ".", "preamble": 0, "header": 1}
    assert usual | dict(entry.options) == expected
    assert entry.time is not None
    assert entry.time.format == ("iso" if form == FORMS[0] else form)
