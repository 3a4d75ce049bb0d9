"""The registry of formats, and formats of other packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from idm_assets.capture.decoders import registry
from idm_assets.capture.decoders.csv_rows import CsvRows
from idm_assets.capture.sources import SourceEntry
from tests.capture.trials import balance, tried, written


class Semicolons(CsvRows):
    """A format of another package."""

    @classmethod
    def from_options(cls, options):
        return CsvRows.from_options({"delimiter": ";", **options})


@pytest.fixture
def other_package(monkeypatch):
    point = EntryPoint("semicolons", f"{__name__}:Semicolons", "idm.row_formats")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == "idm.row_formats" else [])
    registry.added.cache_clear()
    yield
    registry.added.cache_clear()


@pytest.mark.parametrize("name", sorted(registry.DECODERS))
def test_every_decoder_can_be_set_up(name):
    options = {"element": "Lot", "timestamp": "At"} if name == "b2mml" else {}
    decoder = registry.decoder_for(name, options, "UTC")
    assert decoder.name == name
    assert decoder.unit
    assert decoder.code_version


@pytest.mark.parametrize("name", sorted(registry.ROW_FORMATS))
def test_every_format_of_rows_can_be_set_up(name):
    rows = registry.row_format_for(name, {})
    assert rows.name == name
    assert registry.is_tabular(name)


@pytest.mark.usefixtures("other_package")
def test_a_format_of_another_package_is_declared_like_ours(tmp_path):
    assert "semicolons" in registry.formats()
    path = written(tmp_path, "t;a\n2024-05-01T10:00:00Z;1\n")
    trial = tried(path, format="semicolons", source="m", time={"field": "t"}, wide={})
    assert balance(trial)["observations"] == 1


def test_an_unknown_format_is_told_with_the_known_ones():
    with pytest.raises(KeyError, match="unknown format 'cobol'; known formats: arrow, b2mml, csv"):
        registry.decoder_for("cobol", {}, "UTC")
    with pytest.raises(ValueError, match="unknown format 'cobol'"):
        SourceEntry(name="x", plant="p", glob="*", format="cobol")
