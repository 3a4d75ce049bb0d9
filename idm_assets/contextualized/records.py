"""From cleaned records to the typed table of their model.

Belongs here: this one query. Does not belong here: judging records (`cleaned.records`), contracts
(`referential.model_contract`), Dagster.
"""

from __future__ import annotations

from idm_assets.capture.json_values import pointer
from idm_assets.referential.description import Model
from idm_assets.referential.model_contract import COLUMN_TYPES, column_name, table_name
from idm_assets.sql import identifier, literal


def typed_records(records: str, model: Model) -> str:
    """Query for the table of a record model.

    Args:
        records: query with the day's `cleaned.records`.
        model: the model in force.
    """
    pointers = ", ".join(literal(pointer(attribute.name)) for attribute in model.attributes)
    columns = "".join(
        f", values[{n}]::{COLUMN_TYPES[attribute.data_type].duckdb} AS {identifier(column_name(attribute))}"
        for n, attribute in enumerate(model.attributes, start=1)
    )
    return (
        f"SELECT ts{columns}, flags, capture_key, line FROM ("
        f"SELECT *, json_extract_string(attributes, [{pointers}]) AS values FROM ({records})"
        f" WHERE record_table = {literal(table_name(model))})"
    )
