"""GET /health: whether the deployment transcribes, on what, and what stands in its way."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Literal

from pydantic import BaseModel, ConfigDict

from shared.clock import now
from shared.enums import JobDevice
from shared.operations.gpu_report import last_gpu_report
from shared.state.backlog import QueuedUploads
from trigger_function.api.web.answers import Answer
from trigger_function.api.web.call import Call


class GpuHealth(BaseModel):
    """The GPU as the last task that had one reported it."""

    model_config = ConfigDict(frozen=True)

    available: bool
    """Whether a task reported one, and the circuit breaker lets uploads use it."""
    name: str | None = None
    count: int = 0
    memory_gb: float | None = None
    """Of one, in 10^9 bytes."""
    reported_at: datetime | None = None


class BreakerHealth(BaseModel):
    """The GPU's circuit breaker."""

    model_config = ConfigDict(frozen=True)

    state: str
    since: datetime | None
    next_trial: datetime | None
    failures: dict[str, int]


class QueueHealth(BaseModel):
    """What waits for one of the jobs."""

    model_config = ConfigDict(frozen=True)

    items: int
    audio_seconds: float


class BudgetHealth(BaseModel):
    """The month's money: the deployment's, or of a key with a folder the key's."""

    model_config = ConfigDict(frozen=True)

    limit_usd: float | None = None
    """None: there is no limit."""
    spent_usd: float | None = None
    """Billed and reserved; None: without a limit nobody sums."""


class Health(BaseModel):
    """The answer."""

    model_config = ConfigDict(frozen=True)

    status: Literal["ok", "degraded"]
    """`degraded`: the GPU job is not used, for its circuit breaker is not closed."""
    gpu: GpuHealth
    gpu_transcription_enabled: bool
    breaker: BreakerHealth
    queue: dict[str, QueueHealth]
    """By job: `gpu`, `cpu`."""
    budget: BudgetHealth
    checked_at: datetime


def health(call: Call) -> Answer:
    """Always 200 where the state can be read."""
    return Answer(HTTPStatus.OK, current_health(call))


def current_health(call: Call) -> Health:
    """The deployment as it stands. Raises what the storage client raises."""
    services, at = call.services.deployment, now()
    settings = services.settings
    breaker, report = services.gpu.health(), last_gpu_report(services.state)
    is_used = settings.has_gpu_job and breaker.available(at)
    return Health(
        status="degraded" if settings.has_gpu_job and not is_used else "ok",
        gpu=GpuHealth(available=is_used and report is not None, **dict(report or {})),
        gpu_transcription_enabled=settings.has_gpu_job,
        breaker=BreakerHealth(
            state=breaker.state.value,
            since=breaker.since,
            next_trial=breaker.next_trial,
            failures={kind.value: count for kind, count in breaker.failures.items()},
        ),
        queue=_queues(services.queued),
        budget=_budget(call),
        checked_at=at,
    )


def _queues(queued: QueuedUploads) -> dict[str, QueueHealth]:
    waiting = {device.value: queued.waiting(device, ()) for device in JobDevice}
    return {device: QueueHealth(items=one.items, audio_seconds=one.audio_seconds) for device, one in waiting.items()}


def _budget(call: Call) -> BudgetHealth:
    services, caller = call.services, call.caller
    if caller.folder is None:
        budget = services.deployment.budget
        return BudgetHealth(limit_usd=budget.limit_usd, spent_usd=budget.spent())
    limit = caller.monthly_budget_usd
    return BudgetHealth(limit_usd=limit, spent_usd=services.folder_sums.spent(caller.folder) if limit else None)
