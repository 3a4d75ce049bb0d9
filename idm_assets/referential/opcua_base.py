"""The base types of OPC UA, namespace 0, which every NodeSet2 file builds upon and none repeats.

``opcua_base_types.csv`` holds what importing needs of ``Opc.Ua.NodeSet2.xml``, one row per node: all types; and below
object types, along HasComponent, HasProperty, Organizes and their subtypes, the variables and the objects that only
group (of FolderType or BaseObjectType). Left out are methods, properties of variables, and what is below other objects.
``parent`` is the supertype of a type or the holder of a variable or group, ``reference`` the type of the reference that
leads from it to the node, ``rule`` the modelling rule, ``fields`` the values and names of an enumeration. All
identifiers and names are of namespace 0.
Source: OPC Foundation, UA-Nodeset, Schema/Opc.Ua.NodeSet2.xml, version 1.05.07 of 2026-05-01.
Copyright (c) 2005-2026 The OPC Foundation, Inc., under the OPC Foundation MIT License 1.00
(http://opcfoundation.org/License/MIT/1.00/): permission is granted, free of charge, to use, copy, modify, merge,
publish, distribute, sublicense and sell copies, provided that the copyright notice and the permission notice are
included; the software is provided "as is", without warranty of any kind.

Belongs here: reading of that table. Does not belong here: what the types mean.
"""

from __future__ import annotations

import csv
import io
from functools import cache
from importlib.resources import files
from typing import Final

from idm_assets.referential.opcua_nodes import UA, BrowseName, Node, NodeId, Reference

VERSION: Final = "1.05.07"
PUBLISHED: Final = "2026-05-01"
NAME: Final = "OPC UA base types"
"""What stands for the file in places of base nodes."""

HAS_MODELLING_RULE: Final = NodeId(UA, "i=37")
HAS_TYPE_DEFINITION: Final = NodeId(UA, "i=40")
HAS_SUBTYPE: Final = NodeId(UA, "i=45")


@cache
def base_nodes() -> tuple[Node, ...]:
    """The nodes of the table, each with references to its parent, its type and its modelling rule, if any."""
    text = files("idm_assets.referential").joinpath("opcua_base_types.csv").read_text("utf-8")
    return tuple(_node(row, line) for line, row in enumerate(csv.DictReader(io.StringIO(text)), 2))


def _node(row: dict[str, str], line: int) -> Node:
    ends = ((row["reference"], False, row["parent"]), (HAS_TYPE_DEFINITION.identifier, True, row["type_definition"]),
            (HAS_MODELLING_RULE.identifier, True, row["rule"]))  # fmt: skip
    return Node(
        id=NodeId(UA, row["node_id"]),
        node_class=row["node_class"],
        browse_name=BrowseName(UA, row["browse_name"]),
        display_name=row["browse_name"],
        description=None,
        references=tuple(Reference(NodeId(UA, kind), forward, NodeId(UA, to)) for kind, forward, to in ends if to),
        place=f"{NAME}:{line}",
        data_type=NodeId(UA, row["data_type"]) if row["data_type"] else None,
        value_rank=int(row["value_rank"] or -1),
        fields=tuple((value, name) for value, _, name in (f.partition(" ") for f in row["fields"].split("|") if f)),
    )
