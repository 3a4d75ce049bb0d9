"""What a run may be asked for beside its partitions, and how it tells of its progress."""

from __future__ import annotations

import logging
from typing import Final

ONLY_STALE: Final = "idm/only_stale"
"""Run tag: leave partitions alone that are made of their present inputs. Set by sensors and the CLI."""

ONLY_QUARANTINED: Final = "idm/only_quarantined"
"""Run tag: decode again only the captures of which something is in quarantine. Set by the replay of the quarantine."""

PROGRESS: Final = logging.getLogger("idm.progress")
"""One INFO record per finished partition, for whoever shows progress."""
