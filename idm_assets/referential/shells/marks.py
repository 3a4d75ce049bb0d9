"""What the export of shells writes down for the import where AAS has no place for it.

Shells written here carry extensions whose names begin with `MARK`, and submodels that say in the extension
`ROLE` what they are for. Other software may ignore both.

Belongs here: these names. Does not belong here: reading or writing them.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

MARK: Final = "urn:idm:"
ROLE: Final = "role"
ROLE_MODEL: Final = "model"
ROLE_STATIC: Final = "static_attributes"
ROLE_BINDINGS: Final = "bindings"

# An asset must have an id (AASd-131). One that has none of its own is named after its shell.
NAMELESS_ASSET: Final = "#asset"
GLOBAL_ASSET_ID: Final = "global_asset_id"
SERIAL_NUMBER: Final = "serial_number"

EQUIPMENT_PATH: Final = "equipment_path"
PARENT: Final = "parent"


def shell_id(plant: str, avatar: str) -> str:
    """Identifier of the shell of an avatar.

    >>> shell_id("NIST", "Mazak 01/C:1")
    'urn:idm:NIST:Mazak%2001%2FC%3A1'
    """
    return f"{MARK}{quote(plant, safe='')}:{quote(avatar, safe='')}"
