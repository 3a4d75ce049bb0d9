"""A bus fleet, whose rows are positions and trips: figures computed from its CSV files by plain Python.

Positions are observations, of which the last report of a vehicle, tag and instant is kept; trips are records, of which
all rows say the same.
"""

from __future__ import annotations

import csv
import gzip
import math
import shutil
from collections import Counter, defaultdict
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from idm_assets.capture.sources import SourceEntry, load_sources
from idm_assets.capture.trial import try_file
from tests.end_to_end.plant import EXAMPLES, Plant

LANDING = EXAMPLES / "landing" / "capmetro"
FLEET = "referential/vehicles/vehicles_2015-03.csv"
CONFIGURATION = ("sources/capmetro.yaml", "models/fleet.yaml", "referential/capmetro.yaml", FLEET)
DAYS = {"2015-03-07": 44_564, "2015-03-08": 12_354, "2015-12-30": 679, "2016-05-30": 11_071, "2016-09-01": 548}
TAGS = {
    "speed": "speed", "latitude": "latitude", "longitude": "longitude", "route": "route_id", "trip": "trip_id",
    "headsign": "trip_headsign",
}  # fmt: skip
NUMBERS = ("speed", "latitude", "longitude")
AUSTIN = ZoneInfo("America/Chicago")
METRES_PER_SECOND = 0.44704
"""How many a mile per hour is."""


@cache
def rows_of(day: str) -> list[dict[str, str]]:
    with gzip.open(LANDING / f"{day}.csv.gz", "rt", newline="") as file:
        return list(csv.DictReader(file))


def instant(row: dict[str, str]) -> datetime:
    return datetime.fromisoformat(row["timestamp"]).astimezone(UTC)


def utc_day(row: dict[str, str]) -> str:
    return str(instant(row).date())


@cache
def known_vehicles() -> set[str]:
    return {row["vehicle_id"] for day in ("2015-03-07", "2015-03-08") for row in rows_of(day)}


def entry() -> SourceEntry:
    (found,) = (e for e in load_sources(EXAMPLES / "config") if e.plant == "capmetro")
    return found


