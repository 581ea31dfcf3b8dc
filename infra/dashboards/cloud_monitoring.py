"""The dashboard for Cloud Monitoring, as the template that terraform/monitoring.tf fills."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.dashboards.definition import PANELS, Line, Panel
from infra.dashboards.promql import logged, promql
from infra.dashboards.queries import GoogleMetric, is_in_logs

COLUMNS, WIDTH, HEIGHT = 48, 24, 16


def dashboard() -> dict[str, Any]:
    """Every panel that needs no collector, two in a row."""
    panels = [panel for panel in PANELS if all(is_in_logs(line.query) for line in panel.lines)]
    return {
        "displayName": "${title}",
        "mosaicLayout": {"columns": COLUMNS, "tiles": [_tile(index, panel) for index, panel in enumerate(panels)]},
    }


def _tile(index: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(index, COLUMNS // WIDTH)
    chart: dict[str, Any] = {"dataSets": [_data_set(line) for line in panel.lines]}
    if panel.threshold is not None:
        chart["thresholds"] = [{"value": panel.threshold}]
    if panel.unit.words:
        chart["yAxis"] = {"label": panel.unit.words, "scale": "LINEAR"}
    return {
        "xPos": column * WIDTH,
        "yPos": row * HEIGHT,
        "width": WIDTH,
        "height": HEIGHT,
        "widget": {"title": panel.title, "xyChart": chart},
    }


def _data_set(line: Line) -> dict[str, Any]:
    legend = {"legendTemplate": line.label} if line.label else {}
    return {"timeSeriesQuery": _query(line), **legend, "plotType": "LINE"}


def _query(line: Line) -> Mapping[str, Any]:
    if isinstance(line.query, GoogleMetric):
        return {"timeSeriesFilter": {"filter": _filter(line.query), "aggregation": _aggregation(line.query)}}
    return {"prometheusQuery": promql(line.query, logged)}


def _filter(query: GoogleMetric) -> str:
    value = f'monitoring.regex.full_match("{query.value}")' if query.is_pattern else f'"{query.value}"'
    return (
        f'metric.type = "{query.metric}" AND resource.type = "{query.resource}"'
        f" AND resource.labels.{query.label} = {value}"
    )


def _aggregation(query: GoogleMetric) -> Mapping[str, str]:
    aligner = "ALIGN_MAX" if query.quantile is None else f"ALIGN_PERCENTILE_{query.quantile * 100:02.0f}"
    return {"alignmentPeriod": "60s", "perSeriesAligner": aligner}
