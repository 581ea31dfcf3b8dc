"""What `dropscribe costs` can be asked for; apart, so that other commands need not load Google's clients."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

import typer


class GroupBy(StrEnum):
    """How a month's jobs are grouped."""

    DAY = "day"
    METHOD = "method"
    PREFIX = "prefix"


class OutputFormat(StrEnum):
    """How costs are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def output_format(*, as_json: bool, as_csv: bool) -> OutputFormat:
    """The two flags -> one format."""
    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv are two formats of one report")
    return OutputFormat.JSON if as_json else OutputFormat.CSV if as_csv else OutputFormat.TABLE


def parse_month(text: str) -> str:
    """`2026-11`, checked."""
    try:
        return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).strftime("%Y-%m")
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a month like 2026-11") from None