def fleet(home: Path) -> Plant:
    """A plant that has the configuration of the fleet and no other."""
    made = Plant(home, "capmetro")
    shutil.rmtree(made.config)
    for name in CONFIGURATION:
        (made.config / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(EXAMPLES / "config" / name, made.config / name)
    return made


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    made = fleet(tmp_path_factory.mktemp("fleet"))
    made.land_examples(f"{day}.csv.gz" for day in DAYS)
    report = made.ingest()
    assert report.failures == []
    assert set(report.failed_checks) == {"contextualized/unmapped:unbound_tags"}
    return made


# One file at a time


def test_the_files_are_packed_so_that_packing_them_again_gives_the_same_bytes() -> None:
    """RFC 1952: no name, no time."""
    heads = {path.name: path.read_bytes()[:8] for path in LANDING.glob("*.gz")}
    assert heads == {f"{day}.csv.gz": b"\x1f\x8b\x08\x00\x00\x00\x00\x00" for day in DAYS}


def test_the_fleet_is_who_was_heard_in_march_2015() -> None:
    header, *vehicles = (EXAMPLES / "config" / FLEET).read_text().splitlines()
    assert header == "vehicle"
    assert vehicles == sorted(known_vehicles(), key=int)


@pytest.mark.parametrize("day", DAYS)
def test_every_row_is_six_observations_and_a_record(day: str) -> None:
    assert len(rows_of(day)) == DAYS[day]
    trial = try_file(entry(), LANDING / f"{day}.csv.gz", f"{day}.csv.gz", rows=1)
    assert trial.left == {}
    (capture,) = trial.captures
    assert (capture["lines"], capture["decoded_lines"], capture["quarantined"]) == (DAYS[day] + 1, DAYS[day], 0)
    assert capture["skipped_reasons"] == '{"header": 1}'
    assert (trial.totals["observations"], trial.totals["records"]) == (6 * DAYS[day], DAYS[day])


def test_an_hour_that_is_left_out_moves_no_instant() -> None:
    """On 2015-03-08 rows have two offsets; what is the same time of day is an hour apart."""
    rows = rows_of("2015-03-08")
    assert Counter(row["timestamp"][-6:] for row in rows) == {"-06:00": 174, "-05:00": 12_180}
    assert Counter(map(utc_day, rows)) == {"2015-03-08": 174, "2015-03-09": 12_180}
    trial = try_file(entry(), LANDING / "2015-03-08.csv.gz", "2015-03-08.csv.gz", rows=6 * len(rows))
    found = {(sample["line"], sample["source"], sample["ts"]) for sample in trial.samples["observations"]}
    assert found == {(line, row["vehicle_id"], instant(row)) for line, row in enumerate(rows, 2)}
    (begin,) = {sample["ts"] for sample in trial.samples["records"]}
    assert begin == datetime(2015, 3, 8, 6, tzinfo=UTC), "the day itself began before the clocks went forward"


# All files through the real jobs


@pytest.mark.slow
def test_the_last_of_several_reports_of_an_instant_is_kept(plant: Plant) -> None:
    reports: dict[tuple[str, str, datetime], list[str]] = defaultdict(list)
    for day in DAYS:
        for row in rows_of(day):
            for tag, column in TAGS.items():
                reports[row["vehicle_id"], tag, instant(row)].append(row[column])
    kept = {key: float(texts[-1]) if key[1] in NUMBERS else texts[-1] for key, texts in reports.items()}
    # What looks like a number is one where no model says otherwise: routes and trips of unknown vehicles.
    found = plant.ask("SELECT source, tag, ts, value, coalesce(text, value::BIGINT::VARCHAR) FROM cleaned.observations")
    assert {(s, t, ts): value if t in NUMBERS else text for s, t, ts, value, text in found} == kept
    assert len(found) == len(kept) == 390_438

    lost = Counter((str(ts.date()), tag) for (_, tag, ts), texts in reports.items() for _ in range(len(set(texts)) - 1))
    conflicts = plant.ask("SELECT day::VARCHAR, tag, count(*) FROM cleaned.quarantine GROUP BY ALL ORDER BY ALL")
    assert conflicts == sorted((*key, count) for key, count in lost.items())
    assert plant.ask("SELECT count(*) FROM cleaned.quarantine") == [(sum(lost.values()),)] == [(7_239,)]
    repeats = sum(len(texts) - len(set(texts)) for texts in reports.values())
    assert repeats == 17_619
    assert len(kept) + sum(lost.values()) + repeats == 6 * sum(DAYS.values())


@pytest.mark.slow
def test_what_repeats_on_2016_05_30_differs_in_the_trip_alone(plant: Plant) -> None:
    """3,757 rows repeat a vehicle and instant: as many trips lose, and 3,062 headsigns; nothing else contradicts."""
    rows = rows_of("2016-05-30")
    assert len(rows) - len({(row["vehicle_id"], row["timestamp"]) for row in rows}) == 3_757
    assert dict(
        plant.ask(  # type: ignore[arg-type]
            "SELECT tag, count(*) FROM cleaned.quarantine WHERE day BETWEEN '2016-05-30' AND '2016-05-31' GROUP BY 1"
        )
    ) == {"trip": 3_757, "headsign": 3_062}
    # No trip is lost by it: each has its record.
    records = plant.ask("SELECT trip FROM contextualized.trip WHERE day = '2016-05-30'")
    assert {trip for (trip,) in records} == {row["trip_id"] for row in rows}


@pytest.mark.slow
def test_each_trip_of_a_vehicle_is_one_record_of_its_service_day(plant: Plant) -> None:
    expected = Counter(
        (day, row["trip_id"], row["vehicle_id"], row["route_id"], row["trip_headsign"])
        for day in DAYS
        for row in rows_of(day)
    )
    found = plant.ask("SELECT day::VARCHAR, trip, vehicle, route, headsign FROM contextualized.trip")
    assert sorted(found) == sorted(expected)
    assert Counter(day for day, *_ in found) == {
        "2015-03-07": 1_316, "2015-03-08": 495, "2015-12-30": 44, "2016-05-30": 150, "2016-09-01": 548,
    }  # fmt: skip
    # All rows of a trip say the same: they are reports of it, and none is a conflict.
    assert plant.ask("SELECT sum(reports) FROM cleaned.records") == [(sum(expected.values()),)]
    assert plant.ask("SELECT count(*) FROM cleaned.record_quarantine") == [(0,)]
    assert set(plant.ask("SELECT DISTINCT ts FROM contextualized.trip")) == {
        (datetime.fromisoformat(day).replace(tzinfo=AUSTIN).astimezone(UTC),) for day in DAYS
    }


@pytest.mark.slow
def test_vehicles_that_nobody_announced_are_counted_per_day(plant: Plant) -> None:
    unknown: dict[str, set[tuple[str, datetime]]] = defaultdict(set)
    for day in DAYS:
        for row in rows_of(day):
            if row["vehicle_id"] not in known_vehicles():
                unknown[utc_day(row)].add((row["vehicle_id"], instant(row)))
    found = plant.ask(
        "SELECT day::VARCHAR, count(DISTINCT source), sum(observations) FROM contextualized.unmapped GROUP BY 1"
    )
    assert sorted(found) == sorted(
        (day, len({vehicle for vehicle, _ in heard}), len(heard) * len(TAGS)) for day, heard in unknown.items()
    )
    assert {day: vehicles for day, vehicles, _ in found} == {
        "2015-12-30": 18, "2016-05-30": 3, "2016-05-31": 2, "2016-09-01": 162,
    }  # fmt: skip
    assert plant.ask(
        "SELECT (SELECT count(*) FROM contextualized.measurements) + (SELECT sum(observations) FROM"
        " contextualized.unmapped) - (SELECT count(*) FROM cleaned.observations)"
    ) == [(0,)]


@pytest.mark.slow
def test_speeds_are_metres_per_second_whatever_the_file_meant(plant: Plant) -> None:
    expected = {
        (row["vehicle_id"], instant(row)): float(row["speed"]) * (METRES_PER_SECOND if day < "2015-12-30" else 1)
        for day in DAYS
        for row in rows_of(day)
        if row["vehicle_id"] in known_vehicles()
    }
    found = plant.ask(
        "SELECT avatar, ts, value, unit, equipment_path, status_symbol FROM contextualized.measurements"
        " WHERE attribute = 'speed'"
    )
    assert {tuple(rest) for _, _, _, *rest in found} == {("m/s", "Capital Metro/Austin/Fleet", "Good")}
    assert {(avatar, ts): value for avatar, ts, value, *_ in found} == pytest.approx(expected, rel=1e-12)
    assert max(expected.values()) == pytest.approx(70 * METRES_PER_SECOND)


@pytest.mark.slow
@pytest.mark.parametrize("first", ["2015-03-07", "2015-03-08", "2015-12-30", "2016-05-30"])
def test_published_speeds_are_those_of_the_way_that_was_driven(plant: Plant, first: str) -> None:
    """The ground for the units in the referential, which no file says; the wrong unit is off by a factor of 2.2."""
    begin = datetime.fromisoformat(first).replace(tzinfo=AUSTIN)
    reports = plant.ask(
        "SELECT avatar, ts, max(value) FILTER (attribute = 'latitude'), max(value) FILTER (attribute = 'longitude'),"
        f" max(value) FILTER (attribute = 'speed') FROM contextualized.measurements WHERE ts >= '{begin}'"
        f" AND ts < '{begin}'::TIMESTAMPTZ + INTERVAL 23 HOUR GROUP BY ALL ORDER BY avatar, ts"
    )
    driven = reported = 0.0
    for (avatar, start, *here), (other, stop, *there) in pairwise(reports):
        seconds = (stop - start).total_seconds()  # type: ignore[operator]
        if avatar == other and 5 <= seconds <= 150:
            driven += metres_between(here, there)
            reported += (here[2] + there[2]) / 2 * seconds  # type: ignore[operator]
    assert driven > 100_000
    assert 0.95 < reported / driven < 1.2


def metres_between(here: list[object], there: list[object]) -> float:
    """Great-circle distance of two ``(latitude, longitude, ...)`` in degrees, by the haversine formula."""
    (a, b), (c, d) = ([math.radians(float(str(angle))) for angle in point[:2]] for point in (here, there))
    h = math.sin((c - a) / 2) ** 2 + math.cos(a) * math.cos(c) * math.sin((d - b) / 2) ** 2
    return 2 * 6_371_000 * math.asin(math.sqrt(h))


@pytest.mark.slow
def test_a_speed_whose_unit_nobody_knows_is_kept_and_not_published(tmp_path: Path) -> None:
    """Between the last file in miles per hour and the first in metres per second."""
    plant = fleet(tmp_path / "home")
    header = ",".join(rows_of("2015-03-07")[0])
    row = "2010,2015-06-07T10:00:00-05:00,21.5,320,1388007,30.231535,-97.73347,NORTHBOUND"
    plant.land("2015-06-07.csv", f"{header}\n{row}\n".encode())
    assert plant.ingest().failures == []
    assert plant.ask("SELECT tag, value FROM cleaned.observations WHERE tag = 'speed'") == [("speed", 21.5)]
    assert plant.ask("SELECT source, tag FROM contextualized.unmapped") == [("2010", "speed")]
    published = plant.ask("SELECT attribute FROM contextualized.measurements ORDER BY 1")
    assert published == [("headsign",), ("latitude",), ("longitude",), ("route",), ("trip",)]
