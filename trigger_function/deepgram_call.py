"""The function's own calls to Deepgram: on the record with their price before they are made, so that no kill loses it.

    killed                                   what the next attempt does
    before the record has the call           calls Deepgram
    behind that, before the answer is stored calls Deepgram again; the lost call stays on the bill, as possibly billed
    behind the answer                        finishes with it, without a call
    behind the outcome                       publishes it

Where no answer comes within DEEPGRAM_TIMEOUT_SECONDS another engine takes over. An answer that comes within
DEEPGRAM_LATE_SECONDS more is used all the same where no outcome stands by then.

Audio longer than DEEPGRAM_CALLBACK_MINUTES is not waited for, where the deployment takes callbacks: Deepgram posts the
answer (`callback/`). Until then the job's lease is the call's, and when it ends the reconciler moves the job on:

    Deepgram took the call                 by the audio's length; then another engine, or, without one, another call
    killed before the record says so       CLAIM_SECONDS; then another call
    Deepgram says that it failed           at once: another engine
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
from shared.costs.bill import Bill
from shared.costs.speeds import deepgram_figures
from shared.deepgram import Deepgram, DeepgramResult, answer_in_time
from shared.deepgram_request import DeepgramRequest
from shared.errors import EngineFailed, FailureKind, StateConflict, best_effort
from shared.media import Media
from shared.state.job_result import keeps_parts
from shared.state.jobs.record import CallbackCall, Job, JobRecord, JobState
from shared.telemetry import tracing
from trigger_function.decide_and_reserve import reserve_fallback
from trigger_function.deepgram.answers import StoredAnswer
from trigger_function.deepgram.callback_address import new_call_id
from trigger_function.deepgram_finish import (
    LATE,
    TooFewWords,
    billed_seconds,
    deepgram_model,
    deepgram_price,
    finish_with,
    finished_with_stored_answer,
)
from trigger_function.services import Services
from trigger_function.signed_urls import signed_url

_log = logging.getLogger(__name__)

SAVE_TRIES = 3
"""Writes of a record against a worker's heartbeat."""

ANSWER_BYTES_PER_SECOND = 500
"""Of audio: 200 words a minute at 150 bytes of JSON each."""

WAIT_MARGIN = 4.0
"""Of the time that Deepgram is predicted to take, before it counts as lost."""


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
    callback: CallbackCall | None = None
    """Where the answer comes by callback."""

    @property
    def job_id(self) -> str:
        return self.record.upload.job_id


@dataclass(frozen=True)
class _Answered:
    """An answer that is stored."""

    stored: StoredAnswer
    seconds: float
    """From the call to the answer."""


def transcribe_with_deepgram(services: Services, job: Job, media: Media) -> None:
    """Call Deepgram, and finish the job with its answer, or leave that to the callback which brings it.

    Raises EngineFailed, also where the answer is late, or an earlier call's callback never came.
    """
    settings = services.settings
    if job.record.started_at is not None and _finished_with_what_is_stored(services, job.record):
        return
    _check_last_callback(services, job.record)
    if job.record.deepgram_calls >= settings.max_attempts:
        # Each of them may be billed.
        reason = f"Deepgram was called {job.record.deepgram_calls} times for the file, and no answer was stored."
        raise EngineFailed(reason, FailureKind.TIMEOUT)
    if job.record.spent.usd > 0 and not reserve_fallback(services, job.record):
        # The attempt that was killed may be billed: to call once more may be too much.
        raise EngineFailed("Another call to Deepgram would cost more than is allowed or left.", FailureKind.QUOTA)
    model = deepgram_model(services, job.record)
    engine = Deepgram(settings, model)
    try:
        url = signed_url(services.storage, job.record.upload, timedelta(seconds=settings.signed_url_seconds))
    except GoogleAuthError as error:
        # A missing role on the service account: waiting for it would cost the upload a day.
        raise EngineFailed("The file's address could not be signed for Deepgram.", FailureKind.CREDENTIALS) from error
    audio_seconds = media.duration_seconds * job.record.options.streams(media)
    price = deepgram_price(services, model, audio_seconds, job.record, media, possibly=True)
    callback = _callback(services, job.record, price, audio_seconds)
    job = services.jobs.save(
        job,
        started_at=now(),
        deepgram_calls=job.record.deepgram_calls + 1,
        spent=job.record.spent + price,
        callbacks=(*job.record.callbacks, *((callback,) if callback else ())),
    )
    call = _Call(job.record, media, price, time.monotonic(), callback)
    request = DeepgramRequest.of_upload(job.record.options, settings.language)
    if callback is not None:
        _have_answer_posted(services, engine, job, call, callback, url, request)
        return
    with tracing.span("deepgram", kind=SpanKind.CLIENT, model=model) as span:
        answer = engine.begin(url, request)
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
    # Before the claim is looked at: whoever has the job by now finds the answer, and need not call again.
    answered = _keep(services, job.record, call, in_time)
    try:
        job = _with_claim_kept(services, job)
    except StateConflict:
        _forget_what_ended(services, job.record)
        raise
    _use(services, job.record, call, answered)


def _with_claim_kept(services: Services, job: Job) -> Job:
    """A claim of which little is left is prolonged before the job is finished.

    Raises StateConflict where it ran out and another process took it: that one may have called Deepgram by now, which
    our record does not have. It finishes the job, with both calls on the bill.
    """
    lease = timedelta(seconds=services.settings.claim_seconds)
    is_safe = job.record.lease_until - now() > lease / 2
    return job if is_safe else services.jobs.save(job, lease_until=now() + lease)


