"""Real captures through the real jobs, compared with figures computed from the files by plain Python."""

from __future__ import annotations

import gzip
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.end_to_end.plant import EXAMPLES, Plant

SMALL = (
    "Mazak03/Mazak03-20161114-20161115.txt.gz",
    "Mazak03/Mazak03-20161115-20161116.txt.gz",
    "Mazak03/Mazak03-20161116-20161117.txt.gz",
    "Hurco02/Hurco02-20161114-20161115.txt.gz",
    "Hurco02/Hurco02-20161116-20161117.txt.gz",
    "Hurco02/Hurco02-20161117-20161118.txt.gz",
    "GFAgie01/GFAgie01-20161116-20161117.txt.gz",
)


def lines_of(name: str) -> list[tuple[str, str, list[str]]]:
    """(machine, timestamp text, fields after it) of every line of an example file."""
    text = gzip.decompress((EXAMPLES / "landing" / "nist" / name).read_bytes()).decode()
    machine = name.split("/", 1)[0]
    fields = [line.split("|") for line in text.splitlines()]
    return [(machine, stamp, rest) for stamp, *rest in fields]


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text[:26].rstrip("Z")).replace(tzinfo=UTC)


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    made = Plant(tmp_path_factory.mktemp("machines"))
    made.land_examples(SMALL)
    report = made.ingest()
    assert report.failures == []
    assert {name for name, (severity, _) in report.failed_checks.items() if severity == "ERROR"} == set()
    return made


def test_every_line_is_accounted_for(plant: Plant) -> None:
    expected = Counter(machine for name in SMALL for machine, _, _ in lines_of(name))
    found = plant.ask(
        "SELECT source, sum(lines), sum(observations), sum(quarantined + skipped) FROM capture.captures GROUP BY 1"
    )
    assert {source: (lines, observations, rest) for source, lines, observations, rest in found} == {
        machine: (count, count, 0) for machine, count in expected.items()
    }
    assert plant.ask("SELECT count(*) FROM capture.captures WHERE lines = 0") == [(1,)]


def test_observations_keep_their_line_and_value(plant: Plant) -> None:
    name = SMALL[2]
    expected = [
        (number, fields[0], instant(stamp), fields[1]) for number, (_, stamp, fields) in enumerate(lines_of(name), 1)
    ]
    found = plant.ask(
        "SELECT o.line, o.tag, o.ts, o.text FROM capture.observations o JOIN capture.captures c USING (capture_id)"
        f" WHERE c.path = '{name}' ORDER BY o.line"
    )
    assert found == expected


def test_days_hold_each_observation_once(plant: Plant) -> None:
    reports: dict[tuple[str, str, datetime], set[tuple[str, ...]]] = defaultdict(set)
    for name in SMALL:
        for machine, stamp, fields in lines_of(name):
            reports[machine, fields[0], instant(stamp)].add(tuple(fields[1:]))
    per_day = Counter(str(ts.date()) for _, _, ts in reports)
    assert {str(d): n for d, n in plant.ask("SELECT day, count(*) FROM cleaned.observations GROUP BY 1")} == per_day
    conflicts = sum(len(values) - 1 for values in reports.values())
    assert plant.ask("SELECT count(*) FROM cleaned.quarantine") == [(conflicts,)]


def test_mean_of_a_signal_leaves_out_the_implausible(plant: Plant) -> None:
    values = [
        float(fields[1])
        for machine, ts, fields in {
            (machine, instant(stamp), tuple(fields)) for name in SMALL for machine, stamp, fields in lines_of(name)
        }
        if machine == "Mazak03" and fields[0] == "S2temp" and fields[1] != "UNAVAILABLE"
    ]
    plausible = [value for value in values if -20 <= value <= 200]
    good, mean, kept = plant.ask(
        "SELECT count(*) FILTER (status = 0), avg(value) FILTER (status = 0), count(*)"
        " FROM contextualized.measurements WHERE tag = 'S2temp' AND source = 'Mazak03' AND value IS NOT NULL"
    )[0]
    assert good == len(plausible)
    assert kept == len(values)
    assert mean == pytest.approx(sum(plausible) / len(plausible), abs=1e-9)


def test_units_are_canonical(plant: Plant) -> None:
    """The angular velocity of Mazak03's C axis is delivered in degrees per minute and published per second."""
    raw = {
        float(f[1])
        for name in SMALL
        for m, _, f in lines_of(name)
        if (m, f[0]) == ("Mazak03", "Cfrt") and f[1][0] in "-.0123456789"
    }
    published = plant.ask(
        "SELECT DISTINCT value, unit FROM contextualized.measurements WHERE source = 'Mazak03' AND tag = 'Cfrt'"
        " AND value IS NOT NULL ORDER BY 1"
    )
    assert {unit for _, unit in published} == {"deg/s"}
    assert [value for value, _ in published] == pytest.approx(sorted(value / 60 for value in raw))
    assert len(raw) > 1


