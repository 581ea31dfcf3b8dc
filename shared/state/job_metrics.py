"""What an upload showed when it ended: the fields of its "job ended" line, and its metrics, both from its outcome."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from shared.costs.bill import Bill
from shared.enums import Method, Outcome
from shared.messages import TerminalMessage
from shared.telemetry import metrics


@dataclass(frozen=True)
class JobMetrics:
    """The figures of one upload. Metrics out of the logs read them by these names."""

    outcome: Outcome
    method: Method | None
    reason: str | None
    bill_usd: float
    fallbacks: int
    """How often another engine had to step in."""
    wait_seconds: float | None
    """From the event until an execution took it; None where none did."""
    completion_seconds: float | None
    """From the event to the transcript."""
    times_expected: float | None
    """Time it took by the time that was predicted."""
    x_real_time: float | None
    """Audio by the time of work on it."""
    coverage: float | None
    """Share of the speech that has words."""
    gap_seconds: float | None

    @classmethod
    def of(cls, message: TerminalMessage, fallbacks: int) -> JobMetrics:
        """The figures of an outcome; `fallbacks`: as the ledger counts them."""
        quote = message.decision.quote if message.decision else None
        took = message.wait_seconds + message.work_seconds
        coverage = message.coverage
        audio = message.media.duration_seconds if coverage and message.media else None
        return cls(
            outcome=message.outcome,
            method=message.decision.method if message.decision else None,
            reason=message.reason,
            bill_usd=message.bill.usd,
            fallbacks=fallbacks,
            wait_seconds=message.wait_seconds if message.execution else None,
            completion_seconds=took if coverage else None,
            times_expected=took / quote.completion_seconds if quote and quote.completion_seconds else None,
            x_real_time=audio / message.work_seconds if audio is not None and message.work_seconds else None,
            coverage=coverage.share if coverage else None,
            gap_seconds=coverage.gap_seconds if coverage else None,
        )

    def fields(self) -> dict[str, Any]:
        """For the log."""
        return asdict(self)

    def count(self, bill: Bill) -> None:
        """Into the metrics, the bill by its lines."""
        method = self.method.value if self.method else "none"
        metrics.UPLOADS.add(1, outcome=self.outcome.value, method=method)
        for item in bill.items:
            phase = item.phase.value if item.phase else "none"
            metrics.BILLED.add(item.usd, method=method, kind=item.kind.value, phase=phase)
        if self.fallbacks:
            metrics.FALLBACKS.add(1, method=method)
        if self.gap_seconds:
            metrics.GAPS.add(self.gap_seconds, method=method)
        for histogram, value in (
            (metrics.QUEUE_WAIT, self.wait_seconds),
            (metrics.COMPLETION_TIME, self.completion_seconds),
            (metrics.TIMES_EXPECTED, self.times_expected),
            (metrics.X_REAL_TIME, self.x_real_time),
            (metrics.COVERAGE, self.coverage),
        ):
            if value is not None:
                histogram.record(value, method=method)
