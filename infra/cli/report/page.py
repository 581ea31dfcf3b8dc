"""The report as one self-contained HTML page. Templates escape; what is inserted as it is was made here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from infra.cli.costs import money, percent
from infra.cli.report.charts import cost_and_deepgram, cost_by_day, cost_by_folder, spent_and_budget
from infra.cli.report.data import JobRow, ReportData
from infra.cli.tables import printable
from shared.pages.inline import InlineFiles, inline_files, json_in_script
from shared.transcript.timestamps import clock

_FIELDS = tuple(field.name for field in fields(JobRow))
_CHARTS = (cost_by_day, cost_and_deepgram, cost_by_folder, spent_and_budget)


def report_page(data: ReportData) -> str:
    """The page. It loads nothing, and its policy allows nothing but its own style and script."""
    return render("report/report.html", data, _files(), _files().policy())


def render(template: str, data: ReportData, inline: InlineFiles, policy: str, **more: Any) -> str:
    """`report/report.html`, or a template that extends it, with `more` variables."""
    return (
        environment()
        .get_template(template)
        .render(
            data=data,
            charts={chart.__name__: chart(data) for chart in _CHARTS} if data.days else {},
            rows=_as_is(json_in_script({"fields": _FIELDS, "rows": _rows(data.jobs)})),
            style=_as_is(inline.style),
            script=_as_is(inline.script),
            policy=policy,
            **more,
        )
    )


@cache
def environment() -> Environment:
    """Where templates of the report, and those that extend it, find files and filters."""
    made = Environment(
        loader=PackageLoader("infra.cli", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    made.filters |= {
        "printable": printable,
        "clock": clock,
        "money": money,
        "percent": percent,
        "price": _price,
        "duration": _duration,
        "floored": _floored,
        "number": _number,
        "counted": _counted,
    }
    return made


@cache
def _files() -> InlineFiles:
    return inline_files(__package__, ["report.css"], ["report.js"])


def _rows(jobs: Sequence[JobRow]) -> list[list[Any]]:
    return [[getattr(job, name) for name in _FIELDS] for job in jobs]


def _as_is(text: str) -> Markup:
    """Style, script and JSON, which `json_in_script` escaped: entities mean nothing inside them."""
    return Markup(text)


def _price(usd: float) -> str:
    """Deepgram's price; the ledger has 0 where none is known."""
    return money(usd or None)


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else clock(seconds)


def _floored(share: float) -> str:
    """Rounded down: what is incomplete must never read as 100 %."""
    return f"{math.floor(share * 1000) / 10:.1f}%"


def _number(number: float | None) -> str:
    return "-" if number is None else f"{number:.1f}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
