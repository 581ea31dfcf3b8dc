"""A job that this worker has claimed, and the span around its attempt."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field

from opentelemetry.trace import Span, SpanKind

from gpu_job.transcription.chunk_results import StoredResults
from gpu_job.transcription.shards.joined import StoredShards
from shared.media import Media
from shared.messages import Decision
from shared.state.jobs.record import Job
from shared.telemetry import tracing


@dataclass(frozen=True)
class ClaimedJob:
    """A job that this worker has claimed, and what an earlier attempt left of it."""

    job: Job
    media: Media
    decision: Decision
    stored: StoredResults = field(default_factory=dict)
    shards: StoredShards | None = None
    """What else the shards of a job left that is assembled."""
    is_first: bool = False
    """Whether no attempt was made before, by whatever engine."""
    missing_shards: Mapping[int, str] = field(default_factory=dict)
    """Shards of a job that is assembled which were given up, and why."""
    shards_usd: float = 0.0
    """What the shards of a job that is assembled cost."""

    def missing(self, start_seconds: float) -> str | None:
        """Why a chunk that begins at this time, and is not stored, is not transcribed; None: it is."""
        shards = self.job.record.shards
        if not self.missing_shards:
            return None
        return self.missing_shards.get(bisect_right([one.start for one in shards], start_seconds) - 1)


def attempt_span(claimed: ClaimedJob, traceparent: str | None, execution: str) -> Span:
    """From the claim until the attempt ends: in the upload's own trace, whatever attempt it is.

    `traceparent`: the span that queued the upload; without one it is the span that took its event.
    """
    record = claimed.job.record
    return tracing.start_span(
        "transcribe",
        tracing.context_of(traceparent or record.traceparent),
        SpanKind.CONSUMER,
        job_id=record.upload.job_id,
        shard=None if record.shard is None else record.shard.number,
        attempt=record.attempts,
        duration_seconds=claimed.media.duration_seconds,
        execution=execution,
    )
