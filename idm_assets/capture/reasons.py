"""Reason codes of the quarantine, with what each says to a person.

Decoders give a detail of their own where they know more; this is what is said otherwise, and the list that the
documentation shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from idm_assets.sql import literal

REASONS: Final[Mapping[str, str]] = {
    "nul_byte": "the line holds a NUL byte, which no text format allows",
    "invalid_utf8": "the line is no UTF-8; its bytes are shown as \\xNN",
    "line_too_long": "the line is longer than 1 MiB; its start is kept",
    "timestamp_unreadable": "the timestamp is none of the declared format",
    "timestamp_out_of_bounds": "the timestamp lies before the first day of the plant or over a day in the future",
    "field_count": "the number of fields fits no line of the format",
    "item_missing": "the line names no data item",
    "escaped_pipe": "escaped separators are not decoded",
    "unterminated_block": "the multi-line block is never ended",
    "block_too_large": "the multi-line block is larger than 8 Mi characters",
    "block_unreadable": "a line of the multi-line block cannot be read",
    "json_invalid": "the line is no JSON",
    "not_an_object": "the line is JSON, but no object",
    "repeated_name": "the object has a name twice, so that it cannot be told which value is meant",
    "tag_missing": "the object has no tag under the declared key",
    "source_missing": "the object has no source under the declared key",
    "status_unreadable": "the status is no OPC UA StatusCode from 0 to 2^32 - 1",
    "truncated_gzip": "the compressed file ends before its end mark",
    "corrupt_gzip": "the compressed file cannot be unpacked",
    "unpacks_too_large": "the compressed file unpacks to more than is allowed",
    "binary_content": "the file is no text",
    "decoder_unbalanced": "the decoder did not account for every line; the whole file is kept out",
    "decoder_failed": "the decoder stopped; the whole file is kept out",
    "conflict": "another value was reported for the same signal and instant, or record, and won",
    "missing_attribute": "the record lacks an attribute that its model requires",
    "type_mismatch": "a value does not fit the type of its attribute",
    "unknown_model": "no record model of this name and version is in force",
}


def explained(reason: str, detail: str) -> str:
    """SQL expression: the detail where there is one, else what the reason code says."""
    cases = " ".join(f"WHEN {literal(code)} THEN {literal(text)}" for code, text in REASONS.items())
    return f"coalesce({detail}, CASE {reason} {cases} END)"
