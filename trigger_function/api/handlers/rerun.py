"""POST /jobs/{job_id}/rerun: a job that has ended is transcribed once more."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shared.operations.rerun import RerunRefused, RerunRequest, begin_rerun, requested_model
from trigger_function.api.handlers.jobs import visible_job
from trigger_function.api.submissions.key_budget import within_budget
from trigger_function.api.web.answers import Answer
from trigger_function.api.web.call import Call
from trigger_function.api.web.problems import Problem


class RerunOptions(BaseModel):
    """What is wanted of it; nothing of it has to be given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """`parakeet`, `deepgram`, or one of Deepgram's models that has a price."""
    force: bool = False
    """Also where the job is completed, with the model that it has."""


def rerun(call: Call) -> Answer:
    """Begin the job's next run. 202 with the job; the reconciler's next call goes on with it. Raises Problem."""
    asked, deployment = call.json(RerunOptions, RerunOptions()), call.services.deployment
    visible_job(call)
    within_budget(call.services, call.caller)
    try:
        model = asked.model and requested_model(
            asked.model, deployment.settings.deepgram_model, deployment.prices.deepgram_models
        )
        begin_rerun(deployment.storage, deployment.jobs, call.job_id, RerunRequest(model or None, asked.force))
    except RerunRefused as refused:
        raise Problem(HTTPStatus.CONFLICT, refused.reason, "rerun-refused") from None
    return Answer(HTTPStatus.ACCEPTED, visible_job(call), {"Location": f"/jobs/{call.job_id}"})
