"""What is so at this moment, as far as a decision depends on it: asked anew for each upload, or cached for a while."""

from __future__ import annotations

from datetime import datetime

from shared.clock import now
from shared.costs.quotes import Queue
from shared.costs.speeds import Speeds
from trigger_function.routing.limits import Conditions
from trigger_function.services import Services


def conditions_of(at_work: Services, received_at: datetime) -> Conditions:
    """GPU health, and what the upload's month has left and has seen, as far as this deployment asks."""
    return Conditions(
        gpu_healthy=at_work.gpu.health().available(now()),
        budget_left_usd=at_work.budget.left(received_at),
        month_files=at_work.budget.jobs(received_at) if at_work.settings.gpu_min_monthly_files else None,
    )


def queue_of(at_work: Services) -> Queue:
    """Whether an execution runs. How much audio waits for it is not known here, so none is assumed."""
    return Queue(running=at_work.lease.is_live())


def speeds_of(at_work: Services) -> Speeds:
    """The deployment's speeds as learned so far."""
    return at_work.speeds.speeds(at_work.settings.initial_speeds(at_work.settings.shape.gpu))
