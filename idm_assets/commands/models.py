"""The commands `idm model` and `idm schemas`: write, check, read and compare data models.

Belongs here: arguments, tables and sentences for people. Does not belong here: what a model may be, what is
compatible, Dagster, which takes seconds to import.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from idm_assets.configuration import ConfigurationError
from idm_assets.referential.compatibility import (
    Comparison,
    compared,
    comparisons,
    range_text,
    sampling_text,
    shortened,
    version_numbers,
)
from idm_assets.referential.data_models import FOLDER, NAME, ModelSources, read_model_sources, read_models
from idm_assets.referential.description import Attribute, Model, ModelKind
from idm_assets.referential.model_page import json_schema, markdown_page

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Data models: config/models/*.yaml.",
)
console = Console()


class Format(StrEnum):
    """How a model is shown."""

    TABLE = "table"
    MARKDOWN = "markdown"
    JSON_SCHEMA = "json-schema"


class NewKind(StrEnum):
    """Kinds of models."""

    TELEMETRY = "telemetry"
    RECORD = "record"


ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Configuration folder; default $IDM_CONFIG, else ./examples/config.")
]


def config_folder(given: Path | None) -> Path:
    """The configuration folder, absolute; as `resources.settings.Settings.config_path`, which needs Dagster.

    Raises:
        ConfigurationError: there is no such folder.
    """
    folder = Path(given or os.environ.get("IDM_CONFIG") or "examples/config").absolute()
    if not folder.is_dir():
        raise ConfigurationError([f"{folder}: no such folder; name one with --config or IDM_CONFIG"])
    return folder


@app.command("list")
def list_models(config: ConfigOption = None) -> None:
    """List all data models."""
    sources = read_model_sources(config_folder(config))
    if not sources.models and not sources.imports:
        console.print("There are no data models yet. Write the first with: idm model new NAME")
        return
    table = _table("model", "version", "kind", "extends", "attributes", "where")
    for model in sources.models:
        where = model.origin.removeprefix(f"{Path.cwd()}{os.sep}")
        table.add_row(model.name, model.version, model.kind, model.extends, str(len(model.attributes)), where)
    console.print(table, markup=False)
    for item in sources.imports:
        console.print(
            f"import {item.format}: {item.path} ({item.place})", markup=False, highlight=False, soft_wrap=True
        )


@app.command("new")
def new_model(
    name: Annotated[str, typer.Argument(help="Name of the type of things or records, such as WorkOrder.")],
    extends: Annotated[str | None, typer.Option(help="Model to extend, as Name or Name@1.0.0.")] = None,
    kind: Annotated[
        NewKind | None, typer.Option(help="Kind; default that of the extended model, else telemetry.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Write the beginnings of a data model, with comments, into a file of its own."""
    folder = config_folder(config)
    if not re.fullmatch(NAME, name):
        _stop(f"{name!r} is no name of a model: use letters, digits, spaces and _ . - and begin with a letter or digit")
    known = read_model_sources(folder).models
    other = next((model for model in known if model.name.lower() == name.lower()), None)
    if other is not None:
        _stop(f"There is a model {other.name!r} already: {other.origin}")
    parent = None if extends is None else _found(known, extends)
    chosen: ModelKind = parent.kind if parent else "telemetry"
    if kind is not None:
        chosen = kind.value
    if parent is not None and parent.kind != chosen:
        _stop(f"{parent.name} is a {parent.kind} model ({parent.origin}); {name} must be one too, or extend another")
    path = folder / FOLDER / f"{_file_name(name)}.yaml"
    try:
        path.parent.mkdir(exist_ok=True)
        with path.open("x", encoding="utf-8") as stream:
            stream.write(_beginnings(name, chosen, parent))
    except FileExistsError:
        _stop(f"{path} is there already; add the model to it, or choose another name")
    except OSError as error:
        _stop(f"{path} cannot be written: {error.strerror}")
    console.print(f"{path} is written. Fill it in, then run: idm model validate", markup=False, soft_wrap=True)


@app.command("show")
def show_model(
    model: Annotated[str, typer.Argument(help="Model as Name or Name@1.0.0; without a version the highest.")],
    form: Annotated[Format, typer.Option("--format", help="How to show it.")] = Format.TABLE,
    config: ConfigOption = None,
) -> None:
    """Show a data model with all attributes, inherited ones too."""
    found = _found(read_model_sources(config_folder(config)).models, model)
    match form:
        case Format.MARKDOWN:
            typer.echo(markdown_page(found), nl=False)
        case Format.JSON_SCHEMA:
            typer.echo(json.dumps(json_schema(found), indent=2, ensure_ascii=False))
        case Format.TABLE:
            _print_model(found)


