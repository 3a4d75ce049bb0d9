"""Asset checks: proofs over what is live in the lake, made by factories from the contracts.

Belongs here: what must hold between and within tables, and how a violation is shown. Does not belong here:
rejecting input; that happens before a table is published, in the layer that writes it.
"""

from checks.asset_checks import checks_of

__all__ = ["checks_of"]