def test_time_in_each_execution_state(plant: Plant) -> None:
    """State intervals of Mazak03 on 2016-11-14 and 16, carried over silent days, against a walk over the lines."""
    changes = sorted(
        {
            (instant(stamp), fields[1])
            for name in SMALL
            for machine, stamp, fields in lines_of(name)
            if machine == "Mazak03" and fields[0] == "execution"
        }
    )
    heard = max(instant(stamp) for name in SMALL for machine, stamp, _ in lines_of(name) if machine == "Mazak03")
    for day in (
        datetime(2016, 11, 14, tzinfo=UTC),
        datetime(2016, 11, 15, tzinfo=UTC),
        datetime(2016, 11, 16, tzinfo=UTC),
    ):
        end = min(day + timedelta(days=1), heard)
        expected: Counter[str] = Counter()
        for (start, state), (stop, _) in zip(changes, [*changes[1:], (heard, "")], strict=True):
            overlap = (min(stop, end) - max(start, day)).total_seconds()
            if overlap > 0:
                expected[state] += overlap
        found = plant.ask(
            "SELECT state, duration_s FROM aggregated.state_durations_1d"
            f" WHERE attribute = 'execution' AND equipment_path LIKE '%Mazak03' AND day = '{day:%Y-%m-%d}'"
        )
        assert dict(found) == pytest.approx(expected, abs=1e-3)


def test_unknown_tags_are_listed_and_nothing_else(plant: Plant) -> None:
    tags = {str(tag) for (tag,) in plant.ask("SELECT DISTINCT tag FROM contextualized.unmapped")}
    assert tags == {f"{m}_asset_{what}" for m in ("Mazak03", "Hurco02", "GFAgie01") for what in ("chg", "rem")}


def test_a_second_run_does_nothing(plant: Plant) -> None:
    assert plant.ingest().jobs == []


def test_late_and_out_of_order_files_make_the_same_tables(plant: Plant, tmp_path: Path) -> None:
    other = Plant(tmp_path / "other")
    for name in reversed(SMALL):
        other.land_examples([name])
        assert other.ingest().failures == []
    assert other.contents() == plant.contents()


@pytest.mark.slow
def test_all_example_files(tmp_path: Path) -> None:
    """The figures of the whole example, as computed from the files by other means."""
    plant = Plant(tmp_path / "all")
    root = EXAMPLES / "landing" / "nist"
    plant.land_examples(sorted(path.relative_to(root).as_posix() for path in root.rglob("*.gz")))
    report = plant.ingest()
    assert report.failures == []
    assert all(severity == "WARN" for severity, _ in report.failed_checks.values())
    assert plant.ask(
        "SELECT count(*), count(*) FILTER (lines = 0), sum(lines), sum(observations), sum(quarantined), sum(skipped),"
        " sum(coalesce((remarks->>'timestamp_cut')::INT, 0)) FROM capture.captures"
    ) == [(94, 8, 513_410, 513_410, 0, 0, 4)]
    assert plant.ask("SELECT count(*) FROM capture.observations WHERE text = 'UNAVAILABLE'") == [(11_142,)]
    conditions = plant.ask(
        "SELECT text, count(*) FROM capture.observations WHERE text IN ('Normal', 'Unavailable', 'Warning', 'Fault')"
        " GROUP BY 1 ORDER BY 2 DESC"
    )
    assert conditions == [("Normal", 5_620), ("Unavailable", 5_559), ("Warning", 214), ("Fault", 202)]
    means = {
        (source, tag): (count, round(float(str(mean)), 6))
        for source, tag, count, mean in plant.ask(
            "SELECT source, tag, count(value), avg(value) FROM capture.observations"
            " WHERE (source, tag) IN"
            " (('Mazak01', 'Stemp'), ('Mazak01', 'Xabs'), ('GFAgie01', 'Xposition')) GROUP BY ALL"
        )
    }
    assert means == {
        ("Mazak01", "Stemp"): (6_531, 30.744909),
        ("Mazak01", "Xabs"): (6_991, 177.437647),
        ("GFAgie01", "Xposition"): (16_345, 20.267119),
    }
    assert plant.ask(
        "SELECT count(*) FILTER (status_symbol = 'BadOutOfRange'), max(value), round(avg(value) FILTER (status = 0), 6)"
        " FROM cleaned.observations WHERE source = 'Mazak03' AND tag = 'S2temp'"
    ) == [(1, 1145979424.0, 36.669246)]
    distinct = {(name.split("/", 1)[0], line) for name in _all_names() for line in _raw_lines(name)}
    assert len(distinct) == 511_234
    kept, lost = plant.ask(
        "SELECT (SELECT count(*) FROM cleaned.observations), (SELECT count(*) FROM cleaned.quarantine)"
    )[0]
    assert int(str(kept)) + int(str(lost)) == 511_234
    own_day = plant.ask(
        "SELECT c.source, count(*) FROM capture.observations o JOIN capture.captures c USING (capture_id)"
        " WHERE c.path LIKE '%-' || strftime(o.ts, '%Y%m%d') || '-%' AND (c.source, strftime(o.ts, '%Y%m%d')) IN"
        " (('Mazak01', '20161116'), ('GFAgie01', '20161107'), ('Mazak03', '20161114')) GROUP BY 1 ORDER BY 1"
    )
    assert own_day == [("GFAgie01", 45_055), ("Mazak01", 89_112), ("Mazak03", 45_409)]


def _all_names() -> list[str]:
    root = EXAMPLES / "landing" / "nist"
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.gz"))


def _raw_lines(name: str) -> list[str]:
    return gzip.decompress((EXAMPLES / "landing" / "nist" / name).read_bytes()).decode().splitlines()
