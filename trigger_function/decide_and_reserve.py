"""Decide and reserve: an upload's method is decided, and its predicted cost held in the ledger, before any work."""

from __future__ import annotations

import logging
import random
import time
from dataclasses import replace

from shared.clock import now
from shared.costs.gathering import Queue
from shared.enums import JobDevice
from shared.errors import FailureKind, Rejected
from shared.messages import Decision
from shared.state.jobs.record import JobRecord
from shared.state.ledger_entry import folder_of, month_of
from trigger_function.alerts import budget_alerts
from trigger_function.routing.limits import Conditions, UploadFacts
from trigger_function.services import Services

_log = logging.getLogger(__name__)

ATTEMPTS = 3
"""Decisions for one upload while other instances take what is left of the budget."""

PAUSE_SECONDS = 0.2
"""Longest wait after the first of them; a listing and a reservation take less."""


def decide_and_reserve(services: Services, record: JobRecord, upload: UploadFacts) -> Decision:
    """Decide, and hold the predicted cost. Raises Rejected where no method may be used or paid for."""
    for attempt in range(ATTEMPTS):
        decision = _decide(services, record, upload)
        decided = record.model_copy(update={"media": upload.media, "decision": decision})
        if reserve(services, decided):
            alert_on_budget(services)
            return decision
        # Near the limit several instances may see each other's reservations, and all withdraw; not so next time.
        time.sleep(random.uniform(0, PAUSE_SECONDS * 2**attempt))
    alert_on_budget(services, rejected=True)
    raise Rejected(services.budget.refusal(decided, _usd(decided)), FailureKind.QUOTA)


def _decide(services: Services, record: JobRecord, upload: UploadFacts) -> Decision:
    router = services.router.for_model(record.requested.deepgram_model if record.requested else None)
    upload = replace(upload, is_one_engines=record.requested is not None)
    try:
        return router.decide(upload, current_conditions(services, record))
    except Rejected as error:
        if error.kind is not FailureKind.QUOTA:
            raise
    # An earlier delivery may hold money for this very upload, if its process died before the record said so; and
    # bills that came in since the last listing may have given some back.
    services.budget.release(record)
    try:
        return router.decide(upload, current_conditions(services, record))
    except Rejected:
        alert_on_budget(services, rejected=True)
        raise


def current_conditions(services: Services, record: JobRecord) -> Conditions:
    """What a decision depends on beside upload and settings, as far as this deployment's limits need it."""
    received_at, folder = record.received_at, folder_of(record.upload.name)
    settings = services.settings
    return Conditions(
        speeds=services.speeds.speeds(settings.initial_speeds(settings.shape.gpu)),
        gpu_healthy=services.gpu.health().available(now()),
        queue=_queue(services, JobDevice.GPU) if settings.has_gpu_job else Queue(),
        cpu_queue=_queue(services, JobDevice.CPU) if settings.cpu_job is not None else Queue(),
        budget_left_usd=services.budget.left(received_at, folder),
        month_files=services.budget.jobs(received_at) if settings.gpu_min_monthly_files else None,
    )


def _queue(services: Services, device: JobDevice) -> Queue:
    queue = services.launchers[device].queue()
    if queue.running or device not in services.gathering:
        return queue
    return services.gathering[device].queue(services.settings.gather_rules.audio_seconds)


def reserve(services: Services, record: JobRecord) -> bool:
    """Hold what the job has cost so far and what the decided method is predicted to cost; False where the budget has
    less: then only what is spent is held."""
    if services.budget.reserve(record, _usd(record)):
        return True
    if record.spent.usd > 0:
        services.budget.hold(record, record.spent.usd)
    return False


def reserve_fallback(services: Services, record: JobRecord) -> bool:
    """As `reserve`, for a method that replaces another one: the owner's cost limit for the upload holds too."""
    limit = record.options.max_cost_usd
    if limit is not None and _usd(record) > limit:
        return False
    return reserve(services, record)


def alert_on_budget(services: Services, *, rejected: bool = False) -> None:
    """Publish what the month's reservations and bills give reason to. An alert that fails holds up no upload."""
    try:
        limit, spent = services.budget.limit_usd, services.budget.spent()
        if limit is None or spent is None:
            return
        alerts = budget_alerts(month_of(now()), spent, limit, rejected=rejected)
    except Exception:
        _log.exception("budget not read for alerts")
        return
    for alert in alerts:
        try:
            services.alerts.publish(alert)
        except Exception:
            _log.exception("budget alert not published", extra={"fields": {"event_id": alert.event_id}})


def _usd(record: JobRecord) -> float:
    """What the job will have cost: calls of earlier attempts that may be billed, and the decided method's quote."""
    quote = record.decision.quote if record.decision else None
    return record.spent.usd + (quote.bill.usd if quote else 0.0)
