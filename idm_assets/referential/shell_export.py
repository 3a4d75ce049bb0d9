"""Export of avatars as asset administration shells: one environment of AAS JSON, version 3.

Source: Specification of the Asset Administration Shell, Part 1: Metamodel, IDTA-01001-3-1.
An avatar becomes a shell with a submodel for its model, one for static attributes that the model does not have,
and one for the tags that feed it. `idm_assets.referential.asset_administration_shell` reads all of it back, except
the tags.

Belongs here: what is exported, and writing it. Does not belong here: objects of the SDK
(`idm_assets.referential.shells.elements`), where avatars come from.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TextIO

from idm_assets.configuration import ConfigurationError
from idm_assets.referential.description import Binding, Model


@dataclass(frozen=True, slots=True)
class ShellBinding:
    """What a tag stands for, and when; times are half-open, None: unbounded."""

    binding: Binding
    valid_from: datetime | None = None
    valid_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class ShellSource:
    """What the export needs of an avatar.

    Attributes:
        plant: plant that the avatar is of.
        avatar: identifier, unique in the plant.
        name: name for people.
        model: its model, with all attributes.
        equipment_path: names from the enterprise down to its machine, separated by ``/``.
        parent: identifier of the avatar that it is a part of.
        external_ids: what other systems call it; ``global_asset_id`` becomes the globalAssetId of the asset.
        static_attributes: what does not change, as text.
        description: what people say of it.
        bindings: tags that feed it.
    """

    plant: str
    avatar: str
    name: str
    model: Model
    equipment_path: str
    parent: str | None = None
    external_ids: Mapping[str, str] = field(default_factory=dict[str, str])
    static_attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    description: str | None = None
    bindings: tuple[ShellBinding, ...] = ()


def shells_json(avatars: Iterable[ShellSource]) -> str:
    """As `write_shells`, as a text."""
    stream = io.StringIO()
    write_shells(avatars, stream)
    return stream.getvalue()


def write_shells(avatars: Iterable[ShellSource], stream: TextIO) -> int:
    """Write avatars as an environment of AAS JSON, holding one of them at a time.

    Args:
        avatars: what to write, in any order.
        stream: text stream to write to, in UTF-8 where it is a file.

    Returns:
        The number of shells written.

    Raises:
        ConfigurationError: an avatar comes twice, or something of it cannot be written in AAS; what was written
            until then is no complete document.
    """
    # The SDK takes 0.1 s to import, which nobody need wait for who exports nothing.
    from idm_assets.referential.shells.elements import json_of  # noqa: PLC0415

    written: set[tuple[str, str]] = set()
    # An environment lists all shells before all submodels, so the latter wait in a file.
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as waiting:
        for source in avatars:
            if (source.plant, source.avatar) in written:
                raise ConfigurationError(
                    [f"plant {source.plant!r}: avatar {source.avatar!r} comes twice; export one version of it"]
                )
            shell, submodels = json_of(source)
            stream.write(f",\n{shell}" if written else f'{{"assetAdministrationShells": [\n{shell}')
            waiting.write(",\n" * bool(written) + ",\n".join(submodels))
            written.add((source.plant, source.avatar))
        if written:
            stream.write('\n],\n"submodels": [\n')
            waiting.seek(0)
            shutil.copyfileobj(waiting, stream)
        stream.write("\n]}\n" if written else "{}\n")
    return len(written)
