"""GET /jobs/{job_id}: how far a job is. And what every route about one job needs: the job, if the caller may see it."""

from __future__ import annotations

from http import HTTPStatus

from shared import objects
from shared.clock import now
from shared.operations.erasure_records import erasure_receipt
from shared.operations.job_status import JobStatus, accepted_status, read_status
from trigger_function.api.submissions.accepted import Accepted, accepted_object
from trigger_function.api.web.answers import Answer
from trigger_function.api.web.call import Call
from trigger_function.api.web.problems import Problem, not_found


def get_job(call: Call) -> Answer:
    """A job as it stands."""
    return Answer(HTTPStatus.OK, visible_job(call))


def visible_job(call: Call) -> JobStatus:
    """The path's job. Raises Problem: 404 where there is none, and where it is in another folder than the key's."""
    deployment, job_id = call.services.deployment, call.job_id
    status = read_status(deployment.jobs, job_id, now())
    if status is None:
        accepted = accepted_upload(call)
        if accepted is None:
            raise _gone(call)
        status = accepted_status(accepted.upload, accepted.accepted_at)
    if not call.caller.may_see(status.upload.name):
        raise not_found("job")
    return status


def accepted_upload(call: Call) -> Accepted | None:
    """What the API knows of the path's job before its event has arrived."""
    stored = objects.read(call.services.deployment.state, accepted_object(call.job_id))
    return Accepted.model_validate_json(stored.data) if stored else None


def _gone(call: Call) -> Problem:
    """404; or 410 where it was erased. Nobody knows any more whose it was: its id alone, a hash, is known."""
    if erasure_receipt(call.services.deployment.state, call.job_id) is None:
        return not_found("job")
    return Problem(HTTPStatus.GONE, "The job was erased.", "erased")
