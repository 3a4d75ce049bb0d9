"""The commands `idm referential`: see what would change, put it in force, look back, import, export, suggest.

Belongs here: arguments, tables and sentences for people. Does not belong here: anything that these commands do.
"""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import duckdb
import typer
from rich.console import Console
from rich.table import Table as RichTable

from idm_assets.capture import tables as capture
from idm_assets.configuration import ConfigurationError
from idm_assets.contracts import Table
from idm_assets.referential import tables
from idm_assets.referential.authoring import accept_signals, add_import, trial_copy
from idm_assets.referential.binding_rules import bindings_of, dry_run, rules_of
from idm_assets.referential.configuration import SignalEntry, read_plants
from idm_assets.referential.history import changes, content_columns, in_force, versions
from idm_assets.referential.model_page import json_schema, markdown_page
from idm_assets.referential.models_in_force import models_in_force
from idm_assets.referential.refresh import Plan, planned, planned_changes
from idm_assets.referential.sources import read_sources
from idm_assets.referential.twins import shell_sources
from idm_assets.sql import identifier
from idm_assets.unbound_tags import suggestions_for, unbound_tags
from resources.engine import Engine
from resources.lake import Lake
from resources.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The referential: models, avatars, equipment and bindings, and how they came about.",
)
console = Console()

RowsOption = Annotated[int, typer.Option(help="Rows to print of each table at the most.")]
PlantOption = Annotated[str, typer.Option(help="Plant.")]
_SHOWN = {
    tables.DATA_MODELS: ("model", "version", "kind", "extends", "attributes", "owner"),
    tables.MODEL_ATTRIBUTES: ("model", "version", "attribute", "data_type", "kind", "unit", "minimum", "maximum"),
    tables.EQUIPMENT: ("plant", "equipment_path", "level"),
    tables.AVATARS: (
        "plant", "avatar", "model", "model_version", "equipment_path", "parent", "valid_from", "valid_to",
    ),
    tables.SIGNALS: (
        "plant", "source", "tag", "avatar", "attribute", "delivered_unit", "unit", "said_by", "valid_from", "valid_to",
    ),
}  # fmt: skip
"""What fits a screen; the catalog has all columns."""
_TIMES = ("valid_from", "valid_to")
_KEYS = ("signal_id", "point_id")


class Target(StrEnum):
    """What the referential is exported as."""

    AAS = "aas"
    JSON_SCHEMA = "json-schema"
    MARKDOWN = "markdown"


class ImportFormat(StrEnum):
    """Formats of files that can be imported."""

    MTCONNECT_DEVICES = "mtconnect_devices"
    OPCUA_NODESET2 = "opcua_nodeset2"
    AAS = "aas"
    TABLE = "table"


@app.command("plan")
def show_plan(rows: RowsOption = 10) -> None:
    """Show what the configuration would change, without changing anything."""
    settings = Settings()
    _show_plan(settings, settings.config_path, rows)


