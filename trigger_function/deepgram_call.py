"""The function's own calls to Deepgram: on the record with their price before they are made, so that no kill loses it.

    killed                                   what the next attempt does
    before the record has the call           calls Deepgram
    behind that, before the answer is stored calls Deepgram again; the lost call stays on the bill, as possibly billed
    behind the answer                        finishes with it, without a call
    behind the outcome                       publishes it

Where no answer comes within DEEPGRAM_TIMEOUT_SECONDS another engine takes over. An answer that comes within
DEEPGRAM_LATE_SECONDS more is used all the same where no outcome stands by then.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from google.auth.exceptions import GoogleAuthError
from opentelemetry.trace import SpanKind

from shared.clock import now
from shared.costs.bill import Bill, deepgram_bill
from shared.costs.speeds import deepgram_figures
from shared.deepgram import Deepgram, DeepgramResult, answer_in_time
from shared.enums import Channels
from shared.errors import EngineFailed, FailureKind
from shared.media import Media
from shared.state.job_result import completed
from shared.state.jobs import Job, JobRecord
from shared.telemetry import tracing
from shared.transcript.compose import compose
from shared.transcript.model import missing_end, with_gap
from trigger_function.decide_and_reserve import reserve_fallback
from trigger_function.deepgram_answers import StoredAnswer
from trigger_function.services import Services
from trigger_function.signed_url import signed_url

_log = logging.getLogger(__name__)

SAVE_TRIES = 3
"""Writes of a record against a worker's heartbeat."""


@dataclass(frozen=True)
class _Call:
    """A call that is made or was."""

    record: JobRecord
    """As it was at the call."""
    media: Media
    price: Bill
    """The call's lines in `record.spent`, possibly billed; lines of the answer take their place."""
    began: float
    """On the monotonic clock."""

    @property
    def job_id(self) -> str:
        return self.record.upload.job_id


def transcribe_with_deepgram(services: Services, job: Job, media: Media) -> None:
    """Call Deepgram, and finish the job with its answer. Raises EngineFailed, also where the answer is late."""
    settings = services.settings
    if job.record.started_at is not None and _finished_with_what_is_stored(services, job.record):
        return
    if job.record.deepgram_calls >= settings.max_attempts:
        # Each of them may be billed.
        reason = f"Deepgram was called {job.record.deepgram_calls} times for the file, and no answer was stored."
        raise EngineFailed(reason, FailureKind.TIMEOUT)
    if job.record.spent.usd > 0 and not reserve_fallback(services, job.record):
        # The attempt that was killed may be billed: to call once more may be too much.
        raise EngineFailed("Another call to Deepgram would cost more than is allowed or left.", FailureKind.QUOTA)
    model = _model(services, job.record)
    engine = Deepgram(settings, model)
    try:
        url = signed_url(services.storage, job.record.upload, timedelta(seconds=settings.signed_url_seconds))
    except GoogleAuthError as error:
        # A missing role on the service account: waiting for it would cost the upload a day.
        raise EngineFailed("The file's address could not be signed for Deepgram.", FailureKind.CREDENTIALS) from error
    price = _price(services, model, media.duration_seconds * job.record.options.streams(media), media, possibly=True)
    job = services.jobs.save(
        job, started_at=now(), deepgram_calls=job.record.deepgram_calls + 1, spent=job.record.spent + price
    )
    call = _Call(job.record, media, price, time.monotonic())
    split = job.record.options.channels is Channels.SPLIT
    with tracing.span("deepgram", kind=SpanKind.CLIENT, model=model) as span:
        answer = engine.begin(url, settings.language, split=split)
        try:
            in_time = answer_in_time(answer, settings.deepgram_timeout_seconds)
        except EngineFailed as error:
            if not error.may_be_billed:
                _take_back(services, call)
            elif not answer.done():
                use, failed = partial(_finish_late, services, call), partial(_failed_late, services, call)
                services.late_answers.expect(answer, use=use, failed=failed)
            raise
        tracing.set_attributes(span, duration_seconds=in_time.duration_seconds, channels=in_time.channels)
    _take(services, _with_claim_kept(services, job).record, call, in_time)