@app.command("validate")
def validate_models(config: ConfigOption = None) -> None:
    """Check all data models; every problem is said with its file and line."""
    folder = config_folder(config)
    sources = read_model_sources(folder)
    console.print(f"{folder / FOLDER}: {_counted(sources)}, no problems", highlight=False, markup=False, soft_wrap=True)


@app.command("diff")
def diff_models(
    former: Annotated[
        str, typer.Argument(help="Name@1.0.0, or a YAML file or folder: a path ends in .yaml or has a /.")
    ],
    new: Annotated[str, typer.Argument(help="What it is compared with, given alike.")],
    config: ConfigOption = None,
) -> None:
    """Say what changed between two versions of models, and which version that makes.

    Exits with 1 if something breaks under the same major version.
    """
    before, after = _side(former, config), _side(new, config)
    alone = len(before) == len(after) == 1
    found = (compared(before[0], after[0]),) if alone else comparisons(before, after)
    changed = [item for item in found if item.changes or item.former is None or item.new is None]
    for item in changed:
        _print_comparison(item)
    if not changed:
        console.print("Nothing changed.")
    if any(item.is_refused for item in changed):
        raise typer.Exit(1)


def schemas(
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder to write to; default schemas/ of the configuration.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Write the JSON Schemas of the configuration files, by which editors complete and check them."""
    from idm_assets.json_schemas import FOLDER as SCHEMAS  # noqa: PLC0415 - imports every layer that is configured
    from idm_assets.json_schemas import write_schemas  # noqa: PLC0415

    folder = to or config_folder(config) / SCHEMAS
    try:
        for path in write_schemas(folder):
            console.print(str(path), highlight=False, markup=False, soft_wrap=True)
    except OSError as error:
        _stop(f"{folder}: cannot be written: {error.strerror}")


# --- finding models --------------------------------------------------------------------------------------


def _found(models: Sequence[Model], reference: str) -> Model:
    """The model that is meant by ``Name`` or ``Name@1.0.0``; stops the command if there is none."""
    name, at, version = reference.partition("@")
    versions = [model for model in models if model.name == name]
    matching = [model for model in versions if not at or model.version == version]
    if not matching:
        _stop(_missing(models, reference))
    return matching[-1]


def _missing(models: Sequence[Model], reference: str) -> str:
    name = reference.partition("@")[0]
    versions = [model.version or "" for model in models if model.name == name]
    if versions:
        return f"There is no {reference}; of {name} there are the versions {shortened(', '.join(versions))}"
    names = sorted({model.name for model in models})
    near = difflib.get_close_matches(name, names, cutoff=0.5) or names[:10]
    return (
        f"There is no model {name!r}; there are: {', '.join(near) or 'none'}. Files are given as ./{name} or with .yaml"
    )


def _side(text: str, config: Path | None) -> tuple[Model, ...]:
    """The models that one argument of a comparison means."""
    if "/" in text or os.sep in text or text in {".", ".."} or text.endswith((".yaml", ".yml")):
        return read_models(Path(text))
    folder = config_folder(config)
    return (_found(read_models(folder) if (folder / FOLDER).is_dir() else (), text),)


def _file_name(name: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


# --- words -----------------------------------------------------------------------------------------------


def _counted(sources: ModelSources) -> str:
    names = {model.name for model in sources.models}
    parts = [
        f"{len(names)} data model{'s' * (len(names) != 1)}",
        f"{len(sources.models)} version{'s' * (len(sources.models) != 1)}",
        f"{len(sources.imports)} import{'s' * (len(sources.imports) != 1)}",
    ]
    return ", ".join(parts)


def _print_model(model: Model) -> None:
    facts = (
        ("kind", model.kind),
        ("description", model.description),
        ("business object", model.business_object),
        ("owner", model.owner),
        ("extends", model.extends),
        ("semantic id", model.semantic_id),
        ("where", model.origin),
    )
    console.print(f"{model.name} {model.version}", style="bold", markup=False, highlight=False)
    for name, value in facts:
        if value:
            console.print(f"{name}: {value}", markup=False, highlight=False, soft_wrap=True)
    table = _table("attribute", "type", "unit", "values", "sampling", "and")
    for a in model.attributes:
        values, sampling = range_text(a) or ", ".join(a.allowed), sampling_text(a)
        table.add_row(a.name, a.data_type, a.unit, values, sampling, ", ".join(_notes(a)))
    console.print(table, markup=False, highlight=False)


def _notes(attribute: Attribute) -> Iterator[str]:
    if attribute.key or attribute.required:
        yield "key" if attribute.key else "required"
    if attribute.hold != "stepped":
        yield attribute.hold
    if attribute.pii != "none":
        yield attribute.pii
    if attribute.inherited_from:
        yield f"from {attribute.inherited_from}"


def _print_comparison(item: Comparison) -> None:
    if item.former is None or item.new is None:
        one = item.new or item.former
        assert one is not None
        console.print(
            f"{one.name} {one.version}: {'new' if item.former is None else 'not there any more'}",
            markup=False, highlight=False,
        )  # fmt: skip
        return
    name = item.former.name if item.former.name == item.new.name else f"{item.former.name}, {item.new.name}"
    console.print(f"{name} {item.former.version} to {item.new.version}", markup=False, highlight=False)
    _print_sentences("breaking", [change.sentence for change in item.changes if change.breaking])
    _print_sentences("compatible", [change.sentence for change in item.changes if not change.breaking])
    if item.due_version is not None and item.new.version is not None:
        enough = version_numbers(item.new.version) >= version_numbers(item.due_version)
        verdict = f"{item.new.version} is high enough" if enough else f"call it {item.due_version} or higher"
        console.print(f"  version: {verdict}", markup=False, highlight=False)


def _print_sentences(title: str, sentences: Iterable[str]) -> None:
    for i, sentence in enumerate(sentences):
        if i == 0:
            console.print(f"  {title}:", markup=False, highlight=False)
        console.print(f"    {sentence}", markup=False, highlight=False, soft_wrap=True)


def _table(*columns: str) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _stop(message: str) -> NoReturn:
    console.print(message, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(2)


# --- the beginnings of a file ----------------------------------------------------------------------------

_HEAD: Final = """\
# yaml-language-server: $schema=../schemas/models.json
# Check with: idm model validate. Editors that know YAML complete the fields once `idm schemas` has run.

models:
  - name: {name}
    version: 1.0.0 # another content needs another version; `idm model diff` says which
    kind: {kind}
"""
_DESCRIPTION: Final = """\
    description: What it is, in a sentence.
    # business_object: What the business calls it
    # owner: someone@plant.example
"""
_TELEMETRY: Final = """\
    attributes:
      - name: temperature
        data_type: double # double integer boolean string timestamp vector3
        unit: degC # a symbol that pint knows, or a UNECE code such as CEL
        range: {minimum: 0, maximum: 250} # what lies outside is kept, but marked
        sampling: {mode: periodic, cadence_s: 10} # or on_change, with a deadband
        hold: sloped # between two reports the value is on the line; stepped keeps the earlier one
        description: What is measured, and where.
      # - name: state
      #   data_type: string
      #   allowed: [STOPPED, RUNNING]
      #   required: true
      #   pii: none # none pseudonymous personal sensitive
"""
_RECORD: Final = """\
    attributes:
      - name: {key} # in a record the name of a column: letters, digits and underscores
        data_type: string # double integer boolean string timestamp
        key: true # by this a record is known again; several attributes may make the key
        description: What identifies the record.
      # - name: duration
      #   data_type: double
      #   unit: h # a symbol that pint knows, or a UNECE code such as HUR
      #   range: {{minimum: 0, maximum: 10000}} # what lies outside is kept, but marked
      #   required: true
      #   pii: none # none pseudonymous personal sensitive
"""
_EXTENDING: Final = """\
    # Inherited: {inherited}
    # An inherited attribute that is stated again may only be narrowed.
    # attributes:
    #   - name: temperature
    #     data_type: double # double integer boolean string timestamp{vector}
    #     unit: degC # a symbol that pint knows, or a UNECE code such as CEL
    #     range: {{minimum: 0, maximum: 250}} # what lies outside is kept, but marked
    #     required: true
    #     pii: none # none pseudonymous personal sensitive
"""


def _beginnings(name: str, kind: ModelKind, parent: Model | None) -> str:
    """A file that is valid as it stands."""
    # Text in JSON's quotes is text in YAML, also where it looks like a number.
    text = _HEAD.format(name=json.dumps(name), kind=kind)
    if parent is not None:
        text += f"    extends: {json.dumps(f'{parent.name}@{parent.version}')}\n"
    text += _DESCRIPTION
    if parent is not None:
        inherited = ", ".join(attribute.name for attribute in parent.attributes)
        return text + _EXTENDING.format(
            inherited=shortened(inherited or None), vector=" vector3" * (kind == "telemetry")
        )
    return text + (_RECORD.format(key="number") if kind == "record" else _TELEMETRY)
