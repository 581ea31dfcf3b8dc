"""GET /jobs/{job_id}: how far a job is. And what every route about one job needs: the job, if the caller may see it."""

from __future__ import annotations

from http import HTTPStatus

from shared import objects
from shared.clock import now
from shared.operations.job_status import JobStatus, accepted_status, read_status
from trigger_function.api.submissions.accepted import Accepted, accepted_object
from trigger_function.api.web.answers import Answer
from trigger_function.api.web.call import Call
from trigger_function.api.web.problems import not_found


def get_job(call: Call) -> Answer:
    """A job as it stands."""
    return Answer(HTTPStatus.OK, visible_job(call))


def visible_job(call: Call) -> JobStatus:
    """The path's job. Raises Problem: 404 where there is none, and where it is in another folder than the key's."""
    deployment, job_id = call.services.deployment, call.job_id
    status = read_status(deployment.jobs, job_id, now())
    if status is None:
        stored = objects.read(deployment.state, accepted_object(job_id))
        if stored is None:
            raise not_found("job")
        accepted = Accepted.model_validate_json(stored.data)
        status = accepted_status(accepted.upload, accepted.accepted_at)
    if not call.caller.may_see(status.upload.name):
        raise not_found("job")
    return status
