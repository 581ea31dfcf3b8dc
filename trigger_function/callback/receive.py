"""What a callback is taken for: nothing of it is read before its address is known to be ours, and a late, a repeated
or a broken one changes nothing.

Deepgram posts an answer again, 10 times 30 s apart, until it gets a status from 200 to 299
(https://developers.deepgram.com/docs/callback). So that is what it gets where nothing is left to do, and an error where
another time may help.

    status   what came
    200      an answer with which the job has ended now, or that it had failed; or one that nobody waits for any longer
    400      a body that is cut off, no JSON, or neither an answer nor a failure
    403      an address that is not ours, or another API key's call
    405      not a POST
    408      a body that took too long
    413      a body that is too large
    500      the answer could not be stored, or the job not be finished with it: Deepgram, and the reconciler, try again
    503      the job's record was changed by others again and again
"""

from __future__ import annotations

import hmac
import json
import logging
from dataclasses import dataclass
from http import HTTPStatus

import flask

from shared.clock import now
from shared.costs.bill import Bill
from shared.deepgram import PostedFailure, count_audio, posted_answer
from shared.enums import Channels
from shared.errors import EngineFailed, FailureKind, best_effort
from shared.state.jobs.record import CallbackCall, Job, JobState
from shared.telemetry import tracing
from shared.telemetry.logs import job_context
from trigger_function.callback.body import BodyRefused, leave_unread, read_body
from trigger_function.deepgram_call import SAVE_TRIES
from trigger_function.deepgram_finish import TooFewWords, deepgram_model, use_callback
from trigger_function.services import Services

_log = logging.getLogger(__name__)

KEY_HEADER = "dg-token"
"""Deepgram's: the identifier of the API key with which the call was made."""


@dataclass(frozen=True)
class Received:
    """What became of a callback."""

    status: HTTPStatus
    what: str
    """In a few words."""


_NOT_NEEDED = Received(HTTPStatus.OK, "not needed")


def receive(services: Services, request: flask.Request) -> Received:
    """Take a callback. Raises what the storage client and the publisher raise: then Deepgram is to post it again."""
    if request.method != "POST":
        return _refused(HTTPStatus.METHOD_NOT_ALLOWED)
    verified = services.callbacks.verified(request.args) if services.callbacks is not None else None
    if verified is None or not _is_our_keys(services, request):
        leave_unread(request)
        return _refused(HTTPStatus.FORBIDDEN)
    job_id, call_id = verified
    with job_context(job_id):
        job = services.jobs.load(job_id)
        call = _call(job, call_id)
        if job is None or call is None or services.jobs.outcome(job_id, job.record.run) is not None:
            _log.info("a callback is not needed")
            return _NOT_NEEDED
        settings = services.settings
        try:
            body = read_body(
                request,
                max_bytes=settings.deepgram_callback_max_bytes,
                seconds=settings.deepgram_callback_read_seconds,
            )
        except BodyRefused as refused:
            leave_unread(request)
            return _refused(refused.status)
        with tracing.continue_trace(job.record.traceparent):
            return _take(services, job, call, body)


def _take(services: Services, job: Job, call: CallbackCall, body: bytes) -> Received:
    media = job.record.media
    split = job.record.options.channels is Channels.SPLIT
    try:
        answer = posted_answer(json.loads(body), deepgram_model(services, job.record), split=split)
    except (ValueError, RecursionError, EngineFailed) as error:
        # Nothing is decided by what nobody can read: the next one may be whole.
        _log.warning("a callback cannot be read", exc_info=error)
        return _refused(HTTPStatus.BAD_REQUEST)
    if isinstance(answer, PostedFailure):
        return _note_failure(services, job.id, call.id, answer)
    if media is None:
        return _NOT_NEEDED
    count_audio(answer)
    try:
        use_callback(services, job.record, media, call, answer)
    except TooFewWords as error:
        # The answer is stored, and the reconciler asks a job: this process has no queue to put it on.
        _log.info("a job is to be asked for more words", extra={"fields": {"reason": error.reason}})
        _move_on(services, job.id, call.id)
        return Received(HTTPStatus.OK, "too few words")
    except Exception:
        # Also where Deepgram posts it no more. What could not be stored is waited for: Deepgram posts it again, and to
        # move the job on would be another call, or another engine.
        with best_effort("a job that a callback did not finish waits for its time to pass"):
            if services.answers.load(job.record) is not None:
                _move_on(services, job.id, call.id)
        raise
    return Received(HTTPStatus.OK, "finished")


def _note_failure(services: Services, job_id: str, call_id: str, failure: PostedFailure) -> Received:
    """Write down that the call has failed. The reconciler moves the job on: this process may do no more."""
    _log.warning("deepgram posted a failure", extra={"fields": {"reason": failure.reason}})
    for _ in range(SAVE_TRIES):
        job = services.jobs.load(job_id)
        call = _call(job, call_id)
        if job is None or call is None or call.failure is not None:
            return _NOT_NEEDED
        record = job.record
        kind = FailureKind.INTERNAL if failure.may_be_billed else FailureKind.REFUSED
        failed = call.model_copy(update={"failure": failure.reason, "failure_kind": kind})
        changes = {}
        if not failure.may_be_billed:
            failed = failed.model_copy(update={"price": Bill()})
            changes = {"spent": record.spent.replaced(call.price, Bill()), "deepgram_calls": record.deepgram_calls - 1}
        calls = tuple(failed if one.id == call_id else one for one in record.callbacks)
        lease = now() if _is_awaited(job, call) else record.lease_until
        if services.jobs.try_save(job, callbacks=calls, lease_until=lease, **changes):
            return Received(HTTPStatus.OK, "failed")
    return _refused(HTTPStatus.SERVICE_UNAVAILABLE)


def _move_on(services: Services, job_id: str, call_id: str) -> None:
    """Leave the job to the reconciler's next tick, unless another engine has it."""
    job = services.jobs.load(job_id)
    call = _call(job, call_id)
    if job is not None and call is not None and _is_awaited(job, call):
        services.jobs.try_save(job, lease_until=now())


def _is_awaited(job: Job, call: CallbackCall) -> bool:
    """Whether the job waits for this call, and no other engine has it."""
    return job.record.state is JobState.CLAIMED and job.record.callbacks[-1].id == call.id


def _call(job: Job | None, call_id: str) -> CallbackCall | None:
    calls = job.record.callbacks if job is not None else ()
    return next((one for one in calls if one.id == call_id), None)


def _is_our_keys(services: Services, request: flask.Request) -> bool:
    """Whether Deepgram says that the call was made with our API key, where that is known."""
    ours = services.settings.deepgram_api_key_id
    return ours is None or hmac.compare_digest(ours.encode(), request.headers.get(KEY_HEADER, "").encode())


def _refused(status: HTTPStatus) -> Received:
    _log.warning("a callback is refused", extra={"fields": {"status": int(status)}})
    return Received(status, status.phrase.lower())
