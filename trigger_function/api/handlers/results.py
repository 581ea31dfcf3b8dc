"""GET /results/{job_id}: addresses of a job's files, for a limited time."""

from __future__ import annotations

from datetime import datetime, timedelta
from http import HTTPStatus

from pydantic import BaseModel, ConfigDict

from shared.clock import now
from shared.enums import Outcome
from shared.objects import bucket_and_name
from trigger_function.api.handlers.jobs import visible_job
from trigger_function.api.web.answers import Answer
from trigger_function.api.web.call import Call
from trigger_function.api.web.problems import Problem
from trigger_function.signed_urls import UrlSigner


class ResultFile(BaseModel):
    """One file."""

    model_config = ConfigDict(frozen=True)

    uri: str
    """`gs://` address."""
    url: str
    """To be read without credentials, until `expires_at`."""


class Results(BaseModel):
    """The files of a job's last run."""

    model_config = ConfigDict(frozen=True)

    job_id: str
    run: int
    outcome: Outcome
    expires_at: datetime
    files: dict[str, ResultFile]
    """By name. A job without a transcript has a receipt alone."""


def get_results(call: Call) -> Answer:
    """Signed addresses. Raises Problem where the job has not ended."""
    status, services = visible_job(call), call.services
    outcome = services.deployment.jobs.outcome(status.job_id, status.run)
    if outcome is None:
        raise Problem(HTTPStatus.CONFLICT, f"The job has not ended yet: it is {status.state.value}.", "not-ended")
    lifetime = timedelta(seconds=services.settings.api_result_seconds)
    expires_at, signer = now() + lifetime, UrlSigner()
    bucket = services.deployment.storage.bucket(services.deployment.settings.results_bucket)
    files = {
        name: ResultFile(uri=uri, url=signer.sign(bucket.blob(bucket_and_name(uri)[1]), lifetime))
        for name, uri in outcome.results.items()
        # Whatever an outcome may say, nothing else is given away.
        if bucket_and_name(uri)[0] == bucket.name
    }
    return Answer(
        HTTPStatus.OK,
        Results(job_id=status.job_id, run=status.run, outcome=outcome.outcome, expires_at=expires_at, files=files),
    )
