"""Finishing a job. Only this module stores results, records a job's outcome, and publishes it.

    step                                                    killed behind it
    1  results  transcript.json, then all its formats       the next finisher makes its files from this transcript.json
    2  state    jobs/<job>/outcome.json                     the reconciler, or the item's next worker, publishes it
    3  results  receipt.json                                the same
    4  Pub/Sub  the terminal message                        the same: it is sent again, with the same event_id
    5  state    health/gpu.json: the GPU works              the same
    6  state    jobs/<job>/parts/ is emptied, unless failed the same
    7  state    ledger/<month>/<day>/<job>: the bill; the   nothing is left to do
                same call deletes open/<job>.json

`Finisher.finish` takes all steps, `Finisher.publish` those behind the outcome. Steps 1 to 3 write only what is not
there yet, so a job may be finished twice, by several processes at once: the first transcript and outcome stand. A
transcript or receipt that is damaged is as good as none, and set aside; one that a newer release wrote stands.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from google.cloud import pubsub_v1
from opentelemetry.trace import SpanKind

from shared.clock import now
from shared.costs.bill import Bill, deepgram_bill
from shared.costs.prices import PriceBook
from shared.deepgram_request import DeepgramRequest, redacted_by_deepgram
from shared.enums import Engine
from shared.errors import best_effort
from shared.messages import CoverageSummary, Receipt, Saving, TerminalMessage, event_id
from shared.options.subtitle_rules import SubtitleOptions, SubtitleRules
from shared.progress.events import ProgressEvents
from shared.progress.model import progress_of_outcome
from shared.state.gpu_breaker import Breaker
from shared.state.job_metrics import JobMetrics
from shared.state.job_result import JobResult, completed, keeps_parts
from shared.state.jobs.first_transcript import FirstTranscript
from shared.state.jobs.object_names import marker_name
from shared.state.jobs.record import JobRecord
from shared.state.jobs.shards import close_shards
from shared.state.jobs.store import JobStore
from shared.state.ledger import Ledger
from shared.state.ledger_entry import billed
from shared.state.result_files import ResultFiles
from shared.telemetry import tracing
from shared.transcript.model import Transcript
from shared.transcript.quality import covered_share

_log = logging.getLogger(__name__)

PUBLISH_TIMEOUT_SECONDS = 60.0
"""The publisher retries inside this time; past it the job stays open and the reconciler publishes."""


class Finisher:
    """Ends jobs of one deployment. Used from any thread."""

    def __init__(
        self,
        *,
        jobs: JobStore,
        ledger: Ledger,
        gpu: Breaker,
        files: ResultFiles,
        publisher: pubsub_v1.PublisherClient,
        topic: str,
        prices: PriceBook,
        deepgram_model: str,
        language: str,
        subtitles: SubtitleOptions | None = None,
        events: ProgressEvents | None = None,
        unredacted: ResultFiles | None = None,
    ) -> None:
        """`language`: LANGUAGE. `subtitles`: what the deployment wants of them, where an upload does not say. `events`:
        where progress is published. `unredacted`: where transcripts are stored as they were before redaction; None:
        nowhere."""
        self._jobs = jobs
        self._ledger = ledger
        self._gpu = gpu
        self._files = files
        self._publisher = publisher
        self._topic = topic
        self._prices = prices
        self._deepgram_model = deepgram_model
        self._language = language
        self._subtitles = subtitles
        self._events = events
        self._unredacted = unredacted

    def finish(
        self,
        record: JobRecord,
        result: JobResult,
        bill: Bill | None = None,
        execution: str | None = None,
        *,
        may_have_ended: bool = True,
        has_parts: Callable[[], bool] = lambda: True,
        replaces: int | None = None,
    ) -> TerminalMessage:
        """End a job. Returns the outcome that stands, perhaps an earlier finisher's.

        `bill`: of all attempts at the whole upload; None: `record.spent`, where this one cost nothing. What its shards
        cost is added here, and no worker goes on with them.
        `execution`: the Cloud Run execution that did the work. `may_have_ended`: whether somebody else may have ended
        the job; where he did all the same, his outcome stands, only that results were stored for nothing. `has_parts`:
        whether attempts may have left something for the next one; asked behind the outcome. `replaces`: the generation
        of an outcome that cannot be read, in whose place this one is stored; then StateConflict is raised where another
        process was faster.
        """
        transcript = message = None
        is_looked_for = may_have_ended and replaces is None
        outcome = self._jobs.outcome(record.upload.job_id, record.run) if is_looked_for else None
        if outcome is None:
            results: dict[str, str] = {}
            if result.transcript is None and record.started_at is not None:
                # Nobody gives up an upload whose transcript an earlier finisher stored before it was killed.
                result = self.stored_result(record) or result
            first = self._jobs.first_transcript(record) if record.may_have_first_transcript else None
            if first is not None:
                result = _better(first, result)
            if result.transcript is not None:
                rules = SubtitleRules.of(result.transcript.language, self._subtitles, record.options.subtitles)
                if result.unredacted is not None and self._unredacted is not None:
                    # Before step 1: whoever finds a stored transcript ends the job with it, and knows no other.
                    self._unredacted.store_transcript_alone(record.upload, result.unredacted, record.run)
                stored = self._files.store_transcript(record.upload, result.transcript, rules, record.run)
                transcript, results = stored  # step 1
                # An earlier finisher's transcript may have gaps that ours has not: the outcome is the stored one's.
                result = completed(transcript, fallbacks=result.fallbacks)
            bill = record.spent if bill is None else bill
            if record.lease_until <= now():
                bill = self._with_others_costs(record, bill)
            if first is not None:
                bill = first.priced(bill)
            if record.shards:
                bill = close_shards(self._jobs, record) + bill
            message = self._message(record, result, bill, execution, results)
            outcome = self._jobs.record_outcome(message, replaces)  # step 2
        # With our own outcome nobody can have closed the job before.
        if outcome == message or self._jobs.markers.is_open(outcome.job_id, outcome.run):
            self._publish(outcome, transcript, has_parts, is_again=False)
        else:
            self._delete_parts(outcome)  # what this attempt left behind the last step of another's
        return outcome

    def _with_others_costs(self, record: JobRecord, bill: Bill) -> Bill:
        """The bill with what the record has by now: the claim ran out, and another process may have had the job since
        (this one was frozen, say)."""
        newest = self._jobs.load(record.upload.job_id)
        if newest is None or newest.record.run != record.run:
            return bill
        return newest.record.spent.replaced(record.spent, bill)

    def store_recording(self, record: JobRecord, name: str, path: Path, content_type: str) -> None:
        """Store a recording that was made of the upload, before the transcript that names it."""
        self._files.store_recording(record.upload, name, path, content_type, record.run)

    def stored_result(self, record: JobRecord) -> JobResult | None:
        """Step 1 as an earlier finisher took it, if it did: words that need not be transcribed again. Raises
        NewerVersion."""
        transcript = self._files.stored_transcript(record.upload, record.run)
        return None if transcript is None else completed(transcript)

    def stored_receipt(self, record: JobRecord) -> Receipt | None:
        """Step 3 as an earlier finisher took it, if it did. Raises NewerVersion."""
        return self._files.stored_receipt(record.upload, record.run)

    def set_receipt_aside(self, record: JobRecord) -> None:
        """Have the next finisher take step 3 anew."""
        self._files.set_receipt_aside(record.upload, record.run)

    def publish(self, outcome: TerminalMessage) -> None:
        """Publish an outcome whose finisher died before the job was closed."""
        self._publish(outcome, None, lambda: True, is_again=True)

    def _publish(
        self, outcome: TerminalMessage, transcript: Transcript | None, has_parts: Callable[[], bool], *, is_again: bool
    ) -> None:
        """`transcript`: as it is stored; None where there is none, or it must be read. `is_again`: somebody else may
        have done all of it but the last step."""
        if outcome.coverage is not None and transcript is None:
            transcript = self._files.stored_transcript(outcome.upload, outcome.run)
        self._files.store_receipt(_receipt(outcome, transcript))  # step 3
        self._send(outcome)  # step 4
        if self._events is not None:
            self._events.publish(lambda: progress_of_outcome(outcome))
        if _gpu_worked(outcome):
            self._gpu.record_success(outcome.job_id)  # step 5
        if has_parts() or outcome.run > 1:  # a run before may have failed with another model
            self._delete_parts(outcome)  # step 6
        # Behind the message: an error of the ledger must not hold an outcome back (docs/decisions/032).
        entry = billed(outcome)
        self._ledger.book(entry, closes=marker_name(outcome.job_id, outcome.run))  # step 7
        if is_again:
            # Were the marker to outlive its call, each tick would publish once more.
            self._jobs.markers.close(outcome.job_id, outcome.run)
        metrics = JobMetrics.of(outcome, entry.fallbacks)
        metrics.count(outcome.bill)
        _log.info("job ended", extra={"fields": metrics.fields()})

    def _delete_parts(self, outcome: TerminalMessage) -> None:
        # Without a bill no attempt can have left anything; what a failed one left is not paid again by a re-run.
        if keeps_parts(outcome) or not (outcome.bill.items or outcome.run > 1):
            return
        with best_effort("what unfinished attempts left was not deleted"):  # it goes with the bucket's lifecycle
            self._jobs.delete_parts(outcome.job_id, outcome.run)

    def _send(self, outcome: TerminalMessage) -> None:
        with tracing.span("publish", kind=SpanKind.PRODUCER, outcome=outcome.outcome.value):
            attributes: dict[str, Any] = {**outcome.attributes(), **tracing.carrier()}
            data = outcome.model_dump_json().encode()
            self._publisher.publish(self._topic, data, **attributes).result(timeout=PUBLISH_TIMEOUT_SECONDS)

    def _message(
        self, record: JobRecord, result: JobResult, bill: Bill, execution: str | None, results: dict[str, str]
    ) -> TerminalMessage:
        """`results`: addresses of the transcript's files."""
        upload, transcript, at = record.upload, result.transcript, now()
        started = record.started_at or record.received_at
        return TerminalMessage(
            event_id=event_id(upload.job_id, record.run),
            job_id=upload.job_id,
            run=record.run,
            upload=upload,
            outcome=result.outcome,
            reason=result.reason,
            failure_kind=result.failure_kind,
            decision=record.decision,
            media=record.media,
            engines=transcript.engines if transcript else (),
            fallbacks=result.fallbacks,
            model=transcript.model if transcript else None,
            languages=transcript.languages if transcript else (),
            tracks=transcript.tracks if transcript else (),
            warnings=transcript.warnings if transcript else (),
            redact=tuple(kind.value for kind in record.options.redaction.kinds),
            word_count=len(transcript.words) if transcript else 0,
            coverage=CoverageSummary.of(transcript.coverage) if transcript else None,
            results={**results, **self._files.receipt_address(upload, record.run)},
            bill=bill,
            earlier_usd=record.earlier_usd,
            saving=self._saving(record, transcript, bill) if transcript else None,
            execution=execution,
            received_at=record.received_at,
            finished_at=at,
            wait_seconds=max(0.0, (started - record.received_at).total_seconds()),
            work_seconds=max(0.0, (at - started).total_seconds()),
        )

    def _saving(self, record: JobRecord, transcript: Transcript, bill: Bill) -> Saving:
        """Deepgram's price of the whole file, egress included, beside the bill."""
        media = record.media
        streams = record.options.streams(media) if media else 1
        size_bytes = media.size_bytes if media else 0
        options = record.options
        deepgram = deepgram_bill(
            self._deepgram_model,
            transcript.duration * streams,
            size_bytes,
            self._prices,
            speakers=options.tells_speakers_apart,
            keyterms=bool(options.keyterms),
            redaction=bool(redacted_by_deepgram(options)),
            multilingual=DeepgramRequest.of_upload(options, self._language).is_multilingual(self._deepgram_model),
        )
        return Saving(deepgram_model=self._deepgram_model, deepgram_usd=deepgram.usd, bill_usd=bill.usd)


