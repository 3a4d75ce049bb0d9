"""The page about sources: it names all that can be declared, and what it shows can be used."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from pydantic import BaseModel

from idm_assets.capture import shapes
from idm_assets.capture.decoders.b2mml import B2mmlOptions
from idm_assets.capture.decoders.csv_rows import CsvDialect
from idm_assets.capture.decoders.line_protocol import LineProtocolOptions
from idm_assets.capture.decoders.mtconnect_streams import StreamsOptions
from idm_assets.capture.decoders.registry import formats
from idm_assets.capture.sources import SourceFile
from idm_assets.capture.status_reading import StatusReading
from idm_assets.capture.time_reading import TimeReading
from idm_assets.commands import archive, quarantine, source

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "sources.md").read_text(encoding="utf-8")
DECLARED: tuple[type[BaseModel], ...] = (
    shapes.LongReading, shapes.PairsReading, shapes.WideReading, shapes.RecordReading, TimeReading, StatusReading,
    CsvDialect, LineProtocolOptions, StreamsOptions, B2mmlOptions,
)  # fmt: skip


def blocks_of(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_it_names_every_format_and_field() -> None:
    words = set(re.findall(r"[A-Za-z0-9_]+", PAGE))
    fields = {name for model in DECLARED for name in model.model_fields} | set(SourceFile.model_fields)
    assert sorted(fields - words) == []
    assert sorted(name for name in formats() if f"`{name}`" not in PAGE) == []


def test_its_entry_can_be_declared() -> None:
    (entry,) = (yaml.safe_load(text) for text in blocks_of("yaml"))
    (declared,) = SourceFile.model_validate(entry).sources
    assert declared.readings()[0].decoder.name == "csv"


def test_its_commands_are_there() -> None:
    apps = {"source": source.app, "quarantine": quarantine.app, "archive": archive.app}
    shown = re.findall(r"^idm (\w+) (\w+)", "\n".join(blocks_of("sh")), re.MULTILINE)
    assert len(shown) >= 9
    for group, name in shown:
        names = {c.name or (c.callback.__name__ if c.callback else "") for c in apps[group].registered_commands}
        assert name in names, f"idm {group} {name}"


def test_no_line_is_too_long() -> None:
    too_long = [n for n, line in enumerate(PAGE.splitlines(), 1) if len(line) > 120 and not line.startswith("|")]
    assert too_long == []
