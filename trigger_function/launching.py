"""Making sure that a job execution takes the queued work, without starting one for each upload."""

from __future__ import annotations

import logging
from datetime import timedelta

import requests
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import GoogleAuthError
from google.cloud import run_v2

from shared.executions import LAUNCHER, ExecutionLease
from shared.failures import LaunchFailed, kind_of
from shared.jobs import new_holder

_log = logging.getLogger(__name__)

CALL_TIMEOUT_SECONDS = 30.0
"""run_job answers with an operation as soon as the execution is accepted."""


def ensure_execution(runner: run_v2.JobsClient, job: str, lease: ExecutionLease, grace: timedelta) -> str | None:
    """Start an execution of `job` unless one runs; its name, or None where one runs already. Raises LaunchFailed."""
    held = lease.take(new_holder(LAUNCHER), grace)
    if held is None:
        return None
    try:
        operation = runner.run_job(run_v2.RunJobRequest(name=job), timeout=CALL_TIMEOUT_SECONDS, retry=None)
    except (GoogleAPICallError, RetryError, GoogleAuthError, requests.RequestException) as error:
        lease.release(held)
        raise LaunchFailed(f"Cloud Run did not start {job.rsplit('/', 1)[-1]}: {error}", kind_of(error)) from error
    name = str(operation.metadata.name)
    _log.info("execution launched", extra={"fields": {"execution": name, "job": job}})
    return name