def _better(first: FirstTranscript, result: JobResult) -> JobResult:
    """The result, or the transcript of an engine before, where that has more of what is said."""
    if result.transcript is not None and covered_share(result.transcript) >= covered_share(first.transcript):
        return result
    return replace(completed(first.transcript), unredacted=first.unredacted)


def _receipt(outcome: TerminalMessage, transcript: Transcript | None) -> Receipt:
    """What an outcome cost and saved. Every finisher makes the same one of it."""
    header_seconds = outcome.media.duration_seconds if outcome.media else None
    return Receipt(
        job_id=outcome.job_id,
        run=outcome.run,
        upload=outcome.upload,
        outcome=outcome.outcome,
        decision=outcome.decision,
        duration_seconds=transcript.duration if transcript else header_seconds,
        engines=outcome.engines,
        fallbacks=outcome.fallbacks,
        coverage=transcript.coverage if transcript else outcome.coverage,
        bill=outcome.bill,
        earlier_usd=outcome.earlier_usd,
        saving=outcome.saving,
        execution=outcome.execution,
    )


def _gpu_worked(outcome: TerminalMessage) -> bool:
    """Whether an execution of the job transcribed something of the upload itself."""
    return outcome.execution is not None and bool(set(outcome.engines) - {Engine.DEEPGRAM})
