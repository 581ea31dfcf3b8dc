"""What keys with a budget may still spend: their folder's bills and reservations of the month, by the ledger.

A key's budget ends the admission of recordings through the API; it is compared with what the ledger has, so jobs that
are being worked on count from their reservation on, which MONTHLY_BUDGET_USD switches on, else from their bill on.
"""

from __future__ import annotations

from http import HTTPStatus

from shared.clock import now
from shared.state.ledger_entry import month_of
from trigger_function.api.services import ApiServices
from trigger_function.api.web.callers import Caller
from trigger_function.api.web.problems import Problem


def within_budget(services: ApiServices, caller: Caller) -> None:
    """Raises Problem where the caller's folder has spent its budget."""
    if caller.folder is None or caller.monthly_budget_usd is None:
        return
    spent, limit = services.folder_sums.spent(caller.folder), caller.monthly_budget_usd
    if spent >= limit:
        detail = f"The key's budget of ${limit:.2f} for {month_of(now())} is spent (${spent:.2f} spent or reserved)."
        raise Problem(HTTPStatus.TOO_MANY_REQUESTS, detail, "budget-spent")
