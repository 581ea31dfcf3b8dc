"""Queries in PromQL, for either store. Pure.

Names in `${...}` are filled in by Terraform in one dashboard, and by Grafana's variables in the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from infra.dashboards.queries import Figure, Googles, Level, Quantile, Query, Ratio, Sum
from shared.telemetry.metrics import Counter, Metric

RANGE = "1h"
"""Ours are summed over so long: uploads take minutes, and a deployment may have few."""
BEFORE = "1d"
"""How far back the value that a process had before is looked for; a function exports only while it is at work."""
GOOGLES_RANGE = "5m"
"""Google's metrics come once a minute, and a moment late."""

Increase = Callable[[Figure, str, Mapping[str, str]], str]
"""Figure, `sum` or `bucket`, labels -> what it grew by, in a store's own names."""


def promql(query: Query, increase: Increase) -> str:
    """A query for the store whose names `increase` knows."""
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
        case Googles():
            return _googles(query)


def logged(figure: Figure, what: str, where: Mapping[str, str]) -> str:
    """Out of Cloud Monitoring's metrics from the logs. Raises ValueError for a figure that no line tells."""
    metric = figure.logged
    if metric is None:
        raise ValueError(f"{figure.metric.name} is in no line of the logs")
    name = f"${{metric_prefix}}{metric.name}" + (f"_{what}" if metric.is_distribution else "")
    # Functions and jobs write the same lines; a query must name each resource type.
    return " or ".join(
        f"increase({name}{_selector({'monitored_resource': one, **where})}[{RANGE}])" for one in metric.written_by
    )


def exported(figure: Figure, what: str, where: Mapping[str, str]) -> str:
    """Out of what OpenTelemetry exports.

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


def googles_name(metric: str) -> str:
    """`run.googleapis.com/job/x` -> `run_googleapis_com:job_x` (docs, "Mapping Cloud Monitoring metrics to PromQL")."""
    domain, _, path = metric.partition("/")
    return ":".join(re.sub(r"[^a-zA-Z0-9]", "_", part) for part in (domain, path))


def _googles(query: Googles) -> str:
    name = googles_name(query.metric)
    equals = "=~" if query.is_pattern else "="
    chosen = f'{{monitored_resource="{query.resource}", {query.label}{equals}"{query.value}"}}[{GOOGLES_RANGE}]'
    if query.quantile is None:
        return f"max by ({query.label}) (max_over_time({name}{chosen}))"
    return f"histogram_quantile({query.quantile:g}, sum by (le) (increase({name}_bucket{chosen})))"


def _selector(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels.items()) + "}" if labels else ""
