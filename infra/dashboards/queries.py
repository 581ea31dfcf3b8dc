"""What a line of a chart shows, said apart from any store of metrics.

A figure of ours is in two stores: in Cloud Monitoring as a metric out of the logs, which every deployment has, and
wherever OpenTelemetry exports it to. Google's own metrics are in Cloud Monitoring.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.telemetry.metrics import Counter, Gauge, Histogram

FUNCTION, JOB = "cloud_run_revision", "cloud_run_job"
"""Monitored resources that write our lines: functions and jobs."""


@dataclass(frozen=True)
class LogMetric:
    """A metric that Terraform makes out of the logs (terraform/monitoring.tf)."""

    name: str
    written_by: tuple[str, ...] = (FUNCTION, JOB)
    is_distribution: bool = True


@dataclass(frozen=True)
class Figure:
    """One figure of ours in both stores."""

    metric: Counter | Histogram
    logged: LogMetric | None = None
    """None where no line of the logs tells it."""


@dataclass(frozen=True)
class Sum:
    """What came within an hour."""

    figure: Figure
    by: tuple[str, ...] = ()
    where: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ratio:
    """One sum as a share of another."""

    part: Sum
    whole: Sum


@dataclass(frozen=True)
class Quantile:
    """Of the values of an hour."""

    figure: Figure
    share: float


@dataclass(frozen=True)
class Level:
    """The highest of all processes."""

    gauge: Gauge


@dataclass(frozen=True)
class Googles:
    """A metric of Google's own: the highest of a number, or a quantile of a distribution."""

    metric: str
    """As Cloud Monitoring's list of metrics has it."""
    resource: str
    label: str
    value: str
    """What the label must be, or match."""
    is_pattern: bool = False
    quantile: float | None = None


Query = Sum | Ratio | Quantile | Level | Googles


def sums_of(query: Query) -> tuple[Sum, ...]:
    """The sums that a query is made of."""
    match query:
        case Sum():
            return (query,)
        case Ratio(part, whole):
            return (part, whole)
        case _:
            return ()


def figures_of(query: Query) -> tuple[Figure, ...]:
    """Our figures in a query."""
    return (query.figure,) if isinstance(query, Quantile) else tuple(one.figure for one in sums_of(query))


def is_logged(query: Query) -> bool:
    """Whether Cloud Monitoring has all of it without a collector."""
    return not isinstance(query, Level) and all(figure.logged for figure in figures_of(query))
