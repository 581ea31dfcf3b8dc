"""Spans of the job: one around each attempt at an upload, and one for each batch, which may be of several uploads."""

from __future__ import annotations

import time
from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, set_span_in_context

from gpu_job.audio.samples import seconds
from gpu_job.engines.task import Task
from gpu_job.worker.running_job import ClaimedJob
from gpu_job.worker.services import TaskIdentity
from shared.enums import Engine
from shared.telemetry import tracing


def attempt_span(claimed: ClaimedJob, traceparent: str | None, task: TaskIdentity) -> Span:
    """From the claim until the job is released: in the upload's own trace, whatever attempt it is.

    `traceparent`: the span that queued the upload; without one it is the span that took its event.
    """
    record = claimed.job.record
    return tracing.start_span(
        "transcribe",
        tracing.context_of(traceparent or record.traceparent),
        SpanKind.CONSUMER,
        job_id=claimed.job.id,
        attempt=record.attempts,
        duration_seconds=claimed.media.duration_seconds,
        execution=task.execution,
    )


class BatchSpans:
    """Of one engine, whose thread alone calls this: what a batch held is known when it has run."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._began_ns = 0

    def batch_started(self) -> None:
        """A batch begins."""
        self._began_ns = time.time_ns()

    def batch_finished(self, tasks: Sequence[Task]) -> None:
        """It has run: in the trace of its upload where it was for one, in a trace of its own where for several."""
        spans = list({task.job_id: task.span for task in tasks}.values())
        known = [span for span in spans if span.get_span_context().is_valid]
        tracing.start_span(
            "batch",
            set_span_in_context(spans[0], Context()) if len(spans) == 1 else Context(),
            links=[Link(span.get_span_context()) for span in known],
            began_ns=self._began_ns,
            engine=self._engine.value,
            chunks=len(tasks),
            audio_seconds=seconds(sum(len(task.chunk.samples) for task in tasks)),
        ).end()
