"""What `dropscribe costs` can be asked for; apart, so that other commands need not load Google's clients."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

import typer


class By(StrEnum):
    """How a report groups a month's jobs."""

    DAY = "day"
    METHOD = "method"
    PREFIX = "prefix"


class Form(StrEnum):
    """How a report is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def form_of(*, as_json: bool, as_csv: bool) -> Form:
    """The two flags -> one form."""
    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv are two forms of one report")
    return Form.JSON if as_json else Form.CSV if as_csv else Form.TABLE


def month_named(text: str) -> str:
    """`2026-11`, checked."""
    try:
        return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).strftime("%Y-%m")
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no month like 2026-11") from None
