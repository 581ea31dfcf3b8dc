"""A request that becomes an upload and waits for its outcome, as clients of the other services expect it to."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from shared.enums import Outcome
from shared.media import Upload
from shared.messages import TerminalMessage
from shared.transcript.model import Transcript
from trigger_function.api.compatible.requested import IGNORED_HEADER, JOB_HEADER, OUTCOME_HEADER
from trigger_function.api.services import ApiServices
from trigger_function.api.submissions.fetched import UPLOAD_INSTEAD
from trigger_function.api.web import idempotency
from trigger_function.api.web.answers import Answer
from trigger_function.api.web.call import Call
from trigger_function.api.web.problems import Problem

FIRST_LOOK_SECONDS = 0.5
MAX_LOOK_SECONDS = 3.0
"""Between two looks for an outcome: $0.0004 for a thousand of them."""
LOOK_GROWTH = 1.3

NO_RETRY = {"x-should-retry": "false"}
"""What OpenAI's clients go by before the status."""


@dataclass(frozen=True)
class Finished:
    """An outcome with its transcript."""

    outcome: TerminalMessage
    transcript: Transcript


def token_of(call: Call, *parts: str) -> str:
    """What names the request's object: with an `Idempotency-Key` the same for each try, which finds the first one's job
    and waits on. `parts`: what else a try has to have in common. Raises Problem."""
    key = call.request.headers.get(idempotency.HEADER)
    if key is None:
        return call.token
    idempotency.check_key(key)
    return hashlib.sha256("\0".join((call.caller.id, call.request.path, key, *parts)).encode()).hexdigest()[:32]


def check_length(call: Call) -> None:
    """Refuse what is too large before it is read. Raises Problem."""
    length, limit = call.request.content_length, call.services.settings.api_max_body_bytes
    if length is not None and length > limit:
        raise too_large(limit, length)


def recording_blocks(call: Call) -> Iterator[bytes]:
    """The body as it comes. Raises Problem as `RequestBody.blocks` does, with the way out for what is too large."""
    limit = call.services.settings.api_max_body_bytes
    try:
        yield from call.body.blocks(limit)
    except Problem as problem:
        raise too_large(limit) if problem.status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE else problem from None


def too_large(limit: int, length: int | None = None) -> Problem:
    """Says the way out."""
    read = f" ({length} bytes read)" if length is not None else ""
    detail = f"Maximum content size limit ({limit}) exceeded{read}: {UPLOAD_INSTEAD}."
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, "upload-instead")


def finished(services: ApiServices, upload: Upload, failed_status: HTTPStatus, began: float) -> Finished | None:
    """Wait for the outcome; None: the job goes on. Raises Problem without a transcript.

    `began`: when the request did, by time.monotonic(). API_WAIT_SECONDS are counted from there: else one whose
    recording took long to come would outlive the function, and its client would send it again, as another job.
    `failed_status`: of a job that failed; one that the service's clients do not take as a reason to send the recording
    again, for each time would be another job.
    """
    outcome = _awaited_outcome(services, upload.job_id, began + services.settings.api_wait_seconds)
    if outcome is None:
        return None
    reason, headers = outcome.reason or "There is no transcript.", {JOB_HEADER: upload.job_id, **NO_RETRY}
    members = {"job_id": upload.job_id}
    match outcome.outcome:
        case Outcome.REJECTED:
            raise Problem(HTTPStatus.BAD_REQUEST, reason, "rejected", headers=headers, **members)
        case Outcome.FAILED:
            raise Problem(failed_status, reason, "job-failed", headers=headers, **members)
    transcript = services.results.stored_transcript(upload)
    if transcript is None:
        raise Problem(HTTPStatus.GONE, "The transcript was deleted.", headers=headers, **members)
    return Finished(outcome, transcript)


def pending_answer(upload: Upload, ignored: tuple[str, ...], body: Mapping[str, object]) -> Answer:
    """202: the job goes on; where to look after it."""
    headers = {"Location": f"/jobs/{upload.job_id}", **answer_headers(upload, ignored)}
    return Answer(HTTPStatus.ACCEPTED, {**body, "url": f"/jobs/{upload.job_id}"}, headers)


def answer_headers(upload: Upload, ignored: tuple[str, ...], outcome: TerminalMessage | None = None) -> dict[str, str]:
    """What the other service's JSON has no place for. `outcome`: None: nobody waits for it."""
    ended = {OUTCOME_HEADER: outcome.outcome.value} if outcome is not None else {}
    return {JOB_HEADER: upload.job_id, **ended, **_ignored(ignored)}


def _ignored(names: tuple[str, ...]) -> dict[str, str]:
    return {IGNORED_HEADER: ", ".join(names)} if names else {}


def _awaited_outcome(services: ApiServices, job_id: str, ends: float) -> TerminalMessage | None:
    pause = FIRST_LOOK_SECONDS
    while True:
        outcome = services.deployment.jobs.outcome(job_id)
        left = ends - time.monotonic()
        if outcome is not None or left <= 0:
            return outcome
        time.sleep(min(pause, left))
        pause = min(pause * LOOK_GROWTH, MAX_LOOK_SECONDS)
