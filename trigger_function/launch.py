"""Launching: so many executions of a job take the queued work as it is worth, not one for each upload."""

from __future__ import annotations

import logging

from opentelemetry.trace import SpanKind

from shared.enums import JobDevice
from shared.state.launcher import LaunchResult
from shared.telemetry import tracing
from trigger_function.services import Services

_log = logging.getLogger(__name__)


def launch(services: Services, device: JobDevice, job_id: str) -> bool:
    """See that executions of one of the jobs run for a queued upload. False where there is none, or it does not start,
    or it may not be used."""
    return _launch_gpu(services, job_id) if device is JobDevice.GPU else _launch_cpu(services)


def _launch_gpu(services: Services, job_id: str) -> bool:
    if not services.settings.has_gpu_job:
        return False
    if not services.gpu.allows(job_id):
        _log.warning("GPU not used: circuit breaker open")
        return False
    result = _launch(services, JobDevice.GPU)
    if result.failure is not None and not result.is_running:
        services.gpu.record_failure(result.failure.kind, job_id)
    return result.is_running


def _launch_cpu(services: Services) -> bool:
    return services.settings.cpu_job is not None and _launch(services, JobDevice.CPU).is_running


def _launch(services: Services, device: JobDevice) -> LaunchResult:
    with tracing.span("launch", kind=SpanKind.CLIENT, device=device.value):
        result = services.launchers[device].launch()
    if result.started and device in services.gathering:
        services.gathering[device].started()
    return result
