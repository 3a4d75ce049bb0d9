"""JSON Schemas of the configuration files, by which editors complete and check them while they are written.

A file says which schema is its own in a comment, here below ``config/models/``::

    # yaml-language-server: $schema=../schemas/models.json

Belongs here: which kinds of configuration files there are, and their schemas. Does not belong here: the shape of one
kind (each lives in the layer that it configures), schemas of messages (`idm_assets.referential.model_page`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from idm_assets.capture.sources import SourceFile
from idm_assets.referential.configuration import ReferentialConfiguration
from idm_assets.referential.data_models import ModelFile
from idm_assets.referential.rules import RulesConfiguration

FOLDER: Final = "schemas"

FILES: Final[dict[str, type[BaseModel]]] = {
    "sources.json": SourceFile,
    "referential.json": ReferentialConfiguration,
    "rules.json": RulesConfiguration,
    "models.json": ModelFile,
}


class _OfFiles(GenerateJsonSchema):
    """Pydantic's schemas, save that a date may stand where a time is expected, as the files' readers accept it."""

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> JsonSchemaValue:
        formats = [self.date_schema(core_schema.date_schema()), super().datetime_schema(schema)]
        return {"anyOf": formats}


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema (draft 2020-12) of every kind of configuration file, by the name of the published file."""
    return {
        name: {"$schema": _OfFiles.schema_dialect} | model.model_json_schema(schema_generator=_OfFiles)
        for name, model in FILES.items()
    }


def write_schemas(folder: Path) -> tuple[Path, ...]:
    """Write all schemas into a folder, which is made if need be; returns the files.

    Raises:
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for name, schema in schemas().items():
        path = folder / name
        path.write_text(text_of(schema), encoding="utf-8")
        written.append(path)
    return tuple(written)


def text_of(schema: dict[str, Any]) -> str:
    """A schema as it stands in its file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
