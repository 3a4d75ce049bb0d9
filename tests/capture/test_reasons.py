"""Every reason code that some module uses is explained."""

import re
from pathlib import Path

import idm_assets.capture
from idm_assets.capture.reasons import REASONS, explained

FOLDER = Path(idm_assets.capture.__file__).parent
CODE = re.compile(r'^(?P<name>[A-Z_0-9]+)(: Final)? = "(?P<code>[a-z_0-9]+)"$', re.MULTILINE)
NO_REJECTION = {
    # skips: what holds nothing to keep
    "BLANK", "HEADER", "PREAMBLE", "COMMENT", "CONTINUATION", "EMPTY_ROW", "PROTOCOL_COMMAND", "NO_ITEMS", "KEEP_ALIVE",
    "METADATA", "DISCOVERY", "EMPTY_MESSAGE", "STALE_DEATH", "NOTHING_ALIVE", "TRANSIENT", "STATE", "OTHER_TOPIC",
    "COMMAND",
    # no code, and a file that is left alone
    "LAYER", "NOT_A_REGULAR_FILE",
}  # fmt: skip


def constants() -> dict[str, str]:
    return {match["name"]: match["code"] for path in FOLDER.rglob("*.py") for match in CODE.finditer(path.read_text())}


def test_every_code_is_explained() -> None:
    used = {name: code for name, code in constants().items() if not name.startswith("_") and name not in NO_REJECTION}
    assert len(used) > 40
    assert {name: code for name, code in used.items() if code not in REASONS} == {}


def test_the_explanation_stands_where_a_decoder_gives_none(con) -> None:
    query = explained("'field_count'", "detail")
    found = con.execute(f"SELECT {query} FROM (VALUES (NULL), ('mine')) v(detail)").fetchall()
    assert found == [(REASONS["field_count"],), ("mine",)]
