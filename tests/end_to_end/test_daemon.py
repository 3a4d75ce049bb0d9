"""The whole way without a hand: the daemon's sensors find files of two plants and bring the catalog up to date."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from tests.end_to_end.plant import EXAMPLES, PROJECT, Plant

PATIENCE_S = 420
NIST = ("Hurco02/Hurco02-20161116-20161117.txt.gz", "Mazak03/Mazak03-20161116-20161117.txt.gz")

PAINT = """
sources:
  - name: paint_shop
    plant: paint
    glob: "*.jsonl"
    path_pattern: (?P<source>[a-z]+)-\\d+\\.jsonl
    format: json_lines
    time: {field: at}
    long: {tag: name, value: value}
    expected: irregular
"""


def catalog_rows(path: Path, query: str) -> list[tuple[object, ...]]:
    if not path.exists():
        return []
    with duckdb.connect(str(path), read_only=True) as con:
        return con.sql(query).fetchall()


@pytest.mark.slow
def test_sensors_bring_two_plants_up_to_date(tmp_path: Path) -> None:
    nist = Plant(tmp_path / "home")
    nist.land_examples(NIST)
    nist.land("Mazak03/Mazak03-20161119-20161120.txt.gz", b"\x1f\x8b\x08broken")
    (nist.config / "sources" / "paint.yaml").write_text(PAINT)
    rows = [
        {"at": f"2016-11-{day:02d}T0{hour}:00:00Z", "name": "booth_temperature", "value": 20.5 + hour}
        for day in (16, 17, 18)
        for hour in range(5)
    ]
    paint = nist.settings.landing_path / "paint"
    paint.mkdir()
    (paint / "booth-1.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    home = tmp_path / "home" / "dagster"
    home.mkdir()
    shutil.copyfile(PROJECT / "dagster.yaml", home / "dagster.yaml")
    environment = os.environ | {
        "DAGSTER_HOME": str(home),
        "IDM_HOME": str(nist.home),
        "IDM_CONFIG": str(nist.config),
    }
    log = (tmp_path / "daemon.log").open("w")
    daemon = subprocess.Popen(
        [Path(sys.executable).with_name("dagster-daemon"), "run", "-w", str(PROJECT / "workspace.yaml")],
        env=environment, cwd=PROJECT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    catalog = nist.settings.catalog_path
    try:
        wanted = [("nist",), ("paint",)]
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            published = catalog_rows(catalog, "SELECT DISTINCT plant FROM cleaned.observations ORDER BY 1")
            days = catalog_rows(catalog, "SELECT DISTINCT day FROM contextualized.states WHERE plant = 'nist'")
            if published == wanted and len(days) >= 3:
                break
            time.sleep(2)
        log.flush()
        tail = (tmp_path / "daemon.log").read_text()[-3000:]
        assert published == wanted, tail
    finally:
        os.killpg(daemon.pid, signal.SIGTERM)
        daemon.wait(30)
        log.close()

    assert catalog_rows(catalog, "SELECT count(*) FROM cleaned.observations WHERE plant = 'paint'") == [(15,)]
    assert catalog_rows(catalog, "SELECT count(*) FROM contextualized.unmapped WHERE plant = 'paint'") == [(3,)]
    assert catalog_rows(catalog, "SELECT path, reason FROM capture.quarantine WHERE plant = 'nist'") == [
        ("Mazak03/Mazak03-20161119-20161120.txt.gz", "corrupt_gzip")
    ]
    lines = catalog_rows(catalog, "SELECT sum(lines) FROM capture.captures WHERE plant = 'nist'")
    assert lines == [(sum(map(_lines, NIST)),)]


def _lines(name: str) -> int:
    return gzip.decompress((EXAMPLES / "landing" / "nist" / name).read_bytes()).count(b"\n")
