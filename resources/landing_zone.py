"""The landing zone: the folder where captures arrive, listed and never written.

Belongs here: safe listing. Does not belong here: which file is whose, or what a file holds.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from dagster import ConfigurableResource, ResourceDependency

from resources.settings import Settings

PLANT_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
UNFINISHED: Final = (".part", ".tmp", ".partial", ".crdownload", ".swp", "~")
MAX_DEPTH: Final = 32
"""Folders within folders that are looked into."""


@dataclass(frozen=True, slots=True)
class LandedFile:
    """A file as the listing saw it.

    Attributes:
        plant: the plant's folder.
        path: POSIX path below that folder.
        size: size in bytes.
        mtime_ns: modification time, nanoseconds since the epoch.
    """

    plant: str
    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Listing:
    """What a look at the landing zone found.

    Attributes:
        files: regular files that are not named as unfinished.
        unfinished: paths left for later because of their name.
        problems: folders or names that could not be listed, one sentence each. An unreadable folder is not
            an empty one: what is missing from `files` because of a problem must not count as gone.
    """

    files: tuple[LandedFile, ...]
    unfinished: tuple[str, ...]
    problems: tuple[str, ...]


class LandingZone(ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """Reads the landing zone."""

    settings: ResourceDependency[Settings]

    def plants(self) -> list[str]:
        """Names of the plant folders, sorted; folders with other names are no plants and are not read."""
        root = self.settings.landing_path
        if not root.is_dir():
            return []
        return sorted(
            entry.name for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False) and is_plant(entry.name)
        )

    def look(self, plants: list[str] | None = None) -> Listing:
        """List the files of some plants, or of all.

        Symbolic links are never followed, so nothing outside of the landing zone can be named.
        """
        files: list[LandedFile] = []
        unfinished: list[str] = []
        problems: list[str] = []
        for plant in self.plants() if plants is None else plants:
            if not is_plant(plant):
                problems.append(f"{plant!r} is no plant name: use a-z, 0-9, '_' and '-', at most 63 characters")
                continue
            root = self.settings.landing_path / plant
            if not root.is_dir():
                continue
            for entry, problem in _walk(root):
                if entry is None:
                    problems.append(problem)
                    continue
                path = PurePosixPath(os.path.relpath(entry.path, root)).as_posix()
                if entry.name.startswith(".") or entry.name.endswith(UNFINISHED):
                    unfinished.append(f"{plant}/{path}")
                    continue
                try:
                    stat = entry.stat(follow_symlinks=False)
                except OSError as error:
                    problems.append(f"{plant}/{path}: vanished or unreadable while listing ({error.strerror})")
                    continue
                files.append(LandedFile(plant, path, stat.st_size, stat.st_mtime_ns))
        files.sort(key=lambda file: (file.plant, file.path))
        return Listing(tuple(files), tuple(unfinished), tuple(problems))

    def locate(self, plant: str, path: str) -> Path:
        """Absolute path of a landed file.

        Raises:
            ValueError: the path would leave the plant's landing folder.
        """
        pure = PurePosixPath(path)
        if not is_plant(plant) or pure.is_absolute() or ".." in pure.parts or "\x00" in path:
            raise ValueError(f"{plant}/{path} would leave the landing zone")
        return self.settings.landing_path / plant / pure


def is_plant(name: str) -> bool:
    """Whether a name may name a plant: it becomes a folder, a partition key and part of messages."""
    return PLANT_NAME.fullmatch(name) is not None


def _walk(folder: Path, depth: int = 0) -> Iterator[tuple[os.DirEntry[str] | None, str]]:
    """Yield the regular files below a folder, and instead of an entry a problem for what cannot be listed."""
    if depth > MAX_DEPTH:
        yield None, f"{folder}: nested deeper than {MAX_DEPTH} folders; it is not read"
        return
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        yield None, f"{folder}: cannot be listed ({error.strerror}); check its permissions"
        return
    for entry in listed:
        if not _is_utf8(entry.name):
            yield None, f"{folder}: name {entry.name!r} is no UTF-8; rename it, it is not read"
        elif entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), depth + 1)
        elif entry.is_file(follow_symlinks=False):
            yield entry, ""
        else:
            yield None, f"{entry.path}: neither a file nor a folder (a link?); it is not read"


def _is_utf8(name: str) -> bool:
    """Whether a name can be stored and shown: the system hands over other bytes as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