def _forget_what_ended(services: Services, record: JobRecord) -> None:
    """Delete an answer that was stored behind the last step of whoever has ended the job: nobody else would."""
    outcome = services.jobs.outcome(record.upload.job_id, record.run)
    if outcome is not None and not keeps_parts(outcome):
        services.jobs.delete_parts(outcome.job_id, outcome.run)


def _callback(services: Services, record: JobRecord, price: Bill, audio_seconds: float) -> CallbackCall | None:
    """The call as one whose answer is posted; None where it is waited for."""
    settings = services.settings
    fits = audio_seconds * ANSWER_BYTES_PER_SECOND <= settings.deepgram_callback_max_bytes
    is_long = audio_seconds > settings.deepgram_callback_minutes * 60
    if services.callbacks is None or services.callbacks.url is None or not (is_long and fits) or not record.decision:
        return None
    return CallbackCall(id=new_call_id(), called_at=now(), price=price, decision=record.decision)


def _have_answer_posted(
    services: Services,
    engine: Deepgram,
    job: Job,
    call: _Call,
    callback: CallbackCall,
    url: str,
    request: DeepgramRequest,
) -> None:
    """Make a call whose answer is posted. Raises EngineFailed where Deepgram does not take it."""
    assert services.callbacks is not None
    address = services.callbacks.address(job.id, callback.id)
    with tracing.span("deepgram", kind=SpanKind.CLIENT, model=engine.model, callback=True):
        try:
            request_id = engine.call_back(url, request, callback=address)
        except EngineFailed as error:
            if not error.may_be_billed:
                _take_back(services, call)
            elif not _has_other_engine(services):
                # Deepgram may have taken it. The reconciler calls again where no answer is posted in time.
                _log.warning("nobody knows whether deepgram took a call", extra={"fields": {"reason": error.reason}})
                return
            raise
    lease = now() + timedelta(seconds=_longest_wait(services, call))
    taken = callback.model_copy(update={"request_id": request_id})
    _log.info("deepgram posts its answer", extra={"fields": {"request_id": request_id, "until": lease}})
    # Without this write the call counts as one that may not have been made.
    with best_effort("a call that deepgram took was not written down"):
        services.jobs.try_save(job, lease_until=lease, callbacks=(*job.record.callbacks[:-1], taken))


def _longest_wait(services: Services, call: _Call) -> float:
    """Seconds after which a posted answer is not waited for any longer."""
    settings = services.settings
    speeds = services.speeds.speeds(settings.initial_speeds(settings.shape.gpu))
    predicted = call.media.duration_seconds * call.record.options.streams(call.media) / speeds.deepgram_x_real_time
    return settings.deepgram_callback_seconds + WAIT_MARGIN * predicted


def _check_last_callback(services: Services, record: JobRecord) -> None:
    """Raises EngineFailed where what was decided is to call Deepgram, it was called, and its answer will not come."""
    last = record.callbacks[-1] if record.callbacks else None
    if last is None or last.decision != record.decision:
        return
    if last.failure is not None:
        raise EngineFailed(last.failure, last.failure_kind, may_be_billed=last.price.usd > 0)
    if last.request_id is not None and _has_other_engine(services):
        minutes = (now() - last.called_at).total_seconds() / 60
        raise EngineFailed(
            f"Deepgram posted no answer within {minutes:.0f} min.", FailureKind.TIMEOUT, may_be_billed=True
        )


def _has_other_engine(services: Services) -> bool:
    engines = services.router.engines
    return engines.fallback and (engines.gpu or engines.cpu)


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
    decision, record = call.record.decision, job.record
    if decision is not None:
        decision = decision.model_copy(update={"reason": f"{decision.reason} {LATE}"})
    if record.media is None:
        # It was made anew, and says nothing of the upload or of what is asked for it.
        record = record.model_copy(update={"media": call.media, "options": call.record.options})
    try:
        _take(services, record.model_copy(update={"decision": decision}), call, answer)
    except TooFewWords as error:
        # It is kept, and the finisher takes the better one.
        _log.info("a late answer has too few words", extra={"fields": {"reason": error.reason}})
        if job.record.state is JobState.QUEUED:
            services.jobs.try_save(job, has_first_transcript=True, spent=error.bill)


def _failed_late(services: Services, call: _Call, error: EngineFailed) -> None:
    _log.info("no late answer", extra={"fields": {"reason": error.reason}})
    if not error.may_be_billed:
        _take_back(services, call)


def _take(services: Services, record: JobRecord, call: _Call, answer: DeepgramResult) -> None:
    """`record`: the newest, with what the job cost until now."""
    _use(services, record, call, _keep(services, record, call, answer))


def _keep(services: Services, record: JobRecord, call: _Call, answer: DeepgramResult) -> _Answered:
    stored = StoredAnswer(result=answer, price=call.price, run=record.run)
    services.answers.store(record, stored)
    return _Answered(stored, time.monotonic() - call.began)


def _use(services: Services, record: JobRecord, call: _Call, answered: _Answered) -> None:
    """`record`: as of `_take`."""
    finish_with(services, record, call.media, answered.stored)
    # The transcript is published before the speeds are updated.
    heard_seconds = billed_seconds(answered.stored.result, call.media)
    services.speeds.observe(deepgram_figures(heard_seconds, answered.seconds))


def _take_back(services: Services, call: _Call) -> None:
    """A call failed before Deepgram can have billed it."""
    for _ in range(SAVE_TRIES):
        job = services.jobs.load(call.job_id)
        if job is None or job.record.run != call.record.run:
            return
        if services.jobs.try_save(
            job,
            deepgram_calls=job.record.deepgram_calls - 1,
            spent=job.record.spent.answered(call.price, Bill()),
            callbacks=tuple(one for one in job.record.callbacks if call.callback is None or one.id != call.callback.id),
        ):
            return
