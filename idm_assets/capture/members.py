"""Members of a delivered file: what remains to be decoded once everything it is packed in has been taken apart.

Belongs here: which layers are taken off, what becomes a member, the files that members are unpacked to. Does not belong
here: how a container is read (`containers`), what text is fit for (`survey`).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Protocol, Self

from idm_assets.capture.containers import Budget, Entry, Limits, Refused, RefusedWhole
from idm_assets.capture.containers.streams import unpacked
from idm_assets.capture.containers.tar_archives import tar_entries
from idm_assets.capture.containers.zip_archives import Zip, read_zip, zip_content, zip_packed
from idm_assets.capture.content import (
    COMPRESSIONS,
    HEAD_BYTES,
    Content,
    Expected,
    as_utf8,
    encoding_of,
    foreign,
    foreign_kind,
    kind_of,
)

NESTED_TOO_DEEP: Final = "nested_too_deep"
REPEATED_MEMBER_NAME: Final = "repeated_member_name"

MAX_COMPRESSIONS: Final = 2
"""Layers of compression around a member, those around its archive among them."""


class Judge(Protocol):
    """What is asked of text, chunk by chunk."""

    def feed(self, chunk: bytes) -> None:
        """Judge the next chunk.

        Raises:
            Refused: it is no text.
        """
        ...

    @property
    def size(self) -> int:
        """Bytes so far."""
        ...

    @property
    def lines(self) -> int:
        """Lines so far."""
        ...

    @property
    def plain(self) -> bool:
        """Whether the vectorised readers may have it."""
        ...


@dataclass(frozen=True, slots=True)
class Member:
    """One file to decode.

    Attributes:
        name: path inside of the archive, with ``/`` and without ``./``; None where the delivered file is no archive.
            Of a refused name what is unsafe is percent-encoded, so it never leads anywhere.
        text: the file to read: the delivered one, or an unpacked and transcoded copy in the work folder; a path at
            which there is nothing if the member is refused.
        sha256: hexadecimal SHA-256 of the member as it lies in the archive (of a .csv.gz in a zip: of the gzip), or of
            the file as delivered. Of what cannot be unpacked from a zip: of its packed data.
        size_bytes: size of that.
        text_bytes: size of ``text``.
        lines: number of LF, plus one for an unterminated last line; 0 for `Content.BYTES`.
        plain: valid UTF-8, no NUL, no chr(1), line ends all LF or all CRLF, no lone CR, no line too long; true for
            `Content.BYTES`.
        compression: ``none``, ``gzip``, ``zstd`` or ``bz2``; of two, the inner one first, such as ``gzip+zstd``.
        refusal: reason code and detail if this member cannot be decoded; the others can.
    """

    name: str | None
    text: Path
    sha256: str
    size_bytes: int
    text_bytes: int
    lines: int
    plain: bool
    compression: str
    refusal: tuple[str, str] | None


class Hashed:
    """Passes chunks on, with their SHA-256 and number of bytes."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._sha256 = hashlib.sha256()
        self.size = 0
        # What the chunks themselves failed with, as opposed to what is made of them.
        self.broken: Refused | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = next(self._chunks)
        except Refused as error:
            self.broken = error
            raise
        self._sha256.update(chunk)
        self.size += len(chunk)
        return chunk

    def drain(self) -> None:
        """Read to the end, or to where it is `broken`."""
        try:
            for _ in self:
                pass
        except RefusedWhole:
            raise
        except Refused:
            return

    def hexdigest(self) -> str:
        """Hexadecimal SHA-256 of what was passed on."""
        return self._sha256.hexdigest()


