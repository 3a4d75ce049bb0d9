"""Trying declarations on real and made files, for tests of the capture layer."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from idm_assets.capture.sources import SourceEntry
from idm_assets.capture.trial import Trial, try_file

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
ALL_ROWS = 1_000_000


def declared(**fields: Any) -> SourceEntry:
    """A declaration that claims any path."""
    return SourceEntry(**{"name": "tried", "plant": "trial", "glob": "*", **fields})


def tried(file: Path, rows: int = ALL_ROWS, **fields: Any) -> Trial:
    """What becomes of a file by a declaration."""
    return try_file(declared(**fields), file, file.name, rows)


def written(folder: Path, content: str | bytes, name: str = "file.csv") -> Path:
    """A file with some content."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def unpacked(folder: Path, name: str) -> Path:
    """A vector without its compression."""
    path = folder / Path(name).name.removesuffix(".gz")
    path.write_bytes(gzip.decompress((VECTORS / name).read_bytes()))
    return path


def balance(trial: Trial) -> Mapping[str, Any]:
    """The only capture of a trial, after a look at whether its units add up and its rows are there."""
    (capture,) = trial.captures
    assert capture["lines"] == capture["decoded_lines"] + capture["quarantined"] + capture["skipped"]
    assert trial.totals["observations"] == capture["observations"]
    assert trial.totals["records"] == capture["records"]
    assert trial.totals["quarantine"] == capture["quarantined"] + (capture["standing"] == "rejected")
    return capture
