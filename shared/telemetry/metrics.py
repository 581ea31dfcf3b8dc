"""Metrics: every figure that function and job export, each an instrument of OpenTelemetry with its description.

OpenTelemetry's API does nothing until its SDK is started (OTEL_METRICS_EXPORTER). Names and units follow its
conventions: units are UCUM's, with the counted thing in braces. Each attribute takes a handful of values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from opentelemetry import metrics

from shared.telemetry.logs import log_telemetry_errors

_METER = metrics.get_meter("dropscribe")


@dataclass(frozen=True)
class Metric:
    """One figure."""

    name: str
    unit: str
    description: str
    attributes: tuple[str, ...] = ()
    """Names of the attributes that every value has."""


@dataclass(frozen=True)
class Counter(Metric):
    """A sum that only grows."""

    def add(self, amount: float, **attributes: str) -> None:
        """Add `amount`."""
        with log_telemetry_errors():
            self._instrument.add(amount, attributes)

    @cached_property
    def _instrument(self) -> metrics.Counter:
        return _METER.create_counter(self.name, self.unit, self.description)


@dataclass(frozen=True)
class Histogram(Metric):
    """A distribution of values."""

    boundaries: tuple[float, ...] = ()
    """Upper ends of the buckets."""

    def record(self, value: float, **attributes: str) -> None:
        """Record one value."""
        with log_telemetry_errors():
            self._instrument.record(value, attributes)

    @cached_property
    def _instrument(self) -> metrics.Histogram:
        return _METER.create_histogram(
            self.name, self.unit, self.description, explicit_bucket_boundaries_advisory=self.boundaries
        )


@dataclass(frozen=True)
class Gauge(Metric):
    """A level that is read at each export."""

    def observe(self, read: Callable[[], float], **attributes: str) -> None:
        """Read the level with `read` at each export, on a thread of the exporter's."""

        def observed(_: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
            yield metrics.Observation(read(), attributes)

        _METER.create_observable_gauge(self.name, [observed], self.unit, self.description)


_SECONDS = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14400.0)
_SHORT_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 1.0)
_MULTIPLES = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0)
_SPEEDS = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 500.0, 1000.0, 2000.0)

UPLOADS = Counter("dropscribe.uploads", "{upload}", "Uploads that ended.", ("outcome", "method"))
FALLBACKS = Counter(
    "dropscribe.fallbacks",
    "{upload}",
    "Uploads of which another engine had to transcribe at least a part.",
    ("method",),
)
BILLED = Counter("dropscribe.billed", "{USD}", "Dollars on the bills of uploads.", ("method", "kind", "phase"))
UNBILLED = Counter("dropscribe.unbilled", "{USD}", "Dollars of executions that are on no upload's bill.")
AUDIO = Counter("dropscribe.audio", "s", "Audio that engines transcribed, second attempts included.", ("engine",))
GAPS = Counter("dropscribe.gaps", "s", "Speech, or audio that could not be read, without words.", ("method",))

QUEUE_WAIT = Histogram(
    "dropscribe.queue.wait", "s", "From an upload's event until an execution took it.", ("method",), _SECONDS
)
COMPLETION_TIME = Histogram(
    "dropscribe.completion.time", "s", "From an upload's event to its transcript.", ("method",), _SECONDS
)
TIMES_EXPECTED = Histogram(
    "dropscribe.completion.times_expected",
    "1",
    "Time an upload took, as a multiple of what was predicted.",
    ("method",),
    _MULTIPLES,
)
X_REAL_TIME = Histogram(
    "dropscribe.x_real_time", "1", "Audio of an upload by the time of work on it.", ("method",), _SPEEDS
)
COVERAGE = Histogram("dropscribe.coverage", "1", "Share of an upload's speech that has words.", ("method",), _SHARES)

STARTUP_TIME = Histogram(
    "dropscribe.execution.startup",
    "s",
    "From the start of an instance's bill to its first batch.",
    ("device",),
    _SECONDS,
)
BATCH_FILL = Histogram(
    "dropscribe.batch.fill", "1", "Share of a batch that is audio; the rest is padding.", ("engine",), _SHARES
)
BATCH_CHUNKS = Histogram(
    "dropscribe.batch.chunks",
    "{chunk}",
    "Chunks in a batch.",
    ("engine",),
    (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 96.0, 128.0, 256.0),
)
BATCH_AUDIO = Histogram(
    "dropscribe.batch.audio",
    "s",
    "Audio in a batch, without its padding.",
    ("engine",),
    (10.0, 30.0, 60.0, 120.0, 240.0, 320.0, 600.0, 1200.0, 2400.0),
)
BATCH_TIME = Histogram("dropscribe.batch.time", "s", "Time of the model for a batch.", ("engine",), _SHORT_SECONDS)

LAUNCHES = Counter("dropscribe.launches", "{execution}", "Executions that were started.", ("job_name",))
LAUNCHES_FAILED = Counter(
    "dropscribe.launches.failed", "{execution}", "Executions that Cloud Run did not start.", ("job_name", "kind")
)

# Not "1": exporters disagree whether that unit makes a gauge's name in Prometheus end in "_ratio".
GPU_UTILIZATION = Gauge(
    "dropscribe.gpu.utilization", "{share}", "Share of the last sampling period, up to 1 s, in which the GPU was busy."
)
GPU_MEMORY_UTILIZATION = Gauge("dropscribe.gpu.memory.utilization", "{share}", "Share of the GPU's memory in use.")

CATALOGUE: tuple[Metric, ...] = (
    *(UPLOADS, FALLBACKS, BILLED, UNBILLED, AUDIO, GAPS),
    *(QUEUE_WAIT, COMPLETION_TIME, TIMES_EXPECTED, X_REAL_TIME, COVERAGE),
    *(STARTUP_TIME, BATCH_FILL, BATCH_CHUNKS, BATCH_AUDIO, BATCH_TIME),
    *(LAUNCHES, LAUNCHES_FAILED),
    *(GPU_UTILIZATION, GPU_MEMORY_UTILIZATION),
)
