"""Ending a job: results stored once, one terminal outcome decided, published, and the job closed.

Safe to run twice, by anyone, at any point: the first stored transcript is the one every other file is made from, the
first stored outcome is the one everybody publishes, and the job stays open until that message was accepted.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from google.cloud import pubsub_v1
from google.cloud.storage import Bucket
from opentelemetry.trace import SpanKind

from shared import objects
from shared.clock import now
from shared.costs.bill import Bill, deepgram_bill
from shared.costs.prices import PriceBook
from shared.enums import Engine, Outcome
from shared.errors import DropscribeError, FailureKind
from shared.messages import CoverageSummary, Receipt, Saving, TerminalMessage, event_id
from shared.object_names import MAX_OBJECT_NAME_BYTES
from shared.state.gpu_breaker import Breaker
from shared.state.job_metrics import JobMetrics
from shared.state.jobs import JobRecord, JobStore
from shared.state.ledger import Ledger, billed
from shared.telemetry import tracing
from shared.transcript.model import Transcript
from shared.transcript.render import render

_log = logging.getLogger(__name__)

PUBLISH_TIMEOUT_SECONDS = 60.0
"""The publisher retries inside this time; past it the job stays open and the reconciler publishes."""

LONGEST_FILE_NAME_BYTES = 24
"""Room for the name of any result, so that all results of a job lie in one folder."""


@dataclass(frozen=True)
class JobResult:
    """How a job ended, before anything of it is stored."""

    outcome: Outcome
    transcript: Transcript | None = None
    reason: str | None = None
    failure_kind: FailureKind | None = None
    fallbacks: int = 0
    """Chunks that another engine than the first transcribed, after that one failed."""


def completed(transcript: Transcript, *, fallbacks: int = 0) -> JobResult:
    """A transcript -> completed, or completed_with_gaps where words of something that was said are missing."""
    gaps = transcript.coverage.gaps
    if not gaps:
        return JobResult(Outcome.COMPLETED, transcript, fallbacks=fallbacks)
    missing = sum(gap.end - gap.start for gap in gaps)
    reason = f"No words for {len(gaps)} stretches, {missing:.1f} s in all; coverage.gaps of transcript.json lists them."
    return JobResult(Outcome.COMPLETED_WITH_GAPS, transcript, reason, fallbacks=fallbacks)


def rejected(error: DropscribeError) -> JobResult:
    """The upload itself is at fault."""
    return JobResult(Outcome.REJECTED, reason=error.reason, failure_kind=error.kind)


def failed(error: DropscribeError) -> JobResult:
    """Every engine that may be asked was asked."""
    return JobResult(Outcome.FAILED, reason=error.reason, failure_kind=error.kind)


def exhausted(record: JobRecord) -> str:
    """Why a job whose workers ended again and again is given up."""
    last = f" The last time: {record.last_error}" if record.last_error else ""
    return f"The worker ended {record.attempts} times while it worked on the file.{last}"


class Finisher:
    """Stores results in the results bucket and publishes terminal messages."""

    def __init__(
        self,
        *,
        jobs: JobStore,
        ledger: Ledger,
        gpu: Breaker,
        results: Bucket,
        prefix: str,
        publisher: pubsub_v1.PublisherClient,
        topic: str,
        prices: PriceBook,
        deepgram_model: str,
    ) -> None:
        self._jobs = jobs
        self._ledger = ledger
        self._gpu = gpu
        self._results = results
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._publisher = publisher
        self._topic = topic
        self._deepgram_model = deepgram_model
        self._prices = prices

    def finish(
        self, record: JobRecord, result: JobResult, bill: Bill | None = None, execution: str | None = None
    ) -> TerminalMessage:
        """Store, decide, publish, close. Returns the outcome that stands, perhaps an earlier finisher's.

        `bill`: the whole job's, earlier attempts included; None: `record.spent`, where this attempt cost nothing.
        `execution`: the Cloud Run execution that did the work.
        """
        standing = self.decide(record, result, bill, execution)
        if self._jobs.is_open(standing.job_id):
            self.publish(standing)
        return standing

    def decide(
        self, record: JobRecord, result: JobResult, bill: Bill | None = None, execution: str | None = None
    ) -> TerminalMessage:
        """The first half of `finish`: store the results, then the outcome unless the job has one."""
        standing = self._jobs.outcome(record.upload.job_id)
        if standing is not None:
            return standing
        bill = record.spent if bill is None else bill
        return self._jobs.record_outcome(self._terminal_message(record, result, bill, execution))

    def publish(self, message: TerminalMessage) -> None:
        """Publish a decided outcome, enter its bill in the ledger and close its job.

        A repeated message has the same event_id.

        First the message: an error of the ledger must not hold an outcome back. Then the job stays open, and the
        reconciler does both again.
        """
        data = message.model_dump_json().encode()
        with tracing.span("publish", kind=SpanKind.PRODUCER, outcome=message.outcome.value):
            attributes: dict[str, Any] = {**message.attributes(), **tracing.carrier()}
            self._publisher.publish(self._topic, data, **attributes).result(timeout=PUBLISH_TIMEOUT_SECONDS)
        entry = billed(message)
        self._ledger.settle(entry)
        if message.execution and set(message.engines) - {Engine.DEEPGRAM}:
            self._gpu.record_success(message.job_id)
        self._jobs.close(message.job_id)
        ended = JobMetrics.of(message, entry.fallbacks)
        ended.count(message.bill)
        _log.info("job ended", extra={"fields": ended.fields()})

    def _terminal_message(
        self, record: JobRecord, result: JobResult, bill: Bill, execution: str | None
    ) -> TerminalMessage:
        upload, at = record.upload, now()
        started = record.started_at or record.received_at
        transcript, results = self._store_transcript(record, result.transcript)
        if transcript is not None:
            # An earlier finisher's transcript may have gaps that ours has not: the outcome is that of the stored one.
            result = completed(transcript, fallbacks=result.fallbacks)
        duration = transcript.duration if transcript else record.media.duration_seconds if record.media else None
        saving = self._saving(record, duration, bill) if transcript else None
        receipt = Receipt(
            job_id=upload.job_id,
            upload=upload,
            outcome=result.outcome,
            decision=record.decision,
            duration_seconds=duration,
            engines=transcript.engines if transcript else (),
            fallbacks=result.fallbacks,
            coverage=transcript.coverage if transcript else None,
            bill=bill,
            saving=saving,
            execution=execution,
        )
        results |= self._store(record, "receipt.json", "application/json", receipt.model_dump_json(indent=2).encode())
        return TerminalMessage(
            event_id=event_id(upload.job_id),
            job_id=upload.job_id,
            upload=upload,
            outcome=result.outcome,
            reason=result.reason,
            failure_kind=result.failure_kind,
            decision=record.decision,
            media=record.media,
            engines=receipt.engines,
            fallbacks=receipt.fallbacks,
            model=transcript.model if transcript else None,
            tracks=transcript.tracks if transcript else (),
            word_count=len(transcript.words) if transcript else 0,
            coverage=CoverageSummary.of(receipt.coverage) if receipt.coverage else None,
            results=results,
            bill=bill,
            saving=saving,
            execution=execution,
            received_at=record.received_at,
            finished_at=at,
            wait_seconds=max(0.0, (started - record.received_at).total_seconds()),
            work_seconds=max(0.0, (at - started).total_seconds()),
        )

    def _store_transcript(
        self, record: JobRecord, transcript: Transcript | None
    ) -> tuple[Transcript | None, dict[str, str]]:
        """Store every format; the transcript.json that was stored first speaks for all of them."""
        if transcript is None:
            return None, {}
        results: dict[str, str] = {}
        first, *others = render(transcript)
        stored = objects.create_once(self._results, self._name(record, first.name), first.data, first.content_type)
        results[first.name] = self._uri(record, first.name)
        if stored.data != first.data:
            transcript = Transcript.model_validate_json(stored.data)
            _, *others = render(transcript)
        for file in others:
            results |= self._store(record, file.name, file.content_type, file.data)
        return transcript, results

    def _store(self, record: JobRecord, name: str, content_type: str, data: bytes) -> dict[str, str]:
        objects.create_once(self._results, self._name(record, name), data, content_type)
        return {name: self._uri(record, name)}

    def _name(self, record: JobRecord, file: str) -> str:
        upload = record.upload
        folder = f"{self._prefix}{upload.name}/{upload.generation}/"
        if len(folder.encode()) + LONGEST_FILE_NAME_BYTES > MAX_OBJECT_NAME_BYTES:
            folder = f"{self._prefix}long-names/{upload.job_id}/"
        return folder + file

    def _uri(self, record: JobRecord, file: str) -> str:
        return f"gs://{self._results.name}/{self._name(record, file)}"

    def _saving(self, record: JobRecord, duration: float | None, bill: Bill) -> Saving | None:
        """Deepgram's price of the whole file, egress included, beside the bill; None where its length is unknown."""
        if duration is None:
            return None
        media = record.media
        streams = record.options.streams(media) if media else 1
        size_bytes = media.size_bytes if media else 0
        deepgram = deepgram_bill(self._deepgram_model, duration * streams, size_bytes, self._prices)
        return Saving(deepgram_model=self._deepgram_model, deepgram_usd=deepgram.usd, bill_usd=bill.usd)
