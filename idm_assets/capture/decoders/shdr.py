"""Decoder of SHDR, the line protocol of MTConnect adapters, as logged to files.

Source of the format: ANSI/MTC1.4, and "Adapter Agent Protocol" (SHDR) of the MTConnect C++ agent.

    timestamp|item|value(|item|value)*                           samples and events
    timestamp|item|level|native code|severity|qualifier|text     a condition
    timestamp|item|native code|text                              a message
    timestamp|@ASSET@|id|type|document                           an asset; the document may span lines
    * text                                                       a protocol command

What SHDR does not say cannot be told here: a data item's category comes from ``Devices.xml``, so a time
series (``timestamp|item|count|rate|values``) reads as two pairs. Pipes escaped inside a quoted value are not
supported; such lines are rejected as ``escaped_pipe``.

Belongs here: the meaning of SHDR lines. Does not belong here: how bytes become lines (`framing`), what a token is
(`text_values`), what tags mean (referential).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import duckdb
from pydantic import BaseModel, ConfigDict

from idm_assets.capture.content import Content, Expected
from idm_assets.capture.decoders import Decoding, PreparedFile
from idm_assets.capture.framing import LineBatch, frame_lines, framed_lines, plain_lines, reject_continuations
from idm_assets.capture.remarks import TIMESTAMP_CUT
from idm_assets.capture.survey import Limits
from idm_assets.capture.text_values import (
    BLANK,
    NUMBER,
    TIMESTAMP_UNREADABLE,
    is_blank,
    is_truncated,
    number,
    timestamp,
)
from idm_assets.sql import literal
from idm_assets.status import BAD_NO_DATA, GOOD

FIELD_COUNT: Final = "field_count"
ITEM_MISSING: Final = "item_missing"
ESCAPED_PIPE: Final = "escaped_pipe"
UNTERMINATED_BLOCK: Final = "unterminated_block"
BLOCK_TOO_LARGE: Final = "block_too_large"
BLOCK_UNREADABLE: Final = "block_unreadable"

PROTOCOL_COMMAND: Final = "protocol_command"
CONTINUATION: Final = "continuation"

MAX_DOCUMENT_CHARACTERS: Final = 8 << 20

_ASSET: Final = "@ASSET@"
_MULTILINE: Final = "--multiline--"


class ShdrOptions(BaseModel):
    """Options of a source declaration in this format: there are none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Shdr:
    """Decoder of SHDR lines; see the module."""

    name: str = "shdr"
    code_version: str = "2"
    unit: str = "line"
    expected: Expected = Expected(Content.LINES, kinds=frozenset({"shdr"}))

    def __init__(self, limits: Limits | None = None, zone: str = "UTC") -> None:
        self._zone = zone
        self._limits = limits or Limits()

    @classmethod
    def from_options(cls, options: Mapping[str, Any], zone: str = "UTC") -> Shdr:
        """Set up the decoder with the options of a source declaration.

        Raises:
            pydantic.ValidationError: there are options.
        """
        ShdrOptions.model_validate(options)
        return cls(zone=zone)

    def count(self, file: PreparedFile) -> int:
        """The lines that the survey counted."""
        return file.lines

    def layout(self, file: PreparedFile) -> str:  # noqa: ARG002 - all files are read alike
        """Nothing: any files can be read together."""
        return ""

    def fast(self, con: duckdb.DuckDBPyConnection, files: Sequence[PreparedFile], folder: Path) -> Decoding:  # noqa: ARG002
        """Decode plain files; one that holds an asset spanning several lines comes out short of lines.

        Raises:
            ValueError: a file whose path names no source.
            duckdb.InvalidInputException: a path cannot be written in SQL.
        """
        for file in files:
            _require_source(file)
        return _decoding(plain_lines(files), self._zone)

    def exact(self, con: duckdb.DuckDBPyConnection, file: PreparedFile, folder: Path) -> Decoding:  # noqa: ARG002
        """Decode any file; the queries hold until the next call on the same connection.

        Raises:
            ValueError: the file's path names no source.
            OSError: the file cannot be read.
        """
        _require_source(file)
        lines = framed_lines(con, file, join_blocks(frame_lines(file.path, self._limits)))
        opened = f"SELECT line FROM ({_judged(lines, self._zone)}) WHERE document IS NOT NULL AND reason IS NOT NULL"
        reject_continuations(con, opened, BLOCK_UNREADABLE)
        return _decoding(lines, self._zone)


