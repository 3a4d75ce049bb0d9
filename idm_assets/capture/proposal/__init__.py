"""Proposing a source declaration: from a sample of a delivered file to the YAML that reads it, with what was seen.

What a file is follows from its content: each kind has a small recogniser, asked in the order that `proposing` gives,
that takes a sample and finds the format with its options, or nothing. Formats of rows are then read by the decoder
itself (`decoders.registry`), so that names and numbers are those that it will see, and judged alike whatever the
format: which fields say the time, whether a row is one value or one of many tags, what names the source. Nothing is
learned and nothing is looked up elsewhere: the tables of words, dates and times in this package are all there is.

Beside every line that does not go without saying stands what was seen and how sure that is. What would change values
(sentinels) is proposed as a comment only.

Belongs here: recognising, and the proposal as text; in this module, only what the rest of the project uses of it. Does
not belong here: decoding (`decoders`), trying the proposal (`trial`), showing it (`commands.source`).
"""

from __future__ import annotations

from idm_assets.capture.proposal.declaration_text import Proposal, Said, Unrecognised
from idm_assets.capture.proposal.proposing import propose
from idm_assets.capture.proposal.samples import sampled
from idm_assets.capture.proposal.templates import template

__all__ = ["Proposal", "Said", "Unrecognised", "propose", "sampled", "template"]
