"""Names of archive members: which are safe, which are noise of an operating system, and how the others are shown.

Belongs here: judging a name. Does not belong here: reading it from a header.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, Literal
from urllib.parse import quote

from idm_assets.capture.containers import UNSAFE_MEMBER_NAME, Entry

MAX_NAME_CHARACTERS: Final = 500
_SHOWN_NAME_CHARACTERS: Final = 200
_OPERATING_SYSTEM_FILES: Final = frozenset({".DS_Store"})
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def entry_of(raw: bytes, name: str | None, kind: Literal["file", "folder"], refusal: tuple[str, str] | None) -> Entry:
    """An entry by its name as stored, and as text if it is any."""
    if not raw:
        return Entry("", "ignored")
    fault = "is no UTF-8" if name is None else _fault(name)
    if name is None or fault is not None:
        return Entry(shown(raw), kind, (UNSAFE_MEMBER_NAME, f"the name of the member {fault}"))
    steps = [step for step in name.split("/") if step not in ("", ".")]
    if kind == "file" and steps and (steps[0] == "__MACOSX" or steps[-1] in _OPERATING_SYSTEM_FILES):
        return Entry("/".join(steps), "ignored")
    return Entry("/".join(steps), kind, refusal) if steps or kind == "folder" else Entry(name, "ignored")


def _fault(name: str) -> str | None:
    """What is unsafe in the name of a member."""
    if len(name) > MAX_NAME_CHARACTERS:
        return f"is longer than {MAX_NAME_CHARACTERS} characters"
    if name.startswith("/") or _DRIVE.match(name):
        return "is absolute"
    if ".." in name.split("/"):
        return "leads out of the archive by .."
    if "\\" in name:
        return "holds a backslash"
    return "holds a control character" if _CONTROL.search(name) else None


def shown(raw: bytes) -> str:
    """An unsafe name in a form that is harmless as a path and tells names apart."""
    shown = quote(raw[: MAX_NAME_CHARACTERS * 4], safe="/ !#$&'()+,;=@[]~^{}")
    shown = "/".join("%2E%2E" if step == ".." else step for step in shown.split("/"))
    if shown.startswith("/"):
        shown = f"%2F{shown[1:]}"
    if len(shown) > _SHOWN_NAME_CHARACTERS:
        shown = f"{shown[:_SHOWN_NAME_CHARACTERS]}~{hashlib.sha256(raw).hexdigest()[:8]}"
    return shown
