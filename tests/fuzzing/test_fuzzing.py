"""Every decoder stands ten thousand broken files, and the judge of that catches decoders that do not."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from idm_assets.capture.decoders import Decoder, Decoding, UndecodableFile
from idm_assets.capture.decoders.registry import formats
from idm_assets.capture.sources import Reading, SourceEntry
from tests.fuzzing import attempt
from tests.fuzzing.__main__ import SHARES
from tests.fuzzing.attempt import Bench, Outcome, attempts
from tests.fuzzing.formats import FORMATS, cases
from tests.fuzzing.mutations import TEXT, line_very_long, packed

ROOT = Path(__file__).parents[2]
ROUNDS = 10
PARTS = 2
MEBIBYTES = 1024


@pytest.mark.slow
def test_ten_thousand_inputs_break_nothing(tmp_path):
    commands = [
        [sys.executable, "-m", "tests.fuzzing", "--rounds", str(ROUNDS), "--seed", "1", "--part", f"{part}/{PARTS}",
         "--keep", str(tmp_path / f"kept-{part}"), "--report", str(tmp_path / f"{part}.json")]
        for part in range(1, PARTS + 1)
    ]  # fmt: skip
    started = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for command in commands
    ]
    said = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0] * PARTS, "\n".join(said)
    reports = [json.loads((tmp_path / f"{part}.json").read_text()) for part in range(1, PARTS + 1)]
    assert max(report["peak_rss_mib"] for report in reports) < MEBIBYTES
    tallies = [tally for report in reports for tally in report["formats"].values()]
    assert sum(tally["inputs"] for tally in tallies) >= 10_000
    decoded = {
        name: sum(report["formats"][name]["units"].get("decoded", 0) for report in reports) for name in formats()
    }
    assert min(decoded.values()) > 100, "inputs that nothing can be read of would prove nothing"


def test_every_format_is_fuzzed():
    assert set(FORMATS) == set(SHARES) == set(formats())


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_well_is_decoded(con, tmp_path, form):
    for case in cases(form):
        inputs = []
        for number, seed in enumerate(case.seeds):
            inputs.append(tmp_path / f"{case.name.replace('/', '-')}-{number}")
            inputs[-1].write_bytes(seed)
        work = tmp_path / f"work-{case.name.replace('/', '-')}"
        work.mkdir()
        outcomes = attempts(Bench(con, work), case.entry, case.path, inputs)
        assert [outcome.wrong for outcome in outcomes] == [[]] * len(inputs)
        assert sum(outcome.units["decoded"] for outcome in outcomes) > 0, case.name


@pytest.mark.parametrize("form", FORMATS)
def test_inputs_follow_from_seed_and_number(form):
    first, again = cases(form)[0], cases(form)[0]
    assert first.seeds == again.seeds
    assert [first.input(1, number) for number in range(20)] == [again.input(1, number) for number in range(20)]
    assert len({first.input(1, number) for number in range(20)}) > 15
    assert first.input(2, 3) != first.input(1, 3)


# --- decoders that are wrong -----------------------------------------------------------------------------


def changed(decoding: Decoding, **queries: str) -> Decoding:
    """A decoding of which some queries are others, made of those that they replace, and so is what it means."""
    made = {name: query.format(f"({getattr(decoding, name)})") for name, query in queries.items()}
    return replace(decoding, **made, meaning=lambda lines: changed(decoding.meaning(lines), **queries))


@dataclass(frozen=True)
class Wrong:
    """A decoder that is wrong on one of its routes, or both."""

    right: Decoder
    on: Sequence[str]
    spoil: Callable[[Decoding], Decoding]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.right, name)

    def fast(self, *given: Any) -> Decoding:
        decoding = self.right.fast(*given)
        return self.spoil(decoding) if "fast" in self.on else decoding

    def exact(self, *given: Any) -> Decoding:
        decoding = self.right.exact(*given)
        return self.spoil(decoding) if "exact" in self.on else decoding


def no_ts(decoding: Decoding) -> Decoding:
    return changed(decoding, rows="SELECT * REPLACE (NULL::TIMESTAMPTZ AS ts) FROM {}")


def raising(error: Exception) -> Callable[[Decoding], Decoding]:
    def spoil(_decoding: Decoding) -> Decoding:
        raise error

    return spoil


def sleeping(decoding: Decoding) -> Decoding:
    time.sleep(3)
    return decoding


WRONG = {
    "a unit is dropped": (
        ["exact"], lambda d: changed(d, rows="FROM {} WHERE line <> 7"), "units were counted"),
    "a unit is dropped and another comes twice": (
        ["fast", "exact"],
        lambda d: changed(d, rows="SELECT * REPLACE (CASE line WHEN 7 THEN 8 ELSE line END AS line) FROM {}"),
        "distinct parts"),
    "a unit is made up": (
        ["exact"], lambda d: changed(d, rows="SELECT * REPLACE (line + 1 AS line) FROM {}"), "is told of"),
    "the routes give other values": (
        ["fast"], lambda d: changed(d, rows="SELECT * REPLACE (CASE line WHEN 7 THEN 1.0 ELSE value END AS value) FROM {}"),
        "fast tells"),
    "the routes give other signs": (
        ["fast"], lambda d: changed(d, rows="SELECT * REPLACE (-value AS value) FROM {}"), "fast tells"),
    "a rejection means nothing": (
        ["exact"],
        lambda d: changed(
            d, rows="FROM {} WHERE line <> 7",
            rejected="FROM {} UNION ALL SELECT 0, 7, 'it', 'because', NULL"),
        "which REASONS does not have"),
    "a rejection says nothing": (
        ["exact"],
        lambda d: changed(
            d, rows="FROM {} WHERE line <> 7",
            rejected="FROM {} UNION ALL SELECT 0, 7, NULL, 'field_count', NULL"),
        "without payload and detail"),
    "a skip has no reason": (
        ["exact"],
        lambda d: changed(
            d, rows="FROM {} WHERE line <> 7", skipped="FROM {} UNION ALL SELECT 0, NULL, 1"),
        "are skipped for None"),
    "there is no time": (["fast", "exact"], no_ts, "a row has no ts"),
    "there is no tag": (
        ["exact"], lambda d: changed(d, rows="SELECT * REPLACE (' ' AS tag) FROM {}"), "an observation has no tag"),
    "a value is infinite": (
        ["exact"], lambda d: changed(d, rows="SELECT * REPLACE ('inf'::DOUBLE AS value) FROM {}"), "a value that is no number"),
    "a status is none": (
        ["exact"], lambda d: changed(d, rows="SELECT * REPLACE (4294967296 AS status) FROM {}"), "a status that is none"),
    "a type is another": (
        ["exact"], lambda d: changed(d, rows="SELECT * REPLACE (value::FLOAT AS value) FROM {}"), "other types than promised"),
    "a query fails": (
        ["exact"], lambda d: changed(d, rows="SELECT * REPLACE (error('no') AS text) FROM {}"), "not declared"),
    "an exception is another": (["exact"], raising(KeyError("x")), "not declared"),
    "an exception is another on the fast route": (["fast"], raising(ValueError("x")), "not declared"),
    "a refusal is unknown": (["exact"], raising(UndecodableFile("no_reason", "x")), "which REASONS does not have"),
    "it hangs": (["exact"], sleeping, "it took longer than"),
}  # fmt: skip


@pytest.fixture
def outcome_of(con, tmp_path, monkeypatch):
    """What becomes of twenty rows of a table, by a decoder that is not what it should be."""

    def attempted(on: Sequence[str], spoil: Callable[[Decoding], Decoding], rows: str) -> Outcome:
        readings = SourceEntry.readings
        monkeypatch.setattr(
            SourceEntry, "readings",
            lambda entry: tuple(Reading(Wrong(r.decoder, on, spoil), r.record) for r in readings(entry)),
        )  # fmt: skip
        monkeypatch.setattr(attempt, "HANGS_AFTER_SECONDS", 2)
        file, work = tmp_path / "file.csv", tmp_path / "work"
        file.write_text(f"t,x\n{rows}")
        work.mkdir()
        entry = SourceEntry(
            name="fuzzed", plant="fuzz", glob="*", format="csv", source="s", time={"field": "t"}, wide={}
        )
        (outcome,) = attempts(Bench(con, work), entry, "file.csv", [file])
        return outcome

    return attempted


ROWS = "".join(f"2024-03-01T00:00:{second:02}Z,{second}.5\n" for second in range(20))


def test_a_decoder_that_is_right_is_not_blamed(outcome_of):
    outcome = outcome_of(["fast", "exact"], lambda decoding: decoding, ROWS)
    assert (outcome.wrong, dict(outcome.routes)) == ([], {"kept": 1})
    assert +outcome.units == {"decoded": 20, "skipped": 1}


def test_a_route_that_comes_out_short_is_not_blamed(outcome_of):
    outcome = outcome_of(["fast"], lambda d: changed(d, rows="FROM {} WHERE line <> 7"), ROWS + "no time,5\n")
    assert (outcome.wrong, dict(outcome.routes)) == ([], {"short": 1})
    assert +outcome.units == {"decoded": 20, "rejected": 1, "skipped": 1}


@pytest.mark.parametrize("what", WRONG)
def test_a_decoder_that_is_wrong_is_caught(outcome_of, what):
    on, spoil, said = WRONG[what]
    assert said in "\n".join(outcome_of(on, spoil, ROWS).wrong)


def test_rejected_units_that_mean_something_else_alone_are_caught(outcome_of):
    def spoil(decoding: Decoding) -> Decoding:
        return replace(decoding, meaning=lambda lines: changed(decoding.meaning(lines), rejected="FROM {} WHERE false"))

    assert "of the missing units are rejected" in "\n".join(outcome_of(["exact"], spoil, ROWS + "no time,5\n").wrong)


@pytest.mark.parametrize(
    "mutation", [*dict.fromkeys(TEXT), line_very_long, packed], ids=lambda mutation: mutation.__name__
)
def test_mutations_stand_any_bytes(mutation):
    seeds = [b"", b"a", b"\n", b"a,b\n1,2\n", b"\xff\x00" * 50]
    for number in range(40):
        for seed in seeds:
            assert isinstance(mutation(Random(number), seed, seeds), bytes)
