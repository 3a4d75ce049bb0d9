"""From a sample to a proposal: the recognisers in order, and what follows from the file's name.

Belongs here: which recognisers there are, and the whole declaration. Does not belong here: recognising (a module per
kind of file), what a name says (`paths`), the declaration as text (`declaration_text`).
"""

from __future__ import annotations

from typing import Final

from idm_assets.capture.content import HEAD_BYTES, kind_of
from idm_assets.capture.proposal.columnar_files import columnar_file
from idm_assets.capture.proposal.declaration_text import Proposal, Said, Unrecognised, quoted
from idm_assets.capture.proposal.delimited import delimited_text
from idm_assets.capture.proposal.findings import Finding, Recogniser
from idm_assets.capture.proposal.json_files import json_file
from idm_assets.capture.proposal.paths import declaration_name, path_seen, stem_of
from idm_assets.capture.proposal.samples import Sample
from idm_assets.capture.proposal.sparkplug import sparkplug_frames
from idm_assets.capture.proposal.templates import template
from idm_assets.capture.proposal.text_lines import line_protocol, shdr_log
from idm_assets.capture.proposal.workbooks import workbook
from idm_assets.capture.proposal.xml_files import xml_file

_REST_SEEN: Final = "the rest of the name is taken for the source; cut it down to what names it"

_RECOGNISERS: Final[tuple[Recogniser, ...]] = (
    sparkplug_frames, columnar_file, workbook, xml_file, json_file, line_protocol, shdr_log, delimited_text,
)  # fmt: skip


def propose(sample: Sample, plant: str | None = None, name: str | None = None) -> Proposal | Unrecognised:
    """Propose the declaration of a source for a sample of one of its files.

    Args:
        sample: the sample.
        plant: plant, which is also the folder below the landing zone; None: a placeholder.
        name: name of the declaration; None: made of the file's name.
    """
    for recogniser in _RECOGNISERS:
        found = recogniser(sample)
        if isinstance(found, Finding):
            return _placed(found, sample, plant, name or declaration_name(stem_of(sample.name), sample.parent))
        if found is not None:
            return found
    kind = kind_of(sample.head[:HEAD_BYTES])
    return Unrecognised(
        f"No format was recognised; the content looks like {kind}, and begins with {quoted(_begin(sample.head), 60)}.",
        template("csv" if kind == "text" else "json_lines" if kind == "json" else ""),
    )


def _placed(found: Finding, sample: Sample, plant: str | None, name: str) -> Proposal:
    """The whole declaration: what was found, and what follows from the file's name."""
    seen_path = path_seen(sample)
    fields = [
        Said("name", name),
        Said("plant", plant) if plant else Said("plant", "my_plant", ("the folder below the landing zone; not known",)),
        Said("glob", seen_path.glob, ("make it narrower if other files lie there too",)),
        Said("format", found.format),
    ]
    if found.options:
        fields.append(Said("options", found.options))
    fields += found.meaning
    pattern, names_source = seen_path.pattern, seen_path.names_source
    if pattern is not None and found.names_source:
        pattern, names_source = pattern.replace("(?P<source>[^/]+)", "[^/]+"), False
    if pattern is not None:
        fields.append(Said("path_pattern", pattern, seen_path.seen + (_REST_SEEN,) * names_source))
    if not found.names_source and not names_source:
        where = f"(?:.*/)?(?P<source>[^/]+){seen_path.suffix}"
        fields.append(Said("source", name, (f"not in the content; where the path names it: path_pattern: {where}",)))
    if not found.is_zoned:
        zone = ("the times carry no zone; put the zone of the plant's clocks, such as Europe/Paris",)
        fields.append(Said("timezone", "UTC", zone))
    member = f", member {quoted(sample.member, 80)}" if sample.member else ""
    what = f"{quoted(sample.name, 80)}{member}: {found.what}"
    return Proposal(what, name, tuple(fields))


def _begin(head: bytes) -> str:
    """The first line that holds something, as far as it is text."""
    return head[:2000].decode("utf-8", "replace").lstrip("\ufeff \t\r\n").split("\n")[0]
