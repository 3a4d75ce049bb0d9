"""From the configuration to the next version of the referential: compare, show, put in force.

Only what changed is built: nothing when all inputs are those of the version in force, single plants when only
their files changed, and single avatars when only tables of changes were added (`increment`).

Belongs here: what has to be built, and the difference to what is in force. Does not belong here: building,
storing.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb

from idm_assets.configuration import ConfigurationError
from idm_assets.contracts import Table
from idm_assets.referential import tables
from idm_assets.referential.build import Built, build, build_models
from idm_assets.referential.compatibility import refused_changes
from idm_assets.referential.history import (
    Change,
    StagedChange,
    Version,
    compact,
    content_columns,
    difference,
    put_in_force,
    versions,
)
from idm_assets.referential.increment import build_increment
from idm_assets.referential.models_in_force import models_ever_in_force, models_in_force
from idm_assets.referential.sources import Inputs, Sources
from idm_assets.sql import identifier, literal
from resources.lake import Lake


@dataclass(frozen=True, slots=True)
class Plan:
    """What would change; its rows lie beside the tables until it is applied or discarded.

    Attributes:
        staged: rows to record and to retire.
        since: version that it was compared with; 0: none.
        plants: plants that were built anew.
        inputs: fingerprints of what it was built from.
        known_inputs: whether the version in force was built from the very same.
        remarks: what was accepted but ought to be known, one sentence each.
    """

    staged: StagedChange
    since: int
    plants: tuple[str, ...]
    inputs: Mapping[str, Any]
    known_inputs: bool = False
    remarks: tuple[str, ...] = ()

    @property
    def changes_nothing(self) -> bool:
        """Whether every row is in force already."""
        return not self.staged.counts


@contextmanager
def planned(con: duckdb.DuckDBPyConnection, lake: Lake, sources: Sources) -> Generator[Plan]:
    """Build what may differ from the version in force, and compare; what is not applied in the block is discarded.

    Plants are built one after the other, so that the largest of them decides about memory.

    Args:
        con: connection in UTC; working tables are made in its current schema.
        lake: the tables in force.
        sources: the configuration and what it names.

    Raises:
        ConfigurationError: with all problems of the first stage that has any; nothing was changed.
        ContractError: a row breaks its table's contract; nothing was changed.
    """
    log = versions(lake)
    former = Inputs.recorded(log[-1].inputs) if log else None
    inputs = sources.inputs.plain()
    staged = StagedChange()
    try:
        if former is not None and former.plain() == inputs:
            yield Plan(staged, len(log), (), inputs, known_inputs=True, remarks=sources.remarks)
            return
        _refuse_breaking_changes(lake, sources)
        remarks = list(sources.remarks)
        plants: list[str] = []
        for built in _building(con, lake, sources, former):
            for table, scope in built.scopes.items():
                staged.stage(con, lake, table, difference(lake, table, built.query(table), scope))
            _stage_points(con, lake, built, staged)
            remarks += [remark for remark in built.remarks if remark not in remarks]
            plants += built.plants
        yield Plan(staged, len(log), tuple(plants), inputs, remarks=tuple(remarks))
    finally:
        staged.discard()


def _building(con: duckdb.DuckDBPyConnection, lake: Lake, sources: Sources, former: Inputs | None) -> Iterator[Built]:
    """Build what may have changed, one plant after the other; the working tables hold until the next one."""
    appended = _only_appended(former, sources.inputs)
    if appended:
        for plant, known in sorted(appended.items()):
            yield build_increment(con, lake, sources, {plant: known})
        return
    yield build_models(con, sources)
    for plant in _changed_plants(former, sources.inputs):
        yield build(con, sources, [plant])


def apply(con: duckdb.DuckDBPyConnection, lake: Lake, plan: Plan, change: Change) -> Version | None:
    """Put a plan in force; None when there is nothing to put.

    Raises:
        ReferentialChangedError: another change came first; plan anew.
    """
    if plan.known_inputs:
        return None
    version = put_in_force(con, lake, plan.staged, change, plan.plants, plan.inputs)
    compact(con, lake, change.run_id)
    return version


def planned_changes(lake: Lake, plan: Plan, table: Table) -> str:
    """Query for the rows of a plan for one table: ``change`` (``added`` or ``removed``) and the content columns."""
    names = ", ".join(identifier(c.name) for c in content_columns(table))
    retired = lake.relation_over(tables.RETIRED, plan.staged.staged_files(tables.RETIRED))
    return (
        f"SELECT 'added' AS change, {names} FROM ({lake.relation_over(table, plan.staged.staged_files(table))})"
        f" UNION ALL SELECT 'removed', {names} FROM ({lake.relation(table)}) SEMI JOIN ("
        f"SELECT row_id, recorded_by FROM ({retired}) WHERE table_name = {literal(table.name)})"
        " USING (row_id, recorded_by)"
    )


def _changed_plants(former: Inputs | None, inputs: Inputs) -> list[str]:
    """Plants to build: all if what they share changed, else those whose own files did or that are gone."""
    if former is None or former.common != inputs.common:
        return sorted({*inputs.plants, *(former.plants if former else ())})
    changed = {
        plant
        for plant, found in inputs.plants.items()
        if former.plants.get(plant) != found or former.appended.get(plant) != inputs.appended.get(plant)
    }
    return sorted(changed | (former.plants.keys() - inputs.plants.keys()))


def _only_appended(former: Inputs | None, inputs: Inputs) -> dict[str, int]:
    """Plant to the number of tables of changes that are known already; empty if anything else changed as well."""
    if former is None or former.common != inputs.common or former.plants != inputs.plants:
        return {}
    longer: dict[str, int] = {}
    for plant in former.appended.keys() | inputs.appended.keys():
        before, now = former.appended.get(plant, ()), inputs.appended.get(plant, ())
        if list(now[: len(before)]) != list(before):
            return {}
        if len(now) > len(before):
            longer[plant] = len(before)
    return longer


def _refuse_breaking_changes(lake: Lake, sources: Sources) -> None:
    former = models_in_force(lake)
    # A version that was withdrawn may come back, as what it was.
    returning = {(m.name, m.version) for m in sources.authored} - {(m.name, m.version) for m in former}
    withdrawn = [m for m in models_ever_in_force(lake) if (m.name, m.version) in returning] if returning else []
    problems = refused_changes([*former, *withdrawn], sources.authored)
    if problems:
        raise ConfigurationError(problems)


def _stage_points(con: duckdb.DuckDBPyConnection, lake: Lake, built: Built, staged: StagedChange) -> None:
    """Points are never forgotten: partitions that were not yet recomputed still need their names."""
    if tables.SIGNALS not in built.scopes:
        return
    known = f"SELECT point_id FROM ({lake.relation(tables.POINTS)})"
    file = lake.stage(con, tables.POINTS, f"SELECT * FROM ({built.points()}) WHERE point_id NOT IN ({known})")
    if file.rows:
        staged.files.append((tables.POINTS, file))
    else:
        file.path.unlink(missing_ok=True)
