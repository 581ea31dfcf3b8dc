"""The report's charts as inline SVG, drawn by pygal; the page's style has their colours, light and dark.

A chart never says what no table beside it says: its text alternative names that table.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Sequence
from datetime import date
from itertools import accumulate
from typing import Any
from xml.etree import ElementTree

import pygal
from markupsafe import Markup

from infra.cli.costs import money
from infra.cli.report.data import ReportData
from infra.cli.tables import printable

_SVG = "{http://www.w3.org/2000/svg}"
_LABEL_PIXELS = 12
"""Font size that pygal reckons with; report.css sets the same."""
_STYLE = pygal.style.Style(
    label_font_size=_LABEL_PIXELS, major_label_font_size=_LABEL_PIXELS, legend_font_size=_LABEL_PIXELS
)
_HALF = 480
"""Width of a chart beside another one, in the same pixels."""
_MAX_FOLDERS = 12
"""Folders in the chart, the dearest first; the table has all."""


def cost_by_day(data: ReportData) -> Markup:
    """A bar for each day, divided by method."""
    days = _days(data)
    methods = sorted({method for known in data.methods_by_day.values() for method in known})
    chart = _chart(pygal.StackedBar, x_labels=[str(day) for day in range(1, len(days) + 1)])
    for method in methods:
        chart.add(printable(method), [data.methods_by_day.get(day, {}).get(method) for day in days])
    return _svg(chart, "Cost of each day by method. The table “By day” has the figures.")


def cost_and_deepgram(data: ReportData) -> Markup:
    """For each method what was billed, beside Deepgram's price of the same audio."""
    methods = list(data.methods.items())[::-1]
    chart = _chart(pygal.HorizontalBar, x_labels=[printable(method) for method, _ in methods], width=_HALF, max_scale=5)
    chart.add("cost", [totals.usd for _, totals in methods])
    chart.add("at Deepgram", [totals.deepgram_usd or None for _, totals in methods])
    return _svg(chart, "Cost of each method beside Deepgram's price. The table “By method” has the figures.")


def cost_by_folder(data: ReportData) -> Markup:
    """The dearest folders."""
    folders = sorted(data.folders.items(), key=lambda item: -item[1].usd)[:_MAX_FOLDERS][::-1]
    labels = [printable(folder) for folder, _ in folders]
    chart = _chart(pygal.HorizontalBar, x_labels=labels, show_legend=False, truncate_label=24, width=_HALF, max_scale=5)
    chart.add("cost", [totals.usd for _, totals in folders])
    return _svg(chart, "Cost of the dearest folders. The table “By folder” has the figures.")


def spent_and_budget(data: ReportData) -> Markup:
    """What is spent and reserved, added up day by day, with the forecast and the budget."""
    days = _days(data)
    by_day = [totals.usd + totals.reserved_usd for totals in (data.days.get(day) for day in days) if totals]
    present = [index for index, day in enumerate(days) if day in data.days]
    per_day = [0.0] * len(days)
    for index, usd in zip(present, by_day, strict=True):
        per_day[index] = usd
    today = len(days) if data.as_of.strftime("%Y-%m") != data.month else data.as_of.day
    spent = list(accumulate(per_day))
    chart = _chart(pygal.Line, x_labels=[str(day) for day in range(1, len(days) + 1)], show_dots=False)
    chart.add("spent and reserved", [usd if index < today else None for index, usd in enumerate(spent)])
    if data.budget.forecast_usd is not None and today < len(days):
        pace = [None] * (today - 1) + _between(spent[today - 1], data.budget.forecast_usd, len(days) - today + 1)
        chart.add("at this pace", pace)
    if data.budget.usd is not None:
        chart.add("budget", [data.budget.usd] * len(days))
    return _svg(chart, "Spent and reserved by day, the forecast, and the budget. “Budget” has the figures.")


def _between(first: float, last: float, count: int) -> list[float]:
    return [first + (last - first) * step / max(1, count - 1) for step in range(count)]


def _days(data: ReportData) -> Sequence[str]:
    """All days of the month."""
    first = date.fromisoformat(f"{data.month}-01")
    return [f"{data.month}-{day:02}" for day in range(1, monthrange(first.year, first.month)[1] + 1)]


def _chart(kind: Callable[..., Any], **options: Any) -> Any:
    plain = {"js": (), "height": 300, "width": 800, "margin": 4, "spacing": 6, "legend_at_bottom": True}
    return kind(style=_STYLE, value_formatter=_dollars, **{**plain, **options})


def _dollars(usd: float) -> str:
    return money(usd) if usd else "$0"


def _svg(chart: Any, says: str) -> Markup:
    """The drawing alone: pygal's own style and script, and what belongs to them, are left out, for the page's policy
    allows none but the page's. What pygal says about a bar becomes its title, which browsers show and read."""
    root = ElementTree.fromstring(chart.render(disable_xml_declaration=True))
    root.attrib.pop("id", None)
    root.attrib.update({"class": f"chart {root.get('class', '')}", "role": "img", "aria-label": says})
    for parent in list(root.iter()):
        parent.attrib.pop("style", None)
        texts = {child.get("class", ""): child.text or "" for child in parent if child.tag == f"{_SVG}desc"}
        for child in list(parent):
            is_of_pygal = child.tag in (f"{_SVG}defs", f"{_SVG}title", f"{_SVG}desc")
            if is_of_pygal or (child.get("class") or "").split(" ")[0] in ("tooltip", "text-overlay"):
                parent.remove(child)
        if texts.get("value"):
            title = ElementTree.SubElement(parent, f"{_SVG}title")
            title.text = ": ".join(filter(None, (texts.get("x_label"), texts["value"])))
    ElementTree.register_namespace("", "http://www.w3.org/2000/svg")
    return Markup(ElementTree.tostring(root, encoding="unicode"))
