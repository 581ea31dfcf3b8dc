"""`python -m infra.dashboards.page`: docs/metrics.md, written from the catalogue and the dashboard's definition."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from infra.dashboards import definition
from infra.dashboards.promql import prometheus_name
from infra.dashboards.queries import OwnMetric
from shared.telemetry.metrics import CATALOGUE, Counter, Gauge, Histogram, Metric

_HEAD = """# Metrics

Every metric of function and job: as OpenTelemetry exports it (`OTEL_METRICS_EXPORTER`), by its name in
Prometheus, and, where a log line has it, as the metric that Terraform makes out of the logs
(`logging.googleapis.com/user/dropscribe/NAME`). Histograms have `_bucket`, `_sum` and `_count` in Prometheus. This page
is written by `python -m infra.dashboards.page > docs/metrics.md`; a test holds it to the code. How to export and show
them: docs/telemetry.md.

| metric | in Prometheus | out of the logs | unit | labels | description |
|---|---|---|---|---|---|
"""
_KINDS = {Counter: "counter", Histogram: "histogram", Gauge: "gauge"}
_LOGGED = {
    one.metric: one.logged.name
    for one in vars(definition).values()
    if isinstance(one, OwnMetric) and one.logged is not None
}


def page() -> str:
    """The whole page."""
    return _HEAD + "".join(_rows())


def _rows() -> Iterator[str]:
    for metric in CATALOGUE:
        logged = _LOGGED.get(metric) if isinstance(metric, Counter | Histogram) else None
        labels = ", ".join(f"`{name}`" for name in metric.attributes)
        cells = (
            f"`{metric.name}`, {_KINDS[type(metric)]}",
            f"`{prometheus_name(metric)}`",
            f"`{logged}`" if logged else "",
            _unit(metric),
            labels,
            metric.description,
        )
        yield f"| {' | '.join(cells)} |\n"


def _unit(metric: Metric) -> str:
    """`{upload}` -> upload; a figure without a unit has none."""
    return "" if metric.unit == "1" else metric.unit.strip("{}")


if __name__ == "__main__":
    sys.stdout.write(page())
