"""The dashboard for Grafana: ours as OpenTelemetry exports them, Google's through Cloud Monitoring's PromQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.dashboards.definition import PANELS, Line, Panel
from infra.dashboards.promql import exported, promql
from infra.dashboards.queries import GoogleMetric, Query, sums_of

SCHEMA_VERSION = 42
"""Of the classic model, which Grafana 12 and 13 import (grafana/grafana, dashboard schema migrations)."""

WIDTH, HEIGHT, PANELS_A_ROW = 12, 8, 2

METRICS, GOOGLE = "metrics", "google"
"""Variables that name the data sources. Both may be the same: Cloud Monitoring takes in OpenTelemetry's too."""

NAMES = {
    "gpu_job": "dropscribe-gpu",
    "upload_function": "dropscribe-upload",
    "work_subscriptions": "transcription-(work|work-cpu)-job",
    "dead_subscriptions": "transcription-(work|results)-dead-kept",
}
"""Variables that name resources, as Terraform does by default."""


def dashboard() -> dict[str, Any]:
    """Every panel, two in a row."""
    return {
        "title": "dropscribe",
        "uid": "dropscribe",
        "tags": ["dropscribe"],
        "timezone": "browser",
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": _variables()},
        "panels": [_panel(index, panel) for index, panel in enumerate(PANELS)],
    }


def _variables() -> list[dict[str, Any]]:
    sources = {METRICS: "Metrics of dropscribe", GOOGLE: "Cloud Monitoring (PromQL)"}
    return [
        *(
            {"type": "datasource", "name": name, "label": label, "query": "prometheus"}
            for name, label in sources.items()
        ),
        *(
            {"type": "textbox", "name": name, "query": value, "current": {"text": value, "value": value}}
            for name, value in NAMES.items()
        ),
    ]


def _panel(index: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(index, PANELS_A_ROW)
    return {
        "id": index + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": _source(panel.lines[0].in_grafana),
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "targets": [_target(number, line) for number, line in enumerate(panel.lines)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.threshold is not None:
        steps.append({"color": "red", "value": panel.threshold})
    return {
        "unit": panel.unit.grafana,
        "min": 0,
        "custom": {"thresholdsStyle": {"mode": "off" if panel.threshold is None else "line"}},
        "thresholds": {"mode": "absolute", "steps": steps},
    }


def _target(number: int, line: Line) -> dict[str, Any]:
    query = line.in_grafana
    return {
        "refId": chr(ord("A") + number),
        "datasource": _source(query),
        "editorMode": "code",
        "expr": promql(query, exported),
        "legendFormat": _legend(line),
        "range": True,
    }


def _legend(line: Line) -> str:
    """The label, or the values of what a sum goes by; Grafana's own choice where there is neither."""
    by = [name for one in sums_of(line.in_grafana) for name in one.by]
    if by:
        return ", ".join(f"{{{{{name}}}}}" for name in by)
    return line.label or "__auto"


def _source(query: Query) -> Mapping[str, str]:
    return {"type": "prometheus", "uid": f"${{{GOOGLE if isinstance(query, GoogleMetric) else METRICS}}}"}
