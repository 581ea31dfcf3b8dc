"""Spending: a method's predicted cost is held in the ledger before any work, and the owner is warned in time."""

from __future__ import annotations

import logging
import random
import time

from shared.clock import now
from shared.errors import FailureKind, Rejected
from shared.messages import Decision
from shared.state.jobs import JobRecord
from shared.state.ledger import month_of
from trigger_function.alerts import BudgetAlert, budget_alerts
from trigger_function.routing.conditions import conditions_of, queue_of, speeds_of
from trigger_function.routing.deciding import decide
from trigger_function.routing.limits import Case
from trigger_function.services import Services

_log = logging.getLogger(__name__)

TRIES = 3
"""Decisions for one upload while other instances take what is left of the budget."""

PAUSE_SECONDS = 0.2
"""Longest wait after the first of them; a listing and a reservation take less."""


def decide_and_reserve(services: Services, record: JobRecord, case: Case) -> Decision:
    """Decide, and hold the predicted cost. Raises Rejected where no method may be used or paid for."""
    for number in range(TRIES):
        decision = _decision(services, record, case)
        if reserve(services, record.model_copy(update={"media": case.media, "decision": decision})):
            watch_budget(services)
            return decision
        # Near the limit several instances may see each other's reservations, and all step back; not so next time.
        time.sleep(random.uniform(0, PAUSE_SECONDS * 2**number))
    watch_budget(services, refused=True)
    raise Rejected(services.budget.refusal(_usd(decision), record.received_at), FailureKind.QUOTA)


def reserve(services: Services, record: JobRecord) -> bool:
    """Hold what the decided method is predicted to cost; False, and nothing held, where the budget has less."""
    return record.decision is None or services.budget.reserve(record, _usd(record.decision))


def reserve_other(services: Services, record: JobRecord) -> bool:
    """As `reserve`, for a method that takes another's place: its owner's limit for the upload holds too."""
    limit = record.options.max_cost_usd
    if record.decision is not None and limit is not None and _usd(record.decision) > limit:
        return False
    return reserve(services, record)


def watch_budget(services: Services, *, refused: bool = False) -> None:
    """Warn of what reservations and bills of all instances add up to. No upload waits for a warning that fails."""
    try:
        limit, spent = services.budget.limit_usd, services.budget.spent()
        if limit is None or spent is None:
            return
        for alert in budget_alerts(month_of(now()), spent, limit, refused=refused):
            _tell(services, alert)
    except Exception:
        _log.exception("the budget was not watched")


def _tell(services: Services, alert: BudgetAlert) -> None:
    try:
        services.alerts.tell(alert)
    except Exception:
        _log.exception("alert not told", extra={"fields": {"event_id": alert.event_id}})


def _decision(services: Services, record: JobRecord, case: Case) -> Decision:
    try:
        return _decided_now(services, record, case)
    except Rejected as error:
        if error.kind is not FailureKind.QUOTA:
            raise
    # An earlier delivery may hold money for this very upload and have died before it said so; and bills that came in
    # since the last listing may have given some back.
    services.budget.release(record)
    try:
        return _decided_now(services, record, case)
    except Rejected:
        watch_budget(services, refused=True)
        raise


def _decided_now(services: Services, record: JobRecord, case: Case) -> Decision:
    speeds, conditions, queue = speeds_of(services), conditions_of(services, record.received_at), queue_of(services)
    return decide(case, services.settings, services.prices, speeds, conditions, queue)


def _usd(decision: Decision) -> float:
    return decision.quote.bill.usd if decision.quote else 0.0
