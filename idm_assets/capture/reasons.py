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
    "invalid_utf8": "the line or document is no UTF-8; its bytes are shown as \\xNN",
    "line_too_long": "the line is longer than 1 MiB; its start is kept",
    "timestamp_unreadable": "the timestamp is none of the declared format",
    "timestamp_out_of_bounds": "the timestamp lies before the first day of the plant or over a day in the future",
    "field_count": "the number of fields fits no line of the format",
    "item_missing": "the line names no data item",
    "escaped_pipe": "escaped separators are not decoded",
    "unterminated_block": "the multi-line block is never ended",
    "block_too_large": "the multi-line block is larger than 8 Mi characters",
    "block_unreadable": "a line of the multi-line block cannot be read",
    "json_invalid": "the line or document is no JSON",
    "not_an_object": "the line is JSON, but no object",
    "repeated_name": "a name occurs twice, so that it cannot be told which value is meant",
    "tag_missing": "no tag is named where the source declares it",
    "source_missing": "no source is named where it is declared, and the path names none",
    "status_unreadable": "the status is no OPC UA StatusCode from 0 to 2^32 - 1",
    "timestamp_doubled": "the local time occurs twice, as clocks went back, and the source declares to reject such",
    "timestamp_missing_hour": "the local time does not exist, as clocks went forward, and the source rejects such",
    "quote_unclosed": "a quoted cell is never closed",
    "quote_misplaced": "a quote stands where the dialect allows none",
    "header_missing": "the file does not begin with the declared header; the whole file is kept out",
    "field_missing": "the file has no such field as is declared; the whole file is kept out",
    "too_many_columns": "the table has more columns than are read; the whole file is kept out",
    "member_unclaimed": "the path pattern of the source matches neither the archive nor this member of it",
    "stub_content": "the file only stands for the data, such as an error page or a pointer to a large file",
    "foreign_content": "the file holds another kind of content than its source declares",
    "xml_invalid": "the file is no well-formed XML, or breaks off; the whole file is kept out",
    "xml_entities": "the XML has a document type or entities, which are refused",
    "xml_limits": "the XML is nested too deeply, or a value, a tag or the number of names is too large",
    "element_unreadable": "the element has not the form that its format prescribes",
    "alias_unknown": "no birth before it in the file gives the alias to exactly one metric",
    "datatype_unknown": "the datatype is none of Sparkplug's, or nobody says it",
    "message_unreadable": "the message is none of the declared format",
    "message_too_large": "the payload is larger than 16 MiB",
    "too_many_metrics": "the message has over 100,000 metrics",
    "value_too_large": "the structure is over 2 MiB or the array over 4 Mi elements",
    "topic_unreadable": "the record has no topic, or no valid Sparkplug one",
    "truncated_frame": "no whole frame begins here; the rest of the file is kept out",
    "death_undated": "it cannot be told when the node died",
    "value_in_death": "a death holds nothing but bdSeq",
    "compressed_payload": "the body is compressed, which is not in Sparkplug 3.0",
    "too_many_fields": "the JSON line has over 100,000 commas and brackets",
    "too_many_names": "over 2 million names are in force at once; split the recording",
    "several_documents": "the file is declared to be one document, and this one follows it",
    "document_too_large": "the JSON document is larger than 8 MiB",
    "corrupt_file": "the file is damaged, or none of its format",
    "items_misplaced": "the declared path leads to no array or object with items",
    "row_group_damaged": "the group of rows that the row belongs to is damaged",
    "sheet_missing": "the workbook has no such sheet",
    "too_many_rows": "the file has more rows than are read",
    "truncated_archive": "the archive or compressed file ends before its end mark",
    "corrupt_archive": "the archive or compressed file is damaged",
    "nested_too_deep": "the document, or the packing of the file, is nested too deeply",
    "too_many_members": "the archive has more entries than is allowed",
    "not_a_regular_member": "the member is a link, a device, a sparse file or a folder with content",
    "unsafe_member_name": "the name of the member is absolute, leads out of the archive, or is no clean text",
    "repeated_member_name": "the archive has several members of this name",
    "encrypted": "the member is encrypted",
    "unsupported_compression": "the member is compressed by a method that is not unpacked",
    "line_tags_unreadable": "a tag of the line is not name=value",
    "field_unreadable": "a field is not name=value with a value of the format",
    "unterminated_text": "a quoted text has no end that fits",
    "line_too_wide": "the tags of the line would be repeated for too many fields",
    "truncated_gzip": "the compressed file ends before its end mark",
    "corrupt_gzip": "the compressed file cannot be unpacked",
    "unpacks_too_large": "the compressed file unpacks to more than is allowed",
    "binary_content": "the file is no text",
    "decoder_unbalanced": "the decoder did not account for every line; the whole file is kept out",
    "decoder_failed": "the decoder stopped; the whole file is kept out",
    "conflict": "another value was reported for the same signal and instant, or record, and won",
    "missing_attribute": "the record lacks an attribute that its model requires",
    "type_mismatch": "a value does not fit the type of its attribute, or the datatype of its metric",
    "unknown_model": "no record model of this name and version is in force",
}


def explained(reason: str, detail: str) -> str:
    """SQL expression: the detail where there is one, else what the reason code says."""
    cases = " ".join(f"WHEN {literal(code)} THEN {literal(text)}" for code, text in REASONS.items())
    return f"coalesce({detail}, CASE {reason} {cases} END)"
