"""The dashboard itself: what an operator looks at, from what users notice down to the machines."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from infra.dashboards.queries import FUNCTION, JOB, Figure, Googles, Level, LogMetric, Quantile, Query, Ratio, Sum
from shared.telemetry import metrics


class Unit(Enum):
    """What a panel's numbers are: in words, and as Grafana calls it."""

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
    """What Grafana shows instead: what the logs do not tell, or Google knows only in other words."""

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


UPLOADS = Figure(metrics.UPLOADS, LogMetric("jobs_ended", is_distribution=False))
FALLBACKS = Figure(metrics.FALLBACKS, LogMetric("fallbacks", is_distribution=False))
BILLED = Figure(metrics.BILLED, LogMetric("bill_usd"))
UNBILLED = Figure(metrics.UNBILLED)
AUDIO = Figure(metrics.AUDIO)
GAPS = Figure(metrics.GAPS)
QUEUE_WAIT = Figure(metrics.QUEUE_WAIT, LogMetric("queue_wait"))
COMPLETION_TIME = Figure(metrics.COMPLETION_TIME)
TIMES_EXPECTED = Figure(metrics.TIMES_EXPECTED, LogMetric("times_expected"))
X_REAL_TIME = Figure(metrics.X_REAL_TIME, LogMetric("x_real_time"))
COVERAGE = Figure(metrics.COVERAGE, LogMetric("coverage"))
STARTUP_TIME = Figure(metrics.STARTUP_TIME, LogMetric("startup", (JOB,)))
BATCH_FILL = Figure(metrics.BATCH_FILL, LogMetric("batch_fill", (JOB,)))
BATCH_CHUNKS = Figure(metrics.BATCH_CHUNKS)
LAUNCHES = Figure(metrics.LAUNCHES)
LAUNCHES_FAILED = Figure(metrics.LAUNCHES_FAILED, LogMetric("launches_failed", (FUNCTION,), is_distribution=False))


def _of_queue(metric: str) -> Googles:
    return Googles(
        f"pubsub.googleapis.com/subscription/{metric}", "pubsub_subscription", "subscription_id", "${work_subscription}"
    )


def _of_gpu_job(metric: str, quantile: float | None = None) -> Googles:
    return Googles(f"run.googleapis.com/{metric}", JOB, "job_name", "${gpu_job}", quantile=quantile)


OLDEST_WORK = _of_queue("oldest_unacked_message_age")
WAITING_WORK = _of_queue("num_undelivered_messages")
DEAD_LETTERS = Googles(
    "pubsub.googleapis.com/subscription/num_undelivered_messages",
    "pubsub_subscription",
    "subscription_id",
    "${dead_subscriptions}",
    is_pattern=True,
)
GPU_USE = _of_gpu_job("container/gpu/utilizations", 0.5)
GPU_MEMORY = _of_gpu_job("container/gpu/memory_utilizations", 0.99)
EXECUTIONS = _of_gpu_job("job/running_executions")
ANSWER_TIME = Googles(
    "run.googleapis.com/request_latencies", FUNCTION, "service_name", "${upload_function}", quantile=0.95
)

PANELS = (
    Panel("Uploads that ended, an hour", Unit.COUNT, (Line(Sum(UPLOADS, by=("outcome",))),)),
    Panel(
        "Errors and fallbacks, share of the uploads of an hour",
        Unit.SHARE,
        (
            Line(Ratio(Sum(UPLOADS, where={"outcome": "failed"}), Sum(UPLOADS)), "failed"),
            Line(Ratio(Sum(FALLBACKS), Sum(UPLOADS)), "fell back"),
        ),
    ),
    Panel("Dollars an hour", Unit.USD, (Line(Sum(BILLED), "billed", exported=Sum(BILLED, by=("kind", "phase"))),)),
    Panel(
        "Time until the transcript, times the prediction (median)",
        Unit.MULTIPLE,
        (Line(Quantile(TIMES_EXPECTED, 0.5), "median"),),
    ),
    Panel(
        "Wait for an execution, seconds",
        Unit.SECONDS,
        (Line(Quantile(QUEUE_WAIT, 0.5), "median"), Line(Quantile(QUEUE_WAIT, 0.95), "95 %")),
    ),
    Panel(
        "Speed of the work on an upload, times real time",
        Unit.MULTIPLE,
        (Line(Quantile(X_REAL_TIME, 0.5), "median"), Line(Quantile(X_REAL_TIME, 0.05), "slowest 5 %")),
    ),
    Panel(
        "Speech that has words, share",
        Unit.SHARE,
        (Line(Quantile(COVERAGE, 0.5), "median"), Line(Quantile(COVERAGE, 0.05), "worst 5 %")),
    ),
    Panel(
        "Start-up of an execution, seconds",
        Unit.SECONDS,
        (Line(Quantile(STARTUP_TIME, 0.5), "median"), Line(Quantile(STARTUP_TIME, 0.95), "95 %")),
    ),
    Panel("Batches: share that is audio", Unit.SHARE, (Line(Quantile(BATCH_FILL, 0.5), "median"),)),
    Panel("Oldest work, seconds", Unit.SECONDS, (Line(OLDEST_WORK),), threshold=1800),
    Panel("Work that waits", Unit.COUNT, (Line(WAITING_WORK),)),
    Panel("GPU use", Unit.SHARE, (Line(GPU_USE, exported=Level(metrics.GPU_UTILIZATION)),)),
    Panel("GPU memory", Unit.SHARE, (Line(GPU_MEMORY, exported=Level(metrics.GPU_MEMORY_UTILIZATION)),), 0.85),
    Panel("Executions of the GPU job", Unit.COUNT, (Line(EXECUTIONS),)),
    Panel("Launches that failed, an hour", Unit.COUNT, (Line(Sum(LAUNCHES_FAILED, by=("kind",))),)),
    Panel("Dead letters", Unit.COUNT, (Line(DEAD_LETTERS),), threshold=0),
    Panel("The function's answers, 95 % within milliseconds", Unit.MILLISECONDS, (Line(ANSWER_TIME),)),
    Panel("Audio an hour, seconds", Unit.SECONDS, (Line(Sum(AUDIO, by=("engine",))),)),
    Panel("Speech without words an hour, seconds", Unit.SECONDS, (Line(Sum(GAPS, by=("method",))),)),
    Panel(
        "Time until the transcript",
        Unit.SECONDS,
        (Line(Quantile(COMPLETION_TIME, 0.5), "median"), Line(Quantile(COMPLETION_TIME, 0.95), "95 %")),
    ),
    Panel("Chunks in a batch", Unit.COUNT, (Line(Quantile(BATCH_CHUNKS, 0.5), "median"),)),
    Panel("Executions started, an hour", Unit.COUNT, (Line(Sum(LAUNCHES, by=("job_name",))),)),
    Panel("Dollars of executions on no bill, an hour", Unit.USD, (Line(Sum(UNBILLED)),)),
)
"""A panel with a line that the logs do not tell is Grafana's alone."""
