"""What is looked at of a delivered file: its first bytes, and what they say as text.

Belongs here: taking a sample, its encoding, its first lines. Does not belong here: unpacking (`capture.survey`), what
the text is (the recognisers), how lines fall into cells (`dialects`).
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from idm_assets.capture.content import HEAD_BYTES, Content, Expected, encoding_of, kind_of
from idm_assets.capture.proposal.declaration_text import Unrecognised
from idm_assets.capture.survey import Limits, UnreadableCapture, survey

SAMPLE_BYTES: Final = 4 << 20
"""Bytes that are looked at of a file."""

LINES_JUDGED: Final = 2_000
"""Lines that are looked at of a text."""

_LINE_CHARACTERS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Sample:
    """What is looked at of a delivered file.

    Attributes:
        name: name of the file.
        parent: name of the folder it lies in.
        member: path of the member that was looked at, where the file is an archive.
        path: the content, unpacked, for formats that are read from their end.
        head: its first 4 MB.
        is_whole: whether that is all of it.
        folder: where scratch files may be put.
    """

    name: str
    parent: str
    member: str | None
    path: Path
    head: bytes
    is_whole: bool
    folder: Path


def sampled(file: Path, folder: Path) -> Sample | Unrecognised:
    """Take a sample of a file, whatever it is packed in.

    Args:
        file: the file as delivered; it is read to its end once, to be unpacked.
        folder: existing folder for unpacked content, which the caller removes.

    Raises:
        OSError: the file or folder cannot be accessed.
        CaptureMoved: the file changes while it is read.
    """
    try:
        surveyed = survey(file, folder, Limits(), Expected(Content.BYTES))
    except UnreadableCapture as error:
        return Unrecognised(f"The file cannot be read, whatever its format: {error.detail}.")
    members = [member for member in surveyed.members if member.refusal is None and member.text_bytes]
    if not members:
        refused = [f"{m.name or file.name}: {m.refusal[1]}" for m in surveyed.members if m.refusal is not None]
        return Unrecognised(f"There is nothing to look at: {'; '.join(refused[:3]) or 'the file is empty'}.")
    member = members[0]
    with member.text.open("rb") as stream:
        head = stream.read(SAMPLE_BYTES + 1)
    is_whole = len(head) <= SAMPLE_BYTES
    return Sample(
        file.name, file.absolute().parent.name, member.name, member.text, head[:SAMPLE_BYTES], is_whole, folder
    )


def text_encoding(head: bytes) -> tuple[str | None, tuple[str, ...]]:
    """Python codec of a text and why; ``utf-8`` where a byte-order mark decides, None where the bytes are no text."""
    marked, mark = encoding_of(head, "utf-8")
    if mark or marked != "utf-8":
        return "utf-8", ()
    if b"\x00" in head[:4096]:
        for encoding, odd in (("utf-16-le", head[1:4096:2]), ("utf-16-be", head[:4096:2])):
            if odd.count(0) > 0.4 * len(odd):
                return encoding, ("every other byte is zero, as in UTF-16 without a byte-order mark",)
        return None, ()
    try:
        # The sample may end within a character.
        head.decode("utf-8") if len(head) < SAMPLE_BYTES else head[: head.rfind(b"\n") + 1].decode("utf-8")
    except UnicodeDecodeError as error:
        if kind_of(head[:HEAD_BYTES]) not in ("text", "json", "xml"):
            return None, ()
        why = f"byte {error.start + 1} is no UTF-8; Western European of Windows is a guess, check the letters"
        return "windows-1252", (why,)
    return ("utf-8", ()) if kind_of(head[:HEAD_BYTES]) == "text" else (None, ())


def unmarked(sample: Sample, encoding: str) -> bytes:
    """The text of a sample without its byte-order mark, and without the line that it breaks off in."""
    real, mark = encoding_of(sample.head, encoding)
    head = sample.head
    if not sample.is_whole and b"\n" in head:
        # In UTF-16 of this order the other byte of the line end follows.
        head = head[: head.rfind(b"\n") + 1 + (real == "utf-16-le")]
    return head[mark:].removeprefix(codecs.BOM_UTF8)


def first_lines(sample: Sample, encoding: str) -> list[str]:
    """The first lines as text."""
    text = unmarked(sample, encoding).decode(encoding_of(sample.head, encoding)[0], "replace")
    return [line.removesuffix("\r")[:_LINE_CHARACTERS] for line in text.split("\n", LINES_JUDGED)[:LINES_JUDGED]]
