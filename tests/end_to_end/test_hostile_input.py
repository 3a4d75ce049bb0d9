"""Input that is broken or malicious: it ends in quarantine or in a message, and nothing else is disturbed."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path

import pytest

from idm_assets.capture import survey
from idm_assets.capture.content import Expected
from idm_assets.cleaned import assets as cleaned
from idm_assets.configuration import ConfigurationError
from tests.end_to_end.plant import Plant

GOOD = b"2016-11-16T10:00:00.000000Z|Xabs|1.5\n2016-11-16T10:00:01.000000Z|execution|ACTIVE\n"


def name(day: int, suffix: str = "txt") -> str:
    return f"Mazak01/Mazak01-201611{day:02d}-201611{day + 1:02d}.{suffix}"


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    made = Plant(tmp_path / "home")
    made.land(name(1), GOOD)
    return made


def standing_of(plant: Plant, path: str) -> tuple[object, ...]:
    return plant.ask(
        f"SELECT standing, lines, observations, quarantined, skipped FROM capture.captures WHERE path = '{path}'"
    )[0]


def test_bad_files_leave_good_ones_alone(plant: Plant) -> None:
    endless = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(endless.compress(b"\0" * (1 << 20)) for _ in range(64)) + endless.flush()
    plant.land(name(2), b"")
    plant.land(name(3), os.urandom(20_000))
    plant.land(name(4, "txt.gz"), gzip.compress(GOOD * 1000)[:-20])
    plant.land(name(5, "txt.gz"), bomb)
    plant.land(name(6), GOOD + b"x" * 10_000_000 + b"\n" + GOOD)
    plant.land(name(7), GOOD + b"2016-11-16T10:00:02Z|Xabs|1\x002\n")
    plant.land(name(8), GOOD + b"2016-11-16T10:00:02Z|program|\xff\xfe\n")
    plant.land(name(9), GOOD + b"9999-12-31T23:59:59Z|Xabs|3\n0001-01-01T00:00:00Z|Xabs|3\nnot a line\n\n")
    report = plant.ingest()

    assert report.failures == []
    assert {name for name, (severity, _) in report.failed_checks.items() if severity == "ERROR"} == set()
    assert standing_of(plant, name(1)) == ("decoded", 2, 2, 0, 0)
    assert standing_of(plant, name(2)) == ("decoded", 0, 0, 0, 0)
    reasons = dict(plant.ask("SELECT path, string_agg(reason, ',' ORDER BY line) FROM capture.quarantine GROUP BY 1"))
    assert reasons == {
        name(3): survey.BINARY_CONTENT,
        name(4, "txt.gz"): survey.TRUNCATED_GZIP,
        name(5, "txt.gz"): reasons[name(5, "txt.gz")],
        name(6): "line_too_long",
        name(7): "nul_byte",
        name(8): "invalid_utf8",
        name(9): "timestamp_out_of_bounds,timestamp_out_of_bounds,field_count",
    }
    assert reasons[name(5, "txt.gz")] in {survey.UNPACKS_TOO_LARGE, survey.BINARY_CONTENT}
    assert standing_of(plant, name(6)) == ("decoded", 5, 4, 1, 0)
    assert standing_of(plant, name(9)) == ("decoded", 6, 2, 3, 1)
    assert plant.ask("SELECT count(*) FROM cleaned.observations") == [(2,)]
    payload, detail = plant.ask(f"SELECT payload, detail FROM capture.quarantine WHERE path = '{name(7)}'")[0]
    assert payload == "2016-11-16T10:00:02Z|Xabs|1\\x002"
    assert detail == "the line holds a NUL byte, which no text format allows"


def test_a_corrected_file_takes_the_place_of_the_former(plant: Plant, tmp_path: Path) -> None:
    plant.ingest()
    corrected = GOOD.replace(b"1.5", b"2.5")
    plant.land(name(1), corrected)
    plant.ingest()
    fresh = Plant(tmp_path / "fresh")
    fresh.land(name(1), corrected)
    fresh.ingest()

    assert plant.ask("SELECT effective, count(*) FROM capture.captures GROUP BY 1 ORDER BY 1") == [
        (False, 1),
        (True, 1),
    ]
    assert plant.ask("SELECT value FROM capture.observations WHERE tag = 'Xabs'") == [(2.5,)]
    assert plant.contents() == fresh.contents()


def test_a_broken_correction_leaves_the_former_in_effect(plant: Plant) -> None:
    plant.ingest()
    before = plant.contents()
    plant.land(name(1), os.urandom(5_000))
    report = plant.ingest()
    assert report.failures == []
    assert plant.contents() == before
    assert plant.ask("SELECT standing, effective FROM capture.captures ORDER BY arrived_at") == [
        ("decoded", True),
        ("rejected", False),
    ]


def test_the_same_content_again_is_recognised(plant: Plant) -> None:
    plant.ingest()
    before = plant.contents()
    plant.land(name(1, "txt"), GOOD)
    os.utime(plant.landing / name(1), ns=(1, 1))
    report = plant.ingest()
    assert [job for job, _ in report.jobs] == ["file_captures"]
    assert plant.ask("SELECT count(*) FROM capture.captures") == [(1,)]
    assert plant.contents() == before


def test_unfinished_and_foreign_files_are_left_alone(plant: Plant) -> None:
    (plant.landing / "Mazak01" / "Mazak01-20161102-20161103.txt.part").write_bytes(GOOD)
    (plant.landing / "Mazak01" / "notes.doc").write_bytes(b"hello")
    (plant.landing / "Mazak01" / name(3).split("/")[1]).symlink_to("/etc/passwd")
    report = plant.ingest()
    assert plant.ask("SELECT path FROM capture.captures") == [(name(1),)]
    assert report.unclaimed == {"nist/Mazak01/notes.doc": "no source declaration claims it"}


def test_a_file_that_vanishes_is_left_for_later(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant.land(name(2), GOOD.replace(b"16T", b"17T"))
    real = survey.survey

    def vanishing(path: Path, workdir: Path, limits: survey.Limits, expected: Expected) -> survey.Surveyed:
        if path.name.startswith("Mazak01-20161102"):
            path.unlink(missing_ok=True)
        return real(path, workdir, limits, expected)

    monkeypatch.setattr("idm_assets.capture.deliveries.survey", vanishing)
    report = plant.ingest()
    assert report.failures == []
    assert plant.ask("SELECT path FROM capture.captures") == [(name(1),)]


def test_one_bad_day_stops_only_itself(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in range(2, 8):
        plant.land(name(day), GOOD.replace(b"2016-11-16", f"2016-11-{day:02d}".encode()))
    real = cleaned.clean

    def failing(con: object, arrived: str, ranks: str, bindings: str) -> object:
        if "2016-11-05 00:00" in arrived.split("ts <", 1)[0]:
            raise RuntimeError("this day is cursed")
        return real(con, arrived, ranks, bindings)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(cleaned, "clean", failing)
    report = plant.ingest()
    assert any("nist 2016-11-05: RuntimeError: this day is cursed" in failure for failure in report.failures)
    days = [str(day) for (day,) in plant.ask("SELECT DISTINCT day FROM aggregated.measurements_1d ORDER BY 1")]
    assert "2016-11-05" not in days
    assert {"2016-11-02", "2016-11-03", "2016-11-04", "2016-11-06", "2016-11-07", "2016-11-16"} <= set(days)

    monkeypatch.undo()
    assert plant.ingest().jobs == [], "what failed from these inputs is not tried again by itself"


def test_wrong_configuration_names_file_and_line(plant: Plant) -> None:
    sources = plant.config / "sources" / "nist.yaml"
    sources.write_text(sources.read_text().replace("lateness_days", "lateness_dys"))
    with pytest.raises(ConfigurationError, match=r"nist\.yaml:\d+: .*lateness_dys"):
        plant.ingest()