def join_blocks(batches: Iterable[LineBatch], max_characters: int = MAX_DOCUMENT_CHARACTERS) -> Iterator[LineBatch]:
    """Give the first line of every asset that spans lines its document, and mark the lines that continue it.

    A block starts at ``timestamp|@ASSET@|id|type|--multiline--TOKEN`` and ends at a line of just
    ``--multiline--TOKEN``. If it never ends, grows beyond ``max_characters`` or holds a line with a problem,
    all its lines get a problem and none a document. At most one block is held in memory.

    Args:
        batches: lines of one file, in order.
        max_characters: longest document.
    """
    block: _Block | None = None
    for batch in batches:
        if block is None and not any(_MULTILINE in content for content in batch.contents):
            yield batch
            continue
        joined, block = _join(batch, block, max_characters)
        if joined.contents:
            yield joined
    if block is not None and block.contents:
        joined = LineBatch(block.first, [])
        block.close(joined, BLOCK_TOO_LARGE if block.characters > max_characters else UNTERMINATED_BLOCK)
        yield joined


def _join(batch: LineBatch, block: _Block | None, max_characters: int) -> tuple[LineBatch, _Block | None]:
    """Join the blocks of a batch; the second result is the block that is still open at its end."""
    joined = LineBatch(batch.first if block is None else block.first, [])
    for index, content in enumerate(batch.contents):
        problem = batch.problems.get(index)
        if block is not None:
            if block.add(content, problem):
                block.close(joined, BLOCK_TOO_LARGE if block.characters > max_characters else None)
                block = None
            continue
        token = _opened_token(content) if problem is None else None
        if token is not None:
            block = _Block(batch.first + index, token, content)
            continue
        if problem is not None:
            joined.problems[len(joined.contents)] = problem
        joined.contents.append(content)
    if block is not None and block.characters > max_characters:
        block = block.spill(joined)
    return joined, block


class _Block:
    """The lines of an asset from its first one on, until its token comes again."""

    def __init__(self, first: int, token: str, *contents: str) -> None:
        self.first = first
        self.contents = list(contents)
        self.characters = 0
        self._token = token
        self._problems: dict[int, str] = {}

    def add(self, content: str, problem: str | None) -> bool:
        """Take the next line; True if it is the last one."""
        if problem is not None:
            self._problems[len(self.contents)] = problem
        self.contents.append(content)
        ended = problem is None and content == self._token
        if not ended:
            self.characters += len(content) + 1
        return ended

    def close(self, joined: LineBatch, problem: str | None) -> None:
        """Hand the lines over with their document, or with the problem that keeps them from having one."""
        if self._problems and problem is None:
            problem = BLOCK_UNREADABLE
        start = len(joined.contents)
        indexes = range(start, start + len(self.contents))
        joined.contents.extend(self.contents)
        if problem is None:
            joined.documents[start] = "\n".join(self.contents[1:-1])
            joined.problems.update(dict.fromkeys(indexes[1:], CONTINUATION))
            joined.openers.update(dict.fromkeys(indexes[1:], self.first))
        else:
            joined.problems.update((index, self._problems.get(index - start, problem)) for index in indexes)

    def spill(self, joined: LineBatch) -> _Block:
        """Hand over the lines of a block that is too large, and go on with what follows of it."""
        self.close(joined, BLOCK_TOO_LARGE)
        following = _Block(self.first + len(self.contents), self._token)
        following.characters = self.characters
        return following


def _opened_token(content: str) -> str | None:
    if _MULTILINE not in content or content.startswith("*"):
        return None
    fields = content.split("|")
    is_opener = len(fields) == 5 and fields[1] == _ASSET and fields[4].startswith(_MULTILINE)
    return fields[4] if is_opener else None


def _require_source(file: PreparedFile) -> None:
    if file.source is None:
        raise ValueError(
            f"{file.path}: an SHDR line does not name its source, and the path pattern of the source "
            "declaration found none in the path; add {source} to the pattern"
        )