@app.command("apply")
def put_in_force(
    reason: Annotated[str, typer.Option(help="Why; kept in the log.")],
    author: Annotated[str, typer.Option(help="Who; default the user.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,  # noqa: FBT002 - a switch of the command
) -> None:
    """Show what would change, ask, and put it in force."""
    settings = Settings()
    if not _show_plan(settings, settings.config_path, 10):
        return
    if not yes and not typer.confirm("Put this in force?"):
        _stop("Nothing was changed.")
    _run_refresh(settings, author, reason)
    _print_log(settings, 1)


@app.command("log")
def show_log(rows: RowsOption = 20) -> None:
    """Show the versions of the referential, newest first: when, who, why, and how much."""
    _print_log(Settings(), rows)


@app.command("diff")
def show_difference(
    since: Annotated[int, typer.Argument(help="Former version; 0: before the first.")],
    until: Annotated[int | None, typer.Argument(help="Later version; default the newest.")] = None,
    rows: RowsOption = 20,
) -> None:
    """Show what was added and removed between two versions."""
    lake = Lake(settings=Settings())
    newest = len(versions(lake))
    later = newest if until is None else until
    if not 0 <= since <= later <= newest:
        _stop(f"There are versions 1 to {newest}; give a former and a later one of them.")
    with _connection() as con:
        shown = [_print_changes(con, table, changes(lake, table, since, later), rows) for table in tables.HISTORISED]
    if not any(shown):
        console.print(f"Version {later} says the same as version {since}.", highlight=False)


@app.command("show")
def show_table(
    table: Annotated[str, typer.Argument(help=f"One of {', '.join(t.name for t in tables.HISTORISED)}.")],
    version: Annotated[int | None, typer.Option(help="Version of the referential; default the newest.")] = None,
    rows: RowsOption = 20,
) -> None:
    """Show a table as it is in force, or was in a former version."""
    lake = Lake(settings=Settings())
    found = next((t for t in tables.HISTORISED if t.name == table), None)
    if found is None:
        _stop(f"There is no table {table!r}; choose one of {', '.join(t.name for t in tables.HISTORISED)}.")
    newest = len(versions(lake))
    if version is not None and not 1 <= version <= newest:
        _stop(f"There are versions 1 to {newest}; give one of them.")
    names = _SHOWN[found]
    with _connection() as con:
        query = f"SELECT {_listed(names)} FROM ({in_force(lake, found, version)})"
        count = con.sql(f"SELECT count(*) FROM ({query})").fetchall()[0][0]
        listed = con.sql(f"{query} ORDER BY {_ordered(found.sort)} LIMIT {rows}").fetchall()
        _print(names, listed, f"{found.name}: {count} rows", count)


@app.command("rules")
def try_rules(plant: PlantOption, rows: RowsOption = 20) -> None:
    """Try the binding rules on the tags that were heard: what each would bind, and what stays unbound."""
    settings = Settings()
    lake, sources = Lake(settings=settings), read_sources(settings.config_path)
    _check_plant(plant, sources.plants)
    known = f"SELECT DISTINCT plant, source, tag FROM ({lake.relation(capture.TAGS)}) WHERE plant = '{_quoted(plant)}'"
    from idm_assets.referential.build import build  # noqa: PLC0415 - only this command builds

    with Engine(settings=settings).workbench() as con:
        build(con, sources, [plant])
        for placed in rules_of(sources.documents):
            if placed.plant == plant:
                bound, unheard = dry_run(con, bindings_of(placed, "avatar_rows", "model_attributes"), known)
                title = f"rule {placed.rule.name}: {len(bound)} known tags, {unheard} tags that were never heard"
                _print(("source", "tag", "avatar", "attribute"), bound[:rows], title, len(bound))
        left = con.sql(
            f"SELECT source, tag FROM ({known}) ANTI JOIN signal_rows USING (plant, source, tag) ORDER BY ALL"
        ).fetchall()
    _print(("source", "tag"), left[:rows], f"{len(left)} known tags stay unbound", len(left))


@app.command("suggest")
def suggest_bindings(
    plant: PlantOption,
    accept: Annotated[
        list[str] | None,
        typer.Option(help="Accept the best suggestion for a tag, SOURCE/TAG, or another: SOURCE/TAG=AVATAR:ATTRIBUTE."),
    ] = None,
    rows: RowsOption = 40,
) -> None:
    """Suggest attributes for unbound tags, with a score and reasons; accepted ones are written as YAML."""
    settings = Settings()
    lake = Lake(settings=settings)
    _check_plant(plant, {document.value.plant for document in read_plants(settings.config_path)})
    with Engine(settings=settings).connect() as con:
        tags = unbound_tags(con, lake, plant)
        found = suggestions_for(con, lake, tags, plant)
        attributes = _attributes_of(con, lake, plant)
    if accept:
        entries = [_accepted(text, found.rows(named=True)) for text in accept]
        for entry in entries:
            _check_attribute(entry, attributes)
        path = accept_signals(settings.config_path, plant, entries)
        console.print(f"{len(entries)} bindings are in {path}. Next: idm referential plan", markup=False)
        return
    shown = [
        (
            f"{row['source']}/{row['tag']}", str(row["rank"]), f"{row['avatar']}:{row['attribute']}",
            f"{row['score']:.2f}", row["reasons"],
        )
        for row in found.head(rows).rows(named=True)
    ]  # fmt: skip
    title = f"{tags.height} unbound tags of {plant}"
    _print(("tag", "rank", "avatar:attribute", "score", "reasons"), shown, title, found.height)


@app.command("import")
def import_file(  # noqa: PLR0913, PLR0917 - the fields of an import, as options
    form: Annotated[ImportFormat, typer.Argument(metavar="FORMAT", help="Format of the file.")],
    file: Annotated[Path, typer.Argument(help="File to import.")],
    plant: Annotated[str, typer.Option(help="Plant that it describes; none: it describes data models.")] = "",
    below: Annotated[str, typer.Option(help="Equipment element that its machines belong to.")] = "",
    valid_from: Annotated[str, typer.Option(help="Date or time from which on it holds; none: since ever.")] = "",
    option: Annotated[
        list[str] | None, typer.Option(help="Further field of the import: NAME=VALUE, VALUE as YAML.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Write it into the configuration.")] = False,  # noqa: FBT002
) -> None:
    """Show what importing a file would change; with --apply, write it into the configuration."""
    settings = Settings()
    if not file.is_file():
        _stop(f"There is no file {file}.")
    entry = _import_entry(form, below, valid_from, option or [])
    if plant and form is not ImportFormat.TABLE and not below:
        _stop("Say with --below to which equipment element the machines belong.")
    with trial_copy(settings.config_path) as trial:
        try:
            add_import(trial, plant or None, file, entry)
            _show_plan(settings, trial, 10)
        except ConfigurationError as error:
            raise ConfigurationError([_untried(settings, trial, problem) for problem in error.problems]) from None
    if not apply:
        console.print("Nothing was written. With --apply it goes into the configuration.")
        return
    written = add_import(settings.config_path, plant or None, file, entry)
    console.print(f"{written} names it now. Next: idm referential apply --reason ...", markup=False, soft_wrap=True)


@app.command("export")
def export(
    target: Annotated[Target, typer.Argument(help="What to write.")],
    to: Annotated[Path, typer.Option(help="File for aas, folder for json-schema and markdown.")],
    plant: Annotated[str, typer.Option(help="Only avatars of this plant.")] = "",
) -> None:
    """Write avatars as AAS JSON, or data models as JSON Schema or Markdown."""
    lake = Lake(settings=Settings())
    try:
        done = _export_shells(lake, to, plant) if target is Target.AAS else _export_models(lake, target, to)
    except OSError as error:
        _stop(f"{to} cannot be written: {error.strerror}")
    console.print(f"{done} are in {to}.", markup=False, highlight=False, soft_wrap=True)


def _export_shells(lake: Lake, to: Path, plant: str) -> str:
    from idm_assets.referential.shell_export import write_shells  # noqa: PLC0415 - the SDK takes a second

    with _connection() as con:
        known = con.sql(f"SELECT DISTINCT plant FROM ({in_force(lake, tables.AVATARS)}) ORDER BY ALL").fetchall()
        if plant:
            _check_plant(plant, [name for (name,) in known])
        with to.open("w", encoding="utf-8") as stream:
            return f"{write_shells(shell_sources(con, lake, plant or None), stream)} shells"


def _export_models(lake: Lake, target: Target, to: Path) -> str:
    to.mkdir(parents=True, exist_ok=True)
    models = models_in_force(lake)
    for model in models:
        name = f"{model.name}@{model.version}".replace("/", "_")
        if target is Target.MARKDOWN:
            (to / f"{name}.md").write_text(markdown_page(model), encoding="utf-8")
        else:
            text = json.dumps(json_schema(model), indent=2, ensure_ascii=False) + "\n"
            (to / f"{name}.json").write_text(text, encoding="utf-8")
    return f"{len(models)} models"


def _show_plan(settings: Settings, config: Path, rows: int) -> bool:
    """Print what a configuration would change; returns whether it would change anything."""
    lake = Lake(settings=settings)
    sources = read_sources(config)
    with Engine(settings=settings).workbench() as con, planned(con, lake, sources) as plan:
        for remark in plan.remarks:
            said = _untried(settings, config, remark)
            console.print(f"remark: {said}", markup=False, highlight=False, soft_wrap=True)
        if plan.changes_nothing:
            console.print("The configuration is in force: nothing would change.")
            return False
        _print_plan(con, lake, plan, rows)
        return True


def _print_plan(con: duckdb.DuckDBPyConnection, lake: Lake, plan: Plan, rows: int) -> None:
    for table in tables.HISTORISED:
        recorded, retired = plan.staged.counts.get(table.name, (0, 0))
        if recorded or retired:
            _print_changes(con, table, planned_changes(lake, plan, table), rows)
    parts = ", ".join(f"{name} +{new} -{old}" for name, (new, old) in plan.staged.counts.items())
    console.print(f"Compared with version {plan.since}: {parts}", highlight=False, soft_wrap=True)


def _print_changes(con: duckdb.DuckDBPyConnection, table: Table, query: str, rows: int) -> bool:
    """Print what comes and goes; returns whether anything does."""
    added, removed = con.sql(
        f"SELECT count(*) FILTER (change = 'added'), count(*) FILTER (change = 'removed') FROM ({query})"
    ).fetchall()[0]
    if not added and not removed:
        return False
    thing = [name for name in table.sort if name not in _TIMES]
    all_names = [column.name for column in content_columns(table) if column.name not in _KEYS]
    found = con.sql(
        f"SELECT CASE change WHEN 'added' THEN '+' ELSE '-' END AS \" \", {_listed(all_names)} FROM ({query})"
        f" ORDER BY {_listed(thing)}, change DESC, {_ordered(table.sort)} LIMIT {rows}"
    ).fetchall()
    names = _telling(_SHOWN[table], thing, all_names, found)
    shown = [(row[0], *(row[1 + all_names.index(name)] for name in names)) for row in found]
    _print((" ", *names), shown, f"{table.name}: {added} rows added, {removed} removed", added + removed)
    return True


def _telling(
    shown: Sequence[str], thing: Sequence[str], names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> list[str]:
    """The columns to show, with those in which a thing differs before and after, as far as no shown one does."""
    sides: dict[tuple[Any, ...], dict[str, list[tuple[Any, ...]]]] = {}
    for sign, *values in rows:
        key = tuple(values[names.index(name)] for name in thing)
        sides.setdefault(key, {}).setdefault(sign, []).append(tuple(values))
    differing = {
        name
        for side in sides.values()
        for i, name in enumerate(names)
        if len(side) == 2 and {row[i] for row in side["+"]} != {row[i] for row in side["-"]}
    }
    return [*shown, *(() if differing & set(shown) else (name for name in names if name in differing))]


def _run_refresh(settings: Settings, author: str, reason: str) -> None:
    from idm_assets.driver import refresh_with_note  # noqa: PLC0415 - dagster takes seconds to import

    failures = refresh_with_note(settings, author, reason)
    for failure in failures:
        console.print(f"[red]failed:[/red] {failure}", highlight=False)
    if failures:
        sys.exit(1)


def _print_log(settings: Settings, rows: int) -> None:
    log = versions(Lake(settings=settings))
    shown = [
        (
            str(v.version), f"{v.recorded_at:%Y-%m-%d %H:%M:%SZ}", v.author, v.reason,
            ", ".join(f"{name} +{new} -{old}" for name, (new, old) in v.counts.items()) or "no rows",
            ", ".join(v.plants),
        )
        for v in reversed(log[-rows:])
    ]  # fmt: skip
    title = f"{len(log)} versions" if log else "There is no version yet. The first comes with: idm referential apply"
    _print(("version", "when", "author", "reason", "rows", "plants"), shown, title, len(log))


def _accepted(text: str, found: Sequence[dict[str, Any]]) -> SignalEntry:
    tag, _, choice = text.partition("=")
    best = next((row for row in found if f"{row['source']}/{row['tag']}" == tag and row["rank"] == 1), None)
    if choice:
        avatar, _, attribute = choice.rpartition(":")
        source, _, name = tag.partition("/")
        if not avatar or not attribute or not name:
            _stop(f"{text!r} is not like SOURCE/TAG=AVATAR:ATTRIBUTE")
        return SignalEntry(source=source, tag=name, avatar=avatar, attribute=attribute)
    if best is None:
        _stop(f"There is no suggestion for {tag!r}; name an attribute: {tag}=AVATAR:ATTRIBUTE")
    return SignalEntry(source=best["source"], tag=best["tag"], avatar=best["avatar"], attribute=best["attribute"])


def _import_entry(form: ImportFormat, below: str, valid_from: str, options: Iterable[str]) -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - only this command reads it

    entry: dict[str, Any] = {"format": form.value}
    if below:
        entry["below"] = below
    if valid_from:
        entry["valid_from"] = valid_from
    for text in options:
        name, separator, value = text.partition("=")
        if not separator:
            _stop(f"{text!r} is not like NAME=VALUE")
        try:
            entry[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            _stop(f"{value!r} is no YAML")
    return entry


def _listed(names: Iterable[str]) -> str:
    return ", ".join(identifier(name) for name in names)


def _ordered(names: Iterable[str]) -> str:
    """Columns to order by; what holds since ever comes first."""
    return ", ".join(f"{identifier(name)} NULLS FIRST" for name in names)


def _check_plant(plant: str, known: Iterable[str]) -> None:
    if plant not in (names := sorted(known)):
        _stop(f"There is no plant {plant!r}; known: {', '.join(names) or 'none'}.")


def _attributes_of(con: duckdb.DuckDBPyConnection, lake: Lake, plant: str) -> dict[str, set[str]]:
    """Attributes of every avatar that is in force, at any time."""
    rows = con.execute(
        f"SELECT avatar, list(DISTINCT attribute) FROM ({in_force(lake, tables.AVATARS)}) a"
        f" JOIN ({in_force(lake, tables.MODEL_ATTRIBUTES)}) m ON m.model = a.model AND m.version = a.model_version"
        " WHERE plant = ? GROUP BY avatar",
        [plant],
    ).fetchall()
    return {avatar: set(attributes) for avatar, attributes in rows}


def _check_attribute(entry: SignalEntry, attributes: Mapping[str, set[str]]) -> None:
    if entry.avatar not in attributes:
        near = difflib.get_close_matches(entry.avatar, attributes, cutoff=0.5)
        _stop(f"There is no avatar {entry.avatar!r} in force; near: {', '.join(near) or 'none'}.")
    if entry.attribute not in (known := attributes[entry.avatar]):
        _stop(f"{entry.avatar!r} has no attribute {entry.attribute!r}; it has: {', '.join(sorted(known))}.")


def _untried(settings: Settings, trial: Path, text: str) -> str:
    """A message about a trial copy, as if it were about the configuration."""
    return text.replace(str(trial), str(settings.config_path))


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _connection() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'").fetchall()
    return con


def _print(header: Sequence[str], rows: Sequence[Sequence[Any]], title: str, count: int) -> None:
    """Print the first of ``count`` rows, without columns that say nothing in any of them."""
    # A title that belongs to the table would be wrapped at the table's width.
    console.print(title, markup=False, highlight=False, soft_wrap=True)
    if not rows:
        return
    plants = {row[header.index("plant")] for row in rows} if "plant" in header else set[Any]()
    kept = [
        i
        for i, name in enumerate(header)
        if any(row[i] is not None for row in rows) and not (name == "plant" and len(plants) == 1)
    ]
    table = RichTable(show_edge=False, pad_edge=False)
    for i in kept:
        table.add_column(header[i], overflow="fold")
    for row in rows:
        table.add_row(*("" if row[i] is None else _text(row[i]) for i in kept))
    console.print(table, markup=False)
    if len(rows) < count:
        console.print(f"first {len(rows)} of {count}; --rows shows more", highlight=False)


def _text(value: object) -> str:
    match value:
        case datetime(hour=0, minute=0, second=0, microsecond=0):
            return f"{value:%Y-%m-%d}"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%SZ}"
        case float():
            return f"{value:.9g}"
        case _:
            return str(value)


def _stop(message: str) -> NoReturn:
    console.print(message, markup=False, highlight=False)
    raise typer.Exit(2)
