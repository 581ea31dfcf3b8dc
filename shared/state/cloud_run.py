"""Cloud Run's jobs, reduced to the one call that starts an execution."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials

from shared.errors import SERVICE_UNAVAILABLE_ERRORS, LaunchFailed, kind_of

if TYPE_CHECKING:
    from google.cloud import run_v2

CALL_TIMEOUT_SECONDS = 30.0
"""run_job answers with an operation as soon as the execution is accepted."""


class JobRunner:
    """Starts executions. Client and library are loaded when they are first needed. Used from any thread."""

    def __init__(self, endpoint: str | None) -> None:
        """`endpoint`: of the Cloud Run Admin API, where it is not Google's."""
        self._endpoint = endpoint
        self._client: run_v2.JobsClient | None = None
        self._lock = threading.Lock()

    def run(self, job: str) -> str:
        """Start an execution of `job` (`projects/P/locations/R/jobs/J`), as it is configured; its full name.

        Raises LaunchFailed, of kind QUOTA where there is none left.
        """
        from google.cloud import run_v2

        try:
            operation = self._jobs_client().run_job(
                run_v2.RunJobRequest(name=job), timeout=CALL_TIMEOUT_SECONDS, retry=None
            )
        except SERVICE_UNAVAILABLE_ERRORS as error:
            raise LaunchFailed(f"Cloud Run did not start {short_name(job)}: {error}", kind_of(error)) from error
        return str(operation.metadata.name)

    def _jobs_client(self) -> run_v2.JobsClient:
        from google.cloud import run_v2

        with self._lock:
            if self._client is None:
                endpoint = self._endpoint
                # Only a server on this machine speaks plain HTTP, and it wants no credentials.
                is_local = endpoint is not None and endpoint.startswith("http://")
                self._client = run_v2.JobsClient(
                    credentials=AnonymousCredentials() if is_local else None,
                    # REST rather than gRPC: one call per launch, and no second gRPC channel to warm up.
                    transport="rest",
                    client_options=ClientOptions(api_endpoint=endpoint),
                )
            return self._client


def short_name(job: str) -> str:
    """`projects/P/locations/R/jobs/J` -> `J`."""
    return job.rsplit("/", 1)[-1]
