"""What is so at this moment, as far as a decision depends on it: asked anew for each upload, or cached for a while."""

from __future__ import annotations

from datetime import datetime

from shared.clock import now
from shared.costs.quotes import Queue
from shared.costs.speeds import Speeds
from trigger_function.routing.limits import Conditions
from trigger_function.services import Services


def conditions_of(services: Services, received_at: datetime) -> Conditions:
    """GPU health, and what the upload's month has left and has seen, as far as this deployment asks."""
    return Conditions(
        gpu_healthy=services.gpu.health().available(now()),
        budget_left_usd=services.budget.left(received_at),
        month_files=services.budget.jobs(received_at) if services.settings.gpu_min_monthly_files else None,
    )


def queue_of(services: Services) -> Queue:
    """Whether an execution runs. How much audio waits for it is not known here, so none is assumed."""
    return Queue(running=services.lease.is_live())


def speeds_of(services: Services) -> Speeds:
    """The deployment's speeds as learned so far."""
    return services.speeds.speeds(services.settings.initial_speeds(services.settings.shape.gpu))