def _decoding(lines: str, zone: str) -> Decoding:
    judged = _judged(lines, zone)
    skipped = f"""
        SELECT file, reason, count(*)::BIGINT AS lines
        FROM (
            SELECT
                file,
                CASE
                    WHEN problem = '{CONTINUATION}' THEN '{CONTINUATION}'
                    WHEN problem IS NOT NULL THEN NULL
                    WHEN {is_blank("content")} THEN '{BLANK}'
                    WHEN starts_with(content, '*') THEN '{PROTOCOL_COMMAND}'
                END AS reason
            FROM ({lines})
        )
        WHERE reason IS NOT NULL
        GROUP BY file, reason
    """
    rejected = f"""
        SELECT file, line, content AS payload, reason, {_EXPLANATION} AS detail
        FROM ({judged})
        WHERE reason IS NOT NULL
    """
    return Decoding(_observations(judged), rejected, skipped, lines, lambda others: _decoding(others, zone))


# Lengths in bytes keep letters out that merely fold to ASCII ones, such as the dotted capital I.
_IS_LEVEL: Final = """
    CASE strlen(f[3])
        WHEN 5 THEN lower(f[3]) = 'fault'
        WHEN 6 THEN lower(f[3]) = 'normal'
        WHEN 7 THEN lower(f[3]) = 'warning'
        WHEN 11 THEN lower(f[3]) = 'unavailable'
        ELSE false
    END
"""

_KIND: Final = f"""
    CASE
        WHEN problem IS NOT NULL THEN 'problem'
        WHEN {is_blank("content")} OR starts_with(content, '*') THEN 'skipped'
        WHEN starts_with(f[2], '@') AND f[2] = '{_ASSET}' THEN
            CASE
                WHEN len(f) < 5 THEN 'unpaired'
                WHEN document IS NULL AND len(f) = 5 AND starts_with(f[5], '{_MULTILINE}') THEN 'opener'
                ELSE 'asset'
            END
        WHEN starts_with(f[2], '@') AND f[2] IN ('@UPDATE_ASSET@', '@REMOVE_ASSET@', '@REMOVE_ALL_ASSETS@')
            THEN 'asset_change'
        WHEN contains(content, '\\|') AND regexp_matches(content, '\\|"[^|]*\\\\\\|') THEN 'escaped'
        WHEN len(f) = 3 THEN 'pairs'
        WHEN len(f) = 7 AND {_IS_LEVEL} THEN 'condition'
        WHEN len(f) = 4 THEN 'message'
        WHEN len(f) > 3 AND len(f) % 2 = 1 THEN 'pairs'
        ELSE 'unpaired'
    END
"""

# The stamp without the duration; NULL if the duration is none.
_STAMP: Final = f"""
    CASE
        WHEN NOT contains(f[1], '@') THEN f[1]
        WHEN regexp_full_match(f[1], '[^@]*@{NUMBER}') THEN split_part(f[1], '@', 1)
    END
"""

_IS_ITEM_MISSING: Final = f"""
    CASE
        WHEN len(f) > 3 AND kind = 'pairs'
            THEN len(list_filter(range(2, len(f), 2), lambda i: {is_blank("f[i]")})) > 0
        WHEN kind = 'asset' THEN {is_blank("f[3]")}
        WHEN kind = 'asset_change' THEN coalesce({is_blank("f[3]")}, true) AND f[2] <> '@REMOVE_ALL_ASSETS@'
        ELSE {is_blank("f[2]")}
    END
"""

_REASON: Final = f"""
    CASE
        WHEN kind IN ('skipped', 'opener') THEN NULL
        WHEN kind = 'problem' THEN nullif(problem, '{CONTINUATION}')
        WHEN kind = 'unpaired' THEN '{FIELD_COUNT}'
        WHEN kind = 'escaped' THEN '{ESCAPED_PIPE}'
        WHEN ts IS NULL THEN '{TIMESTAMP_UNREADABLE}'
        WHEN {_IS_ITEM_MISSING} THEN '{ITEM_MISSING}'
    END
"""

