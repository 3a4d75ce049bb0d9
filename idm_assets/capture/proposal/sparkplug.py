"""Recognises recordings of Sparkplug B messages, in JSON or as binary frames, by their topics.

Belongs here: the finding and its options. Does not belong here: telling JSON from all else (`json_files`), decoding
payloads (`capture.decoders`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from idm_assets.capture.decoders.json_documents import Json, Written
from idm_assets.capture.proposal.declaration_text import Said
from idm_assets.capture.proposal.findings import Finding
from idm_assets.capture.proposal.samples import Sample
from idm_assets.capture.proposal.tables import Column
from idm_assets.capture.proposal.times import time_of
from idm_assets.capture.text_values import NUMBER


def sparkplug_messages(objects: Sequence[dict[str, Json]]) -> Finding | None:
    """Recorded messages of Sparkplug B, by their topics."""
    for topic in objects[0]:
        topics = [text for found in objects if (text := _string(found.get(topic)))]
        if not any(text.startswith("spBv1.0/") for text in topics):
            continue
        texts = {
            name: [text for found in objects if (text := _string(found.get(name)))]
            for name in objects[0]
            if name != topic
        }
        is_hex = {
            name: bool(t) and all(re.fullmatch(r"(?:[0-9a-fA-F]{2})+", x) for x in t) for name, t in texts.items()
        }
        payloads = [n for n, t in texts.items() if t and all(re.fullmatch(r"[A-Za-z0-9+/=\s]{4,}", x) for x in t)]
        payloads.sort(key=lambda name: (name != "payload", -sum(map(len, texts[name]))))
        if not payloads:
            continue
        options = [Said("recording", "jsonl")]
        if topic != "topic":
            options.append(Said("topic", topic))
        if payloads[0] != "payload":
            options.append(Said("payload", payloads[0]))
        if is_hex[payloads[0]]:
            options.append(Said("payload_encoding", "hex", ("all digits are hexadecimal",)))
        options += _received(objects, {topic, payloads[0]})
        what = f"Sparkplug B messages as JSON lines, {len(topics)} of {len(objects)} with a topic of it"
        return Finding(what, "sparkplug_b", tuple(options), names_source=True)
    return None


def _string(value: Json) -> str:
    """What a string says; nothing for all else."""
    return value if isinstance(value, str) and not isinstance(value, Written) else ""


def _received(objects: Sequence[dict[str, Json]], used: set[str]) -> list[Said]:
    """The option that says when a message was received."""
    for name in objects[0]:
        if name in used:
            continue
        texts = [str(found[name]) for found in objects if found.get(name) is not None]
        numbers = [float(text) if re.fullmatch(NUMBER, text) else None for text in texts]
        # That something here says when a message came needs no name.
        time = time_of(Column("time", texts, numbers)) if texts else None
        if time is None or time.format not in ("iso", "epoch_s", "epoch_ms", "epoch_us"):
            continue
        said = [] if name == "received" else [Said("received", name, ("when messages arrived",))]
        return said + ([] if time.format == "iso" else [Said("received_format", time.format, time.seen)])
    return []


def sparkplug_frames(sample: Sample) -> Finding | None:
    """Binary recordings of Sparkplug B: the first frame begins with the length of its topic."""
    head = sample.head
    length = int.from_bytes(head[:4], "big")
    if not 8 < length < 1024 or head[4:12] != b"spBv1.0/":
        return None
    options = (Said("recording", "binary"),)
    return Finding("a binary recording of Sparkplug B messages", "sparkplug_b", options, names_source=True)
