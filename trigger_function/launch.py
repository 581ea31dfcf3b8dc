"""Launching: an execution of the job takes the queued work, and not one is started for each upload."""

from __future__ import annotations

import logging
from datetime import timedelta

from google.cloud import run_v2
from opentelemetry.trace import SpanKind

from shared.enums import JobDevice
from shared.errors import SERVICE_UNAVAILABLE_ERRORS, LaunchFailed, best_effort, kind_of
from shared.state.execution_lease import LAUNCHER, ExecutionLease
from shared.state.jobs import new_holder
from shared.telemetry import tracing
from shared.telemetry.metrics import LAUNCHES, LAUNCHES_FAILED
from trigger_function.services import Services

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
    except SERVICE_UNAVAILABLE_ERRORS as error:
        with best_effort("the lease of a launch that failed was not released"):
            lease.release(held)
        raise LaunchFailed(f"Cloud Run did not start {_short(job)}: {error}", kind_of(error)) from error
    name = str(operation.metadata.name)
    LAUNCHES.add(1, job_name=_short(job))
    _log.info("execution launched", extra={"fields": {"execution": name, "job": job}})
    return name


def launch(services: Services, device: JobDevice, job_id: str) -> bool:
    """See that an execution of one of the jobs runs for a queued upload. False where there is none, or it does not
    start, or it may not be used."""
    return _launch_gpu(services, job_id) if device is JobDevice.GPU else _launch_cpu(services)


def _launch_gpu(services: Services, job_id: str) -> bool:
    settings = services.settings
    if not settings.has_gpu_job or settings.gpu_job is None:
        return False
    if not services.gpu.allows(job_id):
        _log.warning("GPU not used: circuit breaker open")
        return False
    failure = _launch(services, JobDevice.GPU, settings.gpu_job)
    if failure is not None:
        services.gpu.record_failure(failure.kind, job_id)
    return failure is None


def _launch_cpu(services: Services) -> bool:
    job = services.settings.cpu_job
    return job is not None and _launch(services, JobDevice.CPU, job) is None


def _launch(services: Services, device: JobDevice, job: str) -> LaunchFailed | None:
    grace = timedelta(seconds=services.settings.launch_seconds)
    try:
        with tracing.span("launch", kind=SpanKind.CLIENT, job_name=_short(job)):
            started = ensure_execution(services.runner, job, services.leases[device], grace)
    except LaunchFailed as error:
        LAUNCHES_FAILED.add(1, job_name=_short(job), kind=error.kind.value)
        _log.warning("launch failed", extra={"fields": {"kind": error.kind, "reason": error.reason}})
        return error
    if started is not None and device in services.gathering:
        services.gathering[device].started()
    return None


def _short(job: str) -> str:
    """`projects/P/locations/R/jobs/J` -> `J`."""
    return job.rsplit("/", 1)[-1]
