"""Recognises OPC UA PubSub messages in JSON, by their members.

Belongs here: the finding. Does not belong here: telling JSON from all else (`json_files`), decoding messages
(`capture.decoders.opcua_pubsub`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from idm_assets.capture.decoders.json_documents import Json
from idm_assets.capture.proposal.declaration_text import Said
from idm_assets.capture.proposal.findings import Finding
from idm_assets.capture.proposal.json_layout import DOCUMENTS_JUDGED

_ENQUEUED: Final = ("enqueuedTime", "enqueuedTimeUtc", "EnqueuedTimeUtc")

_MESSAGE_TIMES: Final = ("Timestamp", "SourceTimestamp", "ServerTimestamp", "Time", "ReceiveTime")


def pubsub_messages(objects: Sequence[dict[str, Json]]) -> Finding | None:
    """OPC UA PubSub messages, by their members."""
    messages = [message for found in objects for message in _messages(found)]
    named = [m for m in messages if _is_pubsub(m)]
    if not named or len(named) < 0.5 * len(messages):
        return None
    has_publisher = any("PublisherId" in m or "ApplicationUri" in m or "EndpointUrl" in m for m in named)
    options: list[Said] = []
    names = [name for m in named for name in ("DataSetWriterName", "DataSetWriterId") if name in m]
    if not has_publisher and names:
        options.append(Said("source", "writer", ("no message has a PublisherId",)))
    untimed = [found for found in objects if not _has_member(found, _MESSAGE_TIMES)]
    if any(_has_member(found, _ENQUEUED) for found in untimed):
        options.append(Said("missing_time", "enqueued", ("some messages have no time; that of the hub is taken",)))
    what = f"OPC UA PubSub messages in JSON, {len(named)} of {len(messages)} with their members"
    # What has no publisher is of the source that the declaration names.
    return Finding(what, "opcua_pubsub", tuple(options), names_source=False)


def _messages(found: Json) -> Iterator[dict[str, Json]]:
    """The messages in a document: within the envelope of a hub, and in lists."""
    if isinstance(found, list):
        for item in found[:DOCUMENTS_JUDGED]:
            yield from _messages(item)
    elif isinstance(found, dict):
        body = found.get("body", found.get("Body"))
        if isinstance(body, dict | list):
            yield from _messages(body)
        else:
            yield found


def _is_pubsub(message: Mapping[str, Json]) -> bool:
    kind = message.get("MessageType")
    is_said = isinstance(kind, str) and kind.startswith("ua-")
    is_data_set = "Payload" in message and bool(
        {"DataSetWriterId", "DataSetWriterName", "SequenceNumber", "MetaDataVersion"} & message.keys()
    )
    return is_said or is_data_set or ("NodeId" in message and "Value" in message)


def _has_member(found: Json, names: Sequence[str], depth: int = 6) -> bool:
    """Whether a member of one of some names lies anywhere within a value."""
    if depth and isinstance(found, dict):
        return any(name in found for name in names) or any(
            _has_member(inner, names, depth - 1) for inner in found.values()
        )
    if depth and isinstance(found, list):
        return any(_has_member(item, names, depth - 1) for item in found[:100])
    return False
