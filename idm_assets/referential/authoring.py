"""YAML that is written for people: imports and accepted bindings, each in a file that belongs to this module.

What people write by hand is never touched: `referential/<plant>.imports.yaml`, `referential/<plant>.accepted.yaml`
and `models/imports.yaml` are written anew as a whole, entries in order. They may be edited; comments are lost.

Belongs here: these files, and a copy of a configuration to try a change in. Does not belong here: what the entries
mean, reading the configuration.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from idm_assets.configuration import ConfigurationError, load_yaml
from idm_assets.referential.configuration import ReferentialConfiguration, SignalEntry
from idm_assets.referential.data_models import ModelFile

IMPORTED: Final = "imported"
"""Folder of imported files, below the folder of the YAML that names them."""


def add_import(config: Path, plant: str | None, file: Path, entry: Mapping[str, Any]) -> Path:
    """Copy a file into the configuration and name it there; returns the YAML file that does.

    Args:
        config: configuration folder.
        plant: plant that the file describes; None: it describes models.
        file: the file to import.
        entry: fields of the import, but ``file``. An entry of the same file and series takes the place of the former.

    Raises:
        ConfigurationError: the file cannot be read, or the YAML file is wrong as it is.
    """
    folder = config / ("models" if plant is None else "referential")
    written = folder / ("imports.yaml" if plant is None else f"{plant}.imports.yaml")
    named = {"format": entry["format"], "file": f"{IMPORTED}/{file.name}", **entry}
    if plant is None:
        former = (
            load_yaml(written, ModelFile).model_dump(mode="json", exclude_defaults=True) if written.exists() else {}
        )
    else:
        former = _plant_file(written, plant)
    _copy(file, folder / IMPORTED / file.name)
    key = _import_key(named)
    kept = [item for item in former.get("imports", []) if _import_key(item) != key]
    _write(written, {**former, "imports": [*kept, named]}, "Written by: idm referential import")
    return written


def accept_signals(config: Path, plant: str, signals: Sequence[SignalEntry]) -> Path:
    """Add bindings that a person accepted; returns the YAML file. A tag that is there already is bound anew.

    Raises:
        ConfigurationError: the YAML file is wrong as it is.
    """
    written = config / "referential" / f"{plant}.accepted.yaml"
    former = _plant_file(written, plant)
    added = [signal.model_dump(mode="json", exclude_defaults=True) for signal in signals]
    tags = {(signal.source, signal.tag) for signal in signals}
    kept = [item for item in former.get("signals", []) if (item["source"], item["tag"]) not in tags]
    _write(written, {**former, "signals": [*kept, *added]}, "Written by: idm referential suggest --accept")
    return written


@contextmanager
def trial_copy(config: Path) -> Generator[Path]:
    """A copy of a configuration folder to try a change in; large files are linked, not copied."""
    with tempfile.TemporaryDirectory(prefix=".trial-", dir=config.parent) as folder:
        copy = Path(folder) / config.name
        shutil.copytree(config, copy, copy_function=_linked)
        yield copy


def _linked(source: str, target: str) -> str:
    # A link would write through to the real file where YAML is written anew.
    if Path(source).suffix in {".yaml", ".yml"}:
        return shutil.copy2(source, target)
    try:
        os.link(source, target)
    except OSError:
        return shutil.copy2(source, target)
    return target


def _plant_file(path: Path, plant: str) -> dict[str, Any]:
    if not path.exists():
        try:
            return ReferentialConfiguration(plant=plant).model_dump(mode="json", exclude_defaults=True)
        except ValidationError:
            raise ConfigurationError([f"{plant!r} is no name of a plant"]) from None
    return load_yaml(path, ReferentialConfiguration).model_dump(mode="json", exclude_defaults=True)


def _import_key(item: Mapping[str, Any]) -> tuple[Any, ...]:
    return item.get("file"), item.get("series", "main"), item.get("of")


def _copy(file: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.resolve() != target.resolve():
            part = target.with_name(target.name + ".part")
            shutil.copyfile(file, part)
            part.replace(target)
    except OSError as error:
        raise ConfigurationError([f"{file}: cannot be copied to {target}: {error.strerror}"]) from None


def _write(path: Path, content: Mapping[str, Any], header: str) -> None:
    text = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=110)
    part = path.with_name(path.name + ".part")
    part.write_text(f"# {header}\n{text}", encoding="utf-8")
    part.replace(path)
