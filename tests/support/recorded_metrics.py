"""What the code under test records, read by an exporter in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from opentelemetry import metrics
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    HistogramDataPoint,
    InMemoryMetricReader,
    Metric,
)

Labels = frozenset[tuple[str, Any]]


@dataclass(frozen=True)
class Values:
    """What a histogram took in."""

    count: int
    sum: float
    bounds: tuple[float, ...]


class RecordedMetrics:
    """What this process recorded since the last collection. One at most: a process has one provider for good."""

    def __init__(self) -> None:
        delta = dict.fromkeys((Counter, Histogram), AggregationTemporality.DELTA)
        self._reader = InMemoryMetricReader(preferred_temporality=delta)
        self._provider = MeterProvider([self._reader])
        metrics.set_meter_provider(self._provider)
        assert metrics.get_meter_provider() is self._provider, "another test has started the SDK in this process"

    def levels(self) -> dict[str, float]:
        """Name -> what a gauge reads now."""
        return {one.name: one.data.data_points[0].value for one in self._metrics() if isinstance(one.data, Gauge)}

    def collect(self) -> dict[tuple[str, Labels], float | Values]:
        """Name and attributes -> sum, or what a histogram took in."""
        found: dict[tuple[str, Labels], float | Values] = {}
        for metric in (one for one in self._metrics() if not isinstance(one.data, Gauge)):
            for point in metric.data.data_points:
                labels = frozenset((point.attributes or {}).items())
                found[metric.name, labels] = (
                    Values(point.count, point.sum, tuple(point.explicit_bounds))
                    if isinstance(point, HistogramDataPoint)
                    else point.value
                )
        return found

    def _metrics(self) -> Iterator[Metric]:
        data = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                yield from scope.metrics


def labels(**attributes: str) -> Labels:
    """Attributes as `collect` has them."""
    return frozenset(attributes.items())
