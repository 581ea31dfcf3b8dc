"""What a callback is taken for: nothing of it is read before its address is known to be ours, and a late, a repeated
or a broken one changes nothing.

Deepgram posts an answer again, 10 times 30 s apart, until it gets a status from 200 to 299
(https://developers.deepgram.com/docs/callback). So that is what it gets where nothing is left to do, and an error where
another time may help.

    status   what came
    200      an answer with which the job has ended now, or that it had failed; one that is kept for a job whose record
             was damaged; or one that nobody waits for any longer
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
from pydantic import ValidationError

from shared import objects
from shared.clock import now
from shared.costs.bill import Bill
from shared.deepgram import PostedFailure, count_audio, posted_answer
from shared.enums import Channels
from shared.errors import EngineFailed, FailureKind, best_effort
from shared.state.jobs.object_names import record_name
from shared.state.jobs.rebuilt_record import half_record
from shared.state.jobs.record import CallbackCall, Job, JobRecord, JobState
from shared.telemetry import tracing
from shared.telemetry.logs import job_context
from trigger_function.callback.body import BodyRefused, leave_unread, read_body
from trigger_function.deepgram_call import SAVE_TRIES
from trigger_function.deepgram_finish import TooFewWords, deepgram_model, keep_callback, use_callback
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
_KEPT = Received(HTTPStatus.OK, "kept")


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
        job, record = _job(services, job_id)
        call = _call(record, call_id)
        if record is None or call is None or services.jobs.outcome(job_id, record.run) is not None:
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
        with tracing.continue_trace(record.traceparent):
            return _take(services, record, call, body, is_readable=job is not None)


def _job(services: Services, job_id: str) -> tuple[Job | None, JobRecord | None]:
    """A job, and its record; of one that cannot be read what there is of it. Raises ValidationError where that says
    nothing of calls: another time there is a record again, or what is stored is used without an answer."""
    try:
        job = services.jobs.load(job_id)
    except ValidationError:
        stored = objects.read(services.state, record_name(job_id))
        record = None if stored is None else half_record(stored.data, job_id)
        if record is None or not record.callbacks:
            raise
        return None, record
    return job, None if job is None else job.record


def _take(services: Services, record: JobRecord, call: CallbackCall, body: bytes, *, is_readable: bool) -> Received:
    job_id, media = record.upload.job_id, record.media
    split = record.options.channels is Channels.SPLIT
    try:
        answer = posted_answer(json.loads(body), deepgram_model(services, record), split=split)
    except (ValueError, RecursionError, EngineFailed) as error:
        # Nothing is decided by what nobody can read: the next one may be whole.
        _log.warning("a callback cannot be read", exc_info=error)
        return _refused(HTTPStatus.BAD_REQUEST)
    if isinstance(answer, PostedFailure):
        return _note_failure(services, job_id, call.id, answer)
    count_audio(answer)
    if media is None or not is_readable:
        # The record was made anew, or will be. Whoever finds out again what the upload is finds the answer, too.
        keep_callback(services, record, call, answer)
        if is_readable:
            _move_on(services, job_id, call.id)
        return _KEPT
    try:
        use_callback(services, record, media, call, answer)
    except TooFewWords as error:
        # The answer is stored, and the reconciler asks a job: this process has no queue to put it on.
        _log.info("a job is to be asked for more words", extra={"fields": {"reason": error.reason}})
        _move_on(services, job_id, call.id)
        return Received(HTTPStatus.OK, "too few words")
    except Exception:
        # Also where Deepgram posts it no more. What could not be stored is waited for: Deepgram posts it again, and to
        # move the job on would be another call, or another engine.
        with best_effort("a job that a callback did not finish waits for its time to pass"):
            if services.answers.load(record) is not None:
                _move_on(services, job_id, call.id)
        raise
    return Received(HTTPStatus.OK, "finished")


def _note_failure(services: Services, job_id: str, call_id: str, failure: PostedFailure) -> Received:
    """Write down that the call has failed. The reconciler moves the job on: this process may do no more."""
    _log.warning("deepgram posted a failure", extra={"fields": {"reason": failure.reason}})
    for _ in range(SAVE_TRIES):
        job = services.jobs.load(job_id)
        call = _call(job.record if job is not None else None, call_id)
        if job is None or call is None or call.failure is not None:
            return _NOT_NEEDED
        record = job.record
        kind = FailureKind.INTERNAL if failure.may_be_billed else FailureKind.REFUSED
        failed = call.model_copy(update={"failure": failure.reason, "failure_kind": kind})
        changes = {}
        if not failure.may_be_billed:
            failed = failed.model_copy(update={"price": Bill()})
            changes = {"spent": record.spent.answered(call.price, Bill()), "deepgram_calls": record.deepgram_calls - 1}
        calls = tuple(failed if one.id == call_id else one for one in record.callbacks)
        lease = now() if _is_awaited(job, call) else record.lease_until
        if services.jobs.try_save(job, callbacks=calls, lease_until=lease, **changes):
            return Received(HTTPStatus.OK, "failed")
    return _refused(HTTPStatus.SERVICE_UNAVAILABLE)


def _move_on(services: Services, job_id: str, call_id: str) -> None:
    """Leave the job to the reconciler's next tick, unless another engine has it."""
    job = services.jobs.load(job_id)
    call = _call(job.record if job is not None else None, call_id)
    if job is not None and call is not None and _is_awaited(job, call):
        services.jobs.try_save(job, lease_until=now())


def _is_awaited(job: Job, call: CallbackCall) -> bool:
    """Whether the job waits for this call, and no other engine has it."""
    return job.record.state is JobState.CLAIMED and job.record.callbacks[-1].id == call.id


def _call(record: JobRecord | None, call_id: str) -> CallbackCall | None:
    calls = record.callbacks if record is not None else ()
    return next((one for one in calls if one.id == call_id), None)


def _is_our_keys(services: Services, request: flask.Request) -> bool:
    """Whether Deepgram says that the call was made with our API key, where that is known."""
    ours = services.settings.deepgram_api_key_id
    return ours is None or hmac.compare_digest(ours.encode(), request.headers.get(KEY_HEADER, "").encode())


def _refused(status: HTTPStatus) -> Received:
    _log.warning("a callback is refused", extra={"fields": {"status": int(status)}})
    return Received(status, status.phrase.lower())