_EXPLANATION: Final = f"""
    CASE reason
        WHEN '{FIELD_COUNT}' THEN
            concat('expected timestamp|item|value with further pairs, found ', len(f), ' fields')
        WHEN '{ESCAPED_PIPE}' THEN 'a quoted value with an escaped pipe is not supported'
        WHEN '{TIMESTAMP_UNREADABLE}' THEN
            concat('expected a timestamp such as 2016-11-16T10:11:32.5625Z, found "', left(f[1], 100), '"')
        WHEN '{ITEM_MISSING}' THEN 'a data item or asset id is empty'
        WHEN '{UNTERMINATED_BLOCK}' THEN 'the file ends before the token that closes the asset document'
        WHEN '{BLOCK_TOO_LARGE}' THEN 'the asset document is longer than {MAX_DOCUMENT_CHARACTERS} characters'
        WHEN '{BLOCK_UNREADABLE}' THEN 'another line of the same asset document is rejected'
    END
"""


def _judged(lines: str, zone: str) -> str:
    """Query: every line with its fields, kind, timestamp, and the reason why it is rejected."""
    return f"""
        SELECT *, {_REASON} AS reason
        FROM (
            SELECT *, {timestamp("stamp", zone)} AS ts
            FROM (
                SELECT *, {_KIND} AS kind, {_STAMP} AS stamp
                FROM (SELECT *, string_split(content, '|') AS f FROM ({lines}))
            )
        )
    """


def _observations(judged: str) -> str:
    tag = """
        CASE
            WHEN kind = 'asset' THEN concat(f[2], '/', f[3])
            WHEN kind = 'asset_change' THEN concat_ws('/', f[2], nullif(trim(f[3]), ''))
            ELSE f[2 * part]
        END
    """
    text = """
        CASE
            WHEN kind = 'message' THEN f[4]
            WHEN kind = 'asset' THEN coalesce(document, array_to_string(f[5:], '|'))
            WHEN kind = 'asset_change' THEN coalesce(array_to_string(f[4:], '|'), '')
            ELSE f[2 * part + 1]
        END
    """
    detail = """
        CASE WHEN kind IN ('condition', 'message', 'asset') OR strlen(stamp) < strlen(f[1]) THEN
            nullif(
                json_merge_patch(
                    '{}',
                    json_object(
                        'duration', nullif(split_part(f[1], '@', 2), ''),
                        'asset_type', CASE WHEN kind = 'asset' THEN nullif(f[4], '') END,
                        'native_code', CASE
                            WHEN kind = 'condition' THEN nullif(f[4], '')
                            WHEN kind = 'message' THEN nullif(f[3], '')
                        END,
                        'severity', CASE WHEN kind = 'condition' THEN nullif(f[5], '') END,
                        'qualifier', CASE WHEN kind = 'condition' THEN nullif(f[6], '') END,
                        'message', CASE WHEN kind = 'condition' THEN nullif(f[7], '') END
                    )
                )::VARCHAR,
                '{}'
            )
        END
    """
    # The number of parts rather than a filter decides which lines give observations: the optimizer would
    # push a filter down to where everything it depends on is worked out a second time.
    parts = """
        CASE
            WHEN reason IS NOT NULL OR kind IN ('skipped', 'opener', 'problem') THEN 0
            WHEN kind = 'pairs' THEN (len(f) - 1) // 2
            ELSE 1
        END
    """
    return f"""
        SELECT
            file, line, part, source, tag, ts,
            CASE WHEN kind NOT IN ('asset', 'asset_change') THEN {number("text")} END AS value,
            text,
            CASE
                WHEN strlen(text) = 11 AND upper(text) = 'UNAVAILABLE'
                    AND kind NOT IN ('asset', 'asset_change')
                    THEN {literal(BAD_NO_DATA)}::BIGINT
                ELSE {literal(GOOD)}::BIGINT
            END AS status,
            detail,
            CASE WHEN {is_truncated("stamp")} THEN {TIMESTAMP_CUT} ELSE 0 END AS remarks
        FROM (
            SELECT
                file, line, part::INTEGER AS part, source, ts, stamp, kind,
                {tag} AS tag, {text} AS text, {detail} AS detail
            FROM (
                SELECT file, line, source, document, f, ts, stamp, kind, unnest(range(1, {parts} + 1)) AS part
                FROM ({judged})
            )
        )
    """
