"""Queries in PromQL, for either store. Pure.

Names in `${...}` are filled in by Terraform in one dashboard, and by Grafana's variables in the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from infra.dashboards.queries import GoogleMetric, Level, OwnMetric, Quantile, Query, Ratio, Sum
from shared.telemetry.metrics import Counter, Metric

RANGE = "1h"
"""Range over which our metrics are summed: uploads take minutes, and a deployment may have few."""
BEFORE = "1d"
"""How far back a process's earlier value is looked for: a function exports only while it handles events."""
GOOGLE_RANGE = "5m"
"""Range for Google's metrics, which come once a minute and with some delay."""

Increase = Callable[[OwnMetric, str, Mapping[str, str]], str]
"""OwnMetric, `sum` or `bucket`, labels -> the query for its increase, in the names of one store."""


def promql(query: Query, increase: Increase) -> str:
    """A query in PromQL; `increase` has the names of the store."""
    match query:
        case Sum(figure, by, where):
            grouped = f"sum by ({', '.join(by)})" if by else "sum"
            return f"{grouped} ({increase(figure, 'sum', where)})"
        case Ratio(part, whole):
            return f"({promql(part, increase)}) / ({promql(whole, increase)})"
        case Quantile(figure, share):
            return f"histogram_quantile({share:g}, sum by (le) ({increase(figure, 'bucket', {})}))"
        case Level(gauge):
            return f"max({prometheus_name(gauge)})"
        case GoogleMetric():
            return _google_metric(query)


def logged(figure: OwnMetric, what: str, where: Mapping[str, str]) -> str:
    """The increase of a metric made out of the logs. Raises ValueError for one that no log line has."""
    metric = figure.logged
    if metric is None:
        raise ValueError(f"{figure.metric.name} is in no log line")
    name = f"${{metric_prefix}}{metric.name}" + (f"_{what}" if metric.is_distribution else "")
    # Functions and jobs write the same lines; a query must name each resource type.
    return " or ".join(
        f"increase({name}{_selector({'monitored_resource': one, **where})}[{RANGE}])" for one in metric.written_by
    )


def exported(figure: OwnMetric, what: str, where: Mapping[str, str]) -> str:
    """The increase of a metric exported by OpenTelemetry.

    Not `increase()`, which takes a series' first value for its start: every execution is a series of its own, and a
    short one is exported once, when all is counted.
    """
    name = prometheus_name(figure.metric) + ("" if isinstance(figure.metric, Counter) else f"_{what}")
    series = f"{name}{_selector(where)}"
    last = f"last_over_time({series}[{RANGE}])"
    return f"{last} - last_over_time({series}[{BEFORE}] offset {RANGE}) or {last}"


def prometheus_name(metric: Metric) -> str:
    """A metric of ours as exporters name it for Prometheus; a histogram without its endings."""
    unit = {"s": "seconds"}.get(metric.unit, "")
    parts = [metric.name.replace(".", "_"), unit, "total" if isinstance(metric, Counter) else ""]
    return "_".join(part for part in parts if part)


def google_metric_name(metric: str) -> str:
    """`run.googleapis.com/job/x` -> `run_googleapis_com:job_x` (docs, "Mapping Cloud Monitoring metrics to PromQL")."""
    domain, _, path = metric.partition("/")
    return ":".join(re.sub(r"[^a-zA-Z0-9]", "_", part) for part in (domain, path))


def _google_metric(query: GoogleMetric) -> str:
    name = google_metric_name(query.metric)
    equals = "=~" if query.is_pattern else "="
    chosen = f'{{monitored_resource="{query.resource}", {query.label}{equals}"{query.value}"}}[{GOOGLE_RANGE}]'
    if query.quantile is None:
        return f"max by ({query.label}) (max_over_time({name}{chosen}))"
    return f"histogram_quantile({query.quantile:g}, sum by (le) (increase({name}_bucket{chosen})))"


def _selector(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels.items()) + "}" if labels else ""