def _with_claim_kept(services: Services, job: Job) -> Job:
    """A claim of which little is left is prolonged before the job is finished.

    Raises StateConflict where it ran out and another process took it: that one may have called Deepgram by now, which
    our record does not have. It finishes the job, with both calls on the bill.
    """
    lease = timedelta(seconds=services.settings.claim_seconds)
    is_safe = job.record.lease_until - now() > lease / 2
    return job if is_safe else services.jobs.save(job, lease_until=now() + lease)


def finished_with_stored_answer(services: Services, record: JobRecord) -> bool:
    """Whether an earlier attempt left Deepgram's answer, with which the job is finished now."""
    answer = services.answers.load(record)
    if answer is None or record.media is None:
        return False
    _finish(services, record, record.media, answer)
    return True


def _finished_with_what_is_stored(services: Services, record: JobRecord) -> bool:
    """The same, or a transcript, which a worker may have stored."""
    if finished_with_stored_answer(services, record):
        return True
    stored = services.finisher.stored_result(record)
    if stored is not None:
        services.finisher.finish(record, stored)
    return stored is not None


def _finish_late(services: Services, call: _Call, answer: DeepgramResult) -> None:
    """Use an answer that came while another engine had the job, unless that one has ended it."""
    job = services.jobs.load(call.job_id)
    if job is None or services.jobs.outcome(job.id, call.record.run) is not None:
        _log.info("a late answer is not needed")
        return
    _log.info("a late answer is used")
    decision = call.record.decision
    if decision is not None:
        decision = decision.model_copy(update={"reason": f"{decision.reason} Its answer came late."})
    _take(services, job.record.model_copy(update={"decision": decision}), call, answer)


def _failed_late(services: Services, call: _Call, error: EngineFailed) -> None:
    _log.info("no late answer", extra={"fields": {"reason": error.reason}})
    if not error.may_be_billed:
        _take_back(services, call)


def _take(services: Services, record: JobRecord, call: _Call, answer: DeepgramResult) -> None:
    """`record`: the newest, with what the job cost until now."""
    took = time.monotonic() - call.began
    stored = StoredAnswer(result=answer, price=call.price, run=record.run)
    services.answers.store(record, stored)
    _finish(services, record, call.media, stored)
    # The transcript is published before the speeds are updated.
    services.speeds.observe(deepgram_figures(_billed_seconds(answer, call.media), took))


def _finish(services: Services, record: JobRecord, media: Media, stored: StoredAnswer) -> None:
    upload, answer = record.upload, stored.result
    duration = answer.duration_seconds or media.duration_seconds
    transcript = compose(
        job_id=upload.job_id,
        source=upload.uri,
        duration=duration,
        language=services.settings.language,
        model=answer.model,
        passages=[answer.passage],
        channels=answer.channels,
        tracks=media.transcript_tracks(),
        low_confidence=services.settings.low_confidence,
    )
    if (missing := missing_end(media, duration)) is not None:
        transcript = with_gap(transcript, missing)
    bill = record.spent
    if stored.run == record.run:  # else it is on the bill of the run that called
        price = _price(services, _model(services, record), _billed_seconds(answer, media), media)
        bill = bill.replaced(stored.price, price)
    services.finisher.finish(record, completed(transcript), bill)


def _billed_seconds(answer: DeepgramResult, media: Media) -> float:
    """Deepgram bills what it decoded, which can differ from what the header promised; each channel counts."""
    return (answer.duration_seconds or media.duration_seconds) * answer.channels


def _take_back(services: Services, call: _Call) -> None:
    """A call failed before Deepgram can have billed it."""
    for _ in range(SAVE_TRIES):
        job = services.jobs.load(call.job_id)
        if job is None or job.record.run != call.record.run:
            return
        if services.jobs.try_save(
            job, deepgram_calls=job.record.deepgram_calls - 1, spent=job.record.spent.replaced(call.price, Bill())
        ):
            return


def _model(services: Services, record: JobRecord) -> str:
    """Of Deepgram: the one that a re-run was asked for, or the deployment's."""
    asked = record.requested.deepgram_model if record.requested else None
    return asked or services.settings.deepgram_model


def _price(services: Services, model: str, audio_seconds: float, media: Media, *, possibly: bool = False) -> Bill:
    """`audio_seconds`: the sum of all channels that are transcribed separately."""
    return deepgram_bill(model, audio_seconds, media.size_bytes, services.prices, possibly=possibly)
