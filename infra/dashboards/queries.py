"""Queries of a chart's lines, independent of where the metrics are stored.

Our own metrics are in two stores: in Cloud Monitoring, made out of the logs, in every deployment; and wherever
OpenTelemetry exports them to. Google's metrics are in Cloud Monitoring.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.telemetry.metrics import Counter, Gauge, Histogram

FUNCTION, JOB = "cloud_run_revision", "cloud_run_job"
"""Monitored resources that write our log lines: functions and jobs."""


@dataclass(frozen=True)
class LogMetric:
    """A metric that Terraform makes out of the logs (terraform/monitoring.tf)."""

    name: str
    written_by: tuple[str, ...] = (FUNCTION, JOB)
    is_distribution: bool = True


@dataclass(frozen=True)
class OwnMetric:
    """One of our metrics, in both stores."""

    metric: Counter | Histogram
    logged: LogMetric | None = None
    """None where no log line has it."""


@dataclass(frozen=True)
class Sum:
    """The increase of an hour."""

    figure: OwnMetric
    by: tuple[str, ...] = ()
    where: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ratio:
    """One sum as a share of another."""

    part: Sum
    whole: Sum


@dataclass(frozen=True)
class Quantile:
    """A quantile of the values of an hour."""

    figure: OwnMetric
    share: float


@dataclass(frozen=True)
class Level:
    """The highest value of all processes."""

    gauge: Gauge


@dataclass(frozen=True)
class GoogleMetric:
    """A metric of Google's: the highest value of a number, or a quantile of a distribution."""

    metric: str
    """Its type in Cloud Monitoring's list of metrics."""
    resource: str
    label: str
    value: str
    """The label's value, or a pattern for it."""
    is_pattern: bool = False
    quantile: float | None = None


Query = Sum | Ratio | Quantile | Level | GoogleMetric


def sums_of(query: Query) -> tuple[Sum, ...]:
    """The sums that a query is made of."""
    match query:
        case Sum():
            return (query,)
        case Ratio(part, whole):
            return (part, whole)
        case _:
            return ()


def own_metrics_of(query: Query) -> tuple[OwnMetric, ...]:
    """Our metrics in a query."""
    return (query.figure,) if isinstance(query, Quantile) else tuple(one.figure for one in sums_of(query))


def is_in_logs(query: Query) -> bool:
    """Whether Cloud Monitoring has everything in the query without a collector."""
    return not isinstance(query, Level) and all(figure.logged for figure in own_metrics_of(query))