class WorkFolder:
    """Files of fresh names in a folder, all removed if the block that it is used in raises."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.nothing = folder / "refused"
        self._files: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is not None:
            for file in self._files:
                file.unlink(missing_ok=True)

    @contextmanager
    def file(self) -> Generator[tuple[Path, BinaryIO]]:
        """A fresh file to write to; it is removed if the block raises."""
        handle, name = tempfile.mkstemp(prefix="unpacked-", suffix=".txt", dir=self._folder)
        path = Path(name)
        self._files.append(path)
        with os.fdopen(handle, "wb") as sink:
            try:
                yield path, sink
            except BaseException:
                path.unlink(missing_ok=True)
                raise


@dataclass(frozen=True, slots=True)
class _Judged:
    """A file that is ready to be decoded."""

    text: Path
    text_bytes: int
    lines: int = 0
    plain: bool = True


@dataclass(frozen=True, slots=True)
class _Bare:
    """Content without its compressions, which are named from the inside out, with its first bytes and their kind."""

    layers: tuple[str, ...]
    head: bytes
    kind: str
    chunks: Iterator[bytes]


class Examination:
    """Takes one delivered file apart."""

    def __init__(self, work: WorkFolder, limits: Limits, expected: Expected, judge: Callable[[], Judge]) -> None:
        self._work = work
        self._judge = judge
        self._limits = limits
        self._expected = expected
        self._budget = Budget(limits)
        self.members: list[Member] = []
        self.ignored: list[str] = []
        self.is_archive = False

    def examine(self, path: Path, handle: int, stream: Hashed) -> str:
        """Find the members of a delivered file and give its packaging.

        Args:
            path: the file, to be read in place.
            handle: its descriptor.
            stream: its bytes; read to the end unless this raises.

        Raises:
            Refused: the file as a whole cannot be decoded.
        """
        bare = self._bare(stream, "delivered", 0)
        if bare.kind == "tar" and self._is_unpacked("tar"):
            self.is_archive = True
            for entry, content in tar_entries(bare.chunks, self._budget):
                self._take(entry, content, iter(()), len(bare.layers))
        elif bare.kind == "zip" and self._is_unpacked("zip"):
            self._examine_zip(path, handle, stream, bare)
        else:
            self._take_alone(self._judged(bare, None if bare.layers else path), bare)
        if self.is_archive:
            self._refuse_repeated()
        return "+".join((*((bare.kind,) if self.is_archive else ()), *bare.layers)) or "none"

    def _examine_zip(self, path: Path, handle: int, stream: Hashed, bare: _Bare) -> None:
        """Find the members of a zip: its entries, or the zip itself if it is a package."""
        if not bare.layers:
            # The directory is at the end; by then the bytes are read anyway for their hash.
            stream.drain()
            archive = read_zip(handle, self._limits)
            if archive.is_package:
                self._take_alone(self._package(archive, path), bare)
            else:
                self._take_entries(archive, 0)
            return
        whole = self._kept(bare.chunks)
        with whole.text.open("rb") as spooled:
            archive = read_zip(spooled.fileno(), self._limits)
            if archive.is_package:
                self._take_alone(self._package(archive, whole.text), bare)
                return
            self._take_entries(archive, len(bare.layers))
        whole.text.unlink()

    def _is_unpacked(self, kind: str) -> bool:
        return kind not in self._expected.kinds

    def _bare(self, chunks: Iterable[bytes], layer: str, around: int) -> _Bare:
        """Take the compressions from some content, ``around`` which there are others already."""
        layers: tuple[str, ...] = ()
        while True:
            head, chunks = _peeked(chunks)
            kind = kind_of(head)
            if kind not in COMPRESSIONS or not self._is_unpacked(kind):
                return _Bare(layers, head, kind, chunks)
            if around + len(layers) == MAX_COMPRESSIONS:
                raise Refused(
                    NESTED_TOO_DEEP, f"there is a {kind} within {MAX_COMPRESSIONS} layers of compression already"
                )
            layers = (kind, *layers)
            chunks = unpacked(chunks, kind, self._budget, f"{layer}, layer {len(layers)}")

    # Members

    def _take_alone(self, judged: _Judged, bare: _Bare) -> None:
        self.members.append(_member(None, judged, "+".join(bare.layers) or "none"))

    def _take_entries(self, archive: Zip, around: int) -> None:
        self.is_archive = True
        for entry in archive.entries:
            packed = zip_packed(archive, entry, self._budget)
            content = zip_content(archive, entry, self._budget) if entry.is_readable else packed
            self._take(entry.entry, content, packed, around)

    def _take(self, entry: Entry, content: Iterator[bytes], packed: Iterator[bytes], around: int) -> None:
        """Make an entry of an archive a member, unless it is none; ``packed`` stands for content that is damaged."""
        if entry.kind == "ignored":
            self.ignored.append(entry.name)
        if entry.kind != "file":
            return
        stream = Hashed(content)
        judged, compression, refusal = _Judged(self._work.nothing, 0), "none", entry.refusal
        if refusal is None:
            try:
                bare = self._bare(stream, "members", around)
                judged, compression = self._judged_member(bare), "+".join(bare.layers) or "none"
            except RefusedWhole:
                raise
            except Refused as error:
                refusal = error.reason, error.detail
        stream.drain()
        if stream.broken is not None:
            stream = Hashed(packed)
            stream.drain()
        member = _member(entry.name, judged, compression, refusal)
        self.members.append(replace(member, sha256=stream.hexdigest(), size_bytes=stream.size))

    def _refuse_repeated(self) -> None:
        """Refuse all members of one name: it cannot be told which of them is meant."""
        count = Counter(member.name for member in self.members)
        for number, member in enumerate(self.members):
            if count[member.name] > 1 and member.refusal is None:
                member.text.unlink()
                refusal = REPEATED_MEMBER_NAME, f"the archive has {count[member.name]} members of this name"
                refused = _member(member.name, _Judged(self._work.nothing, 0), "none", refusal)
                self.members[number] = replace(refused, sha256=member.sha256, size_bytes=member.size_bytes)

    # Content

    def _judged_member(self, bare: _Bare) -> _Judged:
        """Content of a member of an archive, which may be a package but no archive again."""
        if bare.kind not in ("tar", "zip") or not self._is_unpacked(bare.kind):
            return self._judged(bare, None)
        if bare.kind == "tar":
            raise Refused(NESTED_TOO_DEEP, "the member is an archive itself, a tar")
        whole = self._kept(bare.chunks)
        try:
            with whole.text.open("rb") as spooled:
                archive = read_zip(spooled.fileno(), self._limits)
            return self._package(archive, whole.text)
        except Refused:
            whole.text.unlink()
            raise

    def _package(self, archive: Zip, text: Path) -> _Judged:
        if not archive.is_package:
            raise Refused(NESTED_TOO_DEEP, "the member is an archive itself, a zip")
        if refusal := foreign_kind("opc", "", self._expected):
            raise Refused(*refusal)
        return _Judged(text, archive.size_bytes)

    def _judged(self, bare: _Bare, in_place: Path | None) -> _Judged:
        """Content that is not unpacked any further; copied unless it can be read in place."""
        if refusal := foreign(bare.head, self._expected):
            raise Refused(*refusal)
        if self._expected.content is Content.LINES:
            return self._judged_text(bare, in_place)
        if in_place is None:
            return self._kept(bare.chunks)
        return _Judged(in_place, sum(map(len, bare.chunks)))

    def _judged_text(self, bare: _Bare, in_place: Path | None) -> _Judged:
        encoding, mark = encoding_of(bare.head, self._expected.encoding)
        is_utf8 = encoding == "utf-8"
        judge = self._judge()
        text = _fed(judge, bare.chunks if is_utf8 else as_utf8(_without_mark(bare.chunks, mark), encoding))
        if is_utf8 and in_place is not None:
            deque(text, maxlen=0)
            path = in_place
        else:
            path = self._kept(text).text
        return _Judged(path, judge.size, judge.lines, judge.plain)

    def _kept(self, chunks: Iterable[bytes]) -> _Judged:
        """Content in a file of its own."""
        size = 0
        with self._work.file() as (path, sink):
            for chunk in chunks:
                size += len(chunk)
                self._budget.spend("files", len(chunk))
                sink.write(chunk)
        return _Judged(path, size)


def _member(name: str | None, judged: _Judged, compression: str, refusal: tuple[str, str] | None = None) -> Member:
    """A member whose identity is not known yet."""
    return Member(name, judged.text, "", 0, judged.text_bytes, judged.lines, judged.plain, compression, refusal)


def _peeked(chunks: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The head of some content, and all of it; the head is within the first chunk."""
    rest = iter(chunks)
    first = bytearray()
    for chunk in rest:
        first += chunk
        if len(first) >= HEAD_BYTES:
            break
    whole = bytes(first)
    return whole[:HEAD_BYTES], chain([whole] if whole else [], rest)


def _without_mark(chunks: Iterator[bytes], mark: int) -> Iterator[bytes]:
    yield next(chunks, b"")[mark:]
    yield from chunks


def _fed(judge: Judge, chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        judge.feed(chunk)
        yield chunk
