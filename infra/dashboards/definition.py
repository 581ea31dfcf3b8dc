"""The dashboard's panels, from what users notice down to the machines."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from infra.dashboards.queries import (
    FUNCTION,
    JOB,
    GoogleMetric,
    Level,
    LogMetric,
    OwnMetric,
    Quantile,
    Query,
    Ratio,
    Sum,
)
from shared.telemetry import metrics


class Unit(Enum):
    """Unit of a panel's values: in words, and Grafana's name."""

    COUNT = ("", "short")
    SHARE = ("share", "percentunit")
    USD = ("$", "currencyUSD")
    SECONDS = ("s", "s")
    MILLISECONDS = ("ms", "ms")
    MULTIPLE = ("times", "suffix:x")

    def __init__(self, words: str, grafana: str) -> None:
        self.words = words
        self.grafana = grafana


@dataclass(frozen=True)
class Line:
    """One line of a panel, or one for each value of what a sum goes by."""

    query: Query
    label: str = ""
    exported: Query | None = None
    """What Grafana shows instead, where OpenTelemetry has it in more detail."""

    @property
    def in_grafana(self) -> Query:
        """What Grafana shows."""
        return self.exported or self.query


@dataclass(frozen=True)
class Panel:
    """One chart."""

    title: str
    unit: Unit
    lines: tuple[Line, ...]
    threshold: float | None = None
    """A line that should not be crossed."""


UPLOADS = OwnMetric(metrics.UPLOADS, LogMetric("jobs_ended", is_distribution=False))
FALLBACKS = OwnMetric(metrics.FALLBACKS, LogMetric("fallbacks", is_distribution=False))
BILLED = OwnMetric(metrics.BILLED, LogMetric("bill_usd"))
UNBILLED = OwnMetric(metrics.UNBILLED)
AUDIO = OwnMetric(metrics.AUDIO)
GAPS = OwnMetric(metrics.GAPS)
QUEUE_WAIT = OwnMetric(metrics.QUEUE_WAIT, LogMetric("queue_wait"))
COMPLETION_TIME = OwnMetric(metrics.COMPLETION_TIME)
TIMES_EXPECTED = OwnMetric(metrics.TIMES_EXPECTED, LogMetric("times_expected"))
X_REAL_TIME = OwnMetric(metrics.X_REAL_TIME, LogMetric("x_real_time"))
COVERAGE = OwnMetric(metrics.COVERAGE, LogMetric("coverage"))
STARTUP_TIME = OwnMetric(metrics.STARTUP_TIME, LogMetric("startup", (JOB,)))
BATCH_FILL = OwnMetric(metrics.BATCH_FILL, LogMetric("batch_fill", (JOB,)))
BATCH_CHUNKS = OwnMetric(metrics.BATCH_CHUNKS)
LAUNCHES = OwnMetric(metrics.LAUNCHES)
LAUNCHES_FAILED = OwnMetric(metrics.LAUNCHES_FAILED, LogMetric("launches_failed", (FUNCTION,), is_distribution=False))


def _of_queue(metric: str) -> GoogleMetric:
    return GoogleMetric(
        f"pubsub.googleapis.com/subscription/{metric}",
        "pubsub_subscription",
        "subscription_id",
        "${work_subscriptions}",
        is_pattern=True,
    )


def _of_gpu_job(metric: str, quantile: float | None = None) -> GoogleMetric:
    return GoogleMetric(f"run.googleapis.com/{metric}", JOB, "job_name", "${gpu_job}", quantile=quantile)


OLDEST_WORK = _of_queue("oldest_unacked_message_age")
WAITING_WORK = _of_queue("num_undelivered_messages")
DEAD_LETTERS = GoogleMetric(
    "pubsub.googleapis.com/subscription/num_undelivered_messages",
    "pubsub_subscription",
    "subscription_id",
    "${dead_subscriptions}",
    is_pattern=True,
)
GPU_USE = _of_gpu_job("container/gpu/utilizations", 0.5)
GPU_MEMORY = _of_gpu_job("container/gpu/memory_utilizations", 0.99)
EXECUTIONS = _of_gpu_job("job/running_executions")
ANSWER_TIME = GoogleMetric(
    "run.googleapis.com/request_latencies", FUNCTION, "service_name", "${upload_function}", quantile=0.95
)

PANELS = (
    Panel("Uploads ended per hour", Unit.COUNT, (Line(Sum(UPLOADS, by=("outcome",))),)),
    Panel(
        "Failed and fallback uploads, share per hour",
        Unit.SHARE,
        (
            Line(Ratio(Sum(UPLOADS, where={"outcome": "failed"}), Sum(UPLOADS)), "failed"),
            Line(Ratio(Sum(FALLBACKS), Sum(UPLOADS)), "fallback"),
        ),
    ),
    Panel("Cost per hour ($)", Unit.USD, (Line(Sum(BILLED), "billed", exported=Sum(BILLED, by=("kind", "phase"))),)),
    Panel(
        "Completion time / predicted time",
        Unit.MULTIPLE,
        (Line(Quantile(TIMES_EXPECTED, 0.5), "median"),),
    ),
    Panel(
        "Queue wait (s)",
        Unit.SECONDS,
        (Line(Quantile(QUEUE_WAIT, 0.5), "median"), Line(Quantile(QUEUE_WAIT, 0.95), "95 %")),
    ),
    Panel(
        "Processing speed (x real time)",
        Unit.MULTIPLE,
        (Line(Quantile(X_REAL_TIME, 0.5), "median"), Line(Quantile(X_REAL_TIME, 0.05), "slowest 5 %")),
    ),
    Panel(
        "Coverage: share of speech with words",
        Unit.SHARE,
        (Line(Quantile(COVERAGE, 0.5), "median"), Line(Quantile(COVERAGE, 0.05), "worst 5 %")),
    ),
    Panel(
        "Execution start-up (s)",
        Unit.SECONDS,
        (Line(Quantile(STARTUP_TIME, 0.5), "median"), Line(Quantile(STARTUP_TIME, 0.95), "95 %")),
    ),
    Panel("Batch fill: share of audio", Unit.SHARE, (Line(Quantile(BATCH_FILL, 0.5), "median"),)),
    Panel("Oldest queued work (s)", Unit.SECONDS, (Line(OLDEST_WORK),), threshold=1800),
    Panel("Queued work items", Unit.COUNT, (Line(WAITING_WORK),)),
    Panel("GPU utilization", Unit.SHARE, (Line(GPU_USE, exported=Level(metrics.GPU_UTILIZATION)),)),
    Panel(
        "GPU memory utilization", Unit.SHARE, (Line(GPU_MEMORY, exported=Level(metrics.GPU_MEMORY_UTILIZATION)),), 0.85
    ),
    Panel("Running executions of the GPU job", Unit.COUNT, (Line(EXECUTIONS),)),
    Panel("Failed launches per hour", Unit.COUNT, (Line(Sum(LAUNCHES_FAILED, by=("kind",))),)),
    Panel("Dead letters", Unit.COUNT, (Line(DEAD_LETTERS),), threshold=0),
    Panel("Function latency, 95th percentile (ms)", Unit.MILLISECONDS, (Line(ANSWER_TIME),)),
    Panel("Audio transcribed per hour (s)", Unit.SECONDS, (Line(Sum(AUDIO, by=("engine",))),)),
    Panel("Gaps per hour (s)", Unit.SECONDS, (Line(Sum(GAPS, by=("method",))),)),
    Panel(
        "Completion time (s)",
        Unit.SECONDS,
        (Line(Quantile(COMPLETION_TIME, 0.5), "median"), Line(Quantile(COMPLETION_TIME, 0.95), "95 %")),
    ),
    Panel("Chunks per batch", Unit.COUNT, (Line(Quantile(BATCH_CHUNKS, 0.5), "median"),)),
    Panel("Executions started per hour", Unit.COUNT, (Line(Sum(LAUNCHES, by=("job_name",))),)),
    Panel("Unbilled execution cost per hour ($)", Unit.USD, (Line(Sum(UNBILLED)),)),
)
"""A panel with a line that is not in the logs is in Grafana only."""
