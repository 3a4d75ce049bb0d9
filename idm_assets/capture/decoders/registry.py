"""The registry of formats: by which name a source declaration asks for which decoder.

There are formats that say themselves what their units mean, such as SHDR, and formats that deliver rows, such as CSV,
whose meaning the declaration tells. A package outside of this one adds to either by an entry point of the group
``idm.decoders`` (a class with ``from_options(options, zone)`` that returns a `Decoder`) or ``idm.row_formats`` (a class
with ``from_options(options)`` that returns a `RowFormat`).

Belongs here: names. Does not belong here: any format.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

from idm_assets.capture.decoders import Decoder
from idm_assets.capture.decoders.tabular import RowFormat

DECODERS: Final[Mapping[str, str]] = {
    "b2mml": "b2mml:B2mml",
    "line_protocol": "line_protocol:LineProtocol",
    "mtconnect_streams": "mtconnect_streams:MtconnectStreams",
    "opcua_pubsub": "opcua_pubsub:OpcuaPubsub",
    "shdr": "shdr:Shdr",
    "sparkplug_b": "sparkplug_b:SparkplugB",
}
ROW_FORMATS: Final[Mapping[str, str]] = {
    "arrow": "columnar_rows:ArrowRows",
    "csv": "csv_rows:CsvRows",
    "json": "json_rows:JsonRows",
    "json_lines": "json_rows:JsonLineRows",
    "parquet": "columnar_rows:ParquetRows",
    "tsv": "csv_rows:TsvRows",
    "xlsx": "xlsx_rows:XlsxRows",
}
RECORDS_ONLY: Final = frozenset({"b2mml"})
"""Decoders whose units are records; those of all others are observations."""


def formats() -> list[str]:
    """Names of all formats, sorted."""
    return sorted({*DECODERS, *ROW_FORMATS, *added("idm.decoders"), *added("idm.row_formats")})


def is_tabular(name: str) -> bool:
    """Whether a format delivers rows, whose meaning the declaration has to tell."""
    return name in ROW_FORMATS or name in added("idm.row_formats")


def decoder_for(name: str, options: Mapping[str, Any], zone: str) -> Decoder:
    """The decoder of a format that says itself what its units mean.

    Args:
        name: name of the format.
        options: the format's own options.
        zone: IANA zone of timestamps that carry none.

    Raises:
        KeyError: no such format; the message lists the known ones.
        pydantic.ValidationError: the options do not fit the format.
    """
    return _found(name, DECODERS, "idm.decoders").from_options(options, zone)


def row_format_for(name: str, options: Mapping[str, Any]) -> RowFormat:
    """A format that delivers rows; arguments and errors as for `decoder_for`."""
    return _found(name, ROW_FORMATS, "idm.row_formats").from_options(options)


def _found(name: str, built_in: Mapping[str, str], group: str) -> Any:  # noqa: ANN401 - what a third party registers
    if name in built_in:
        module, _, class_name = built_in[name].partition(":")
        return getattr(import_module(f"idm_assets.capture.decoders.{module}"), class_name)
    if name in added(group):
        return added(group)[name].load()
    raise KeyError(f"unknown format {name!r}; known formats: {', '.join(formats())}")


@cache
def added(group: str) -> Mapping[str, Any]:
    """Entry points of a group by name."""
    return {point.name: point for point in entry_points(group=group)}
