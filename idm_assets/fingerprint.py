"""Stable fingerprints of plain values: the one way in which inputs, rules and code versions are compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

Plain = str | int | float | bool | None | Sequence["Plain"] | Mapping[str, "Plain"]


def canonical(value: Plain) -> str:
    """JSON text of a plain value: equal values have equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def fingerprint(value: Plain) -> str:
    """SHA-256 of a plain value's canonical JSON, as 32 hexadecimal digits.

    Args:
        value: strings, numbers, booleans, None, and sequences and mappings of them.
    """
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:32]
