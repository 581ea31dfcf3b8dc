"""The budgets of the month and of folders: what may still be spent, and reservations that many instances make at once.

An instance lists the ledger once in BUDGET_CACHE_SECONDS and adds what it reserved itself since. While that sum, with
the upload in hand, stays under nine tenths of the budget, it is trusted. Nearer to the limit an instance writes its
reservation first and lists afterwards: of two that do so at once, the later list holds both reservations, so at least
one of them is withdrawn.

The bound: let R be what all instances reserve within one BUDGET_CACHE_SECONDS. A trusted sum misses at most R, so
reservations pass the budget by at most max(0, R - a tenth of the budget), and by nothing where no instance trusts a
sum (BUDGET_CACHE_SECONDS=0). Bills above their estimates come on top; they end the admission of further uploads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shared.clock import now
from shared.state.jobs.record import JobRecord
from shared.state.ledger import Ledger, MonthSums
from shared.state.ledger_entry import Entry, folder_of, month_of, reservation

TRUSTED_SHARE = 0.9
"""Of the budget; up to here a remembered sum decides."""


@dataclass
class _Sum:
    """A month's sum as this instance knows it."""

    listed: MonthSums
    listed_at: float
    """When the listing began."""
    reserved: dict[str, Entry] = field(default_factory=dict)
    """By this instance since then, by job."""

    def usd(self, folder: str | None = None, *, without: str = "") -> float:
        """Billed and reserved: of the month, or of one folder in it. `without`: an entry that is made anew."""
        listed = self.listed.usd if folder is None else self.listed.of_folder(folder)
        mine = (entry for entry in self.reserved.values() if entry.id != without and folder in (None, entry.folder))
        return listed + sum(entry.usd for entry in mine)


class Budget:
    """What the month's jobs may cost, over the ledger. Used from several threads of several instances."""

    def __init__(
        self,
        ledger: Ledger,
        limit_usd: float | None,
        cache_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        folders: Mapping[str, float] | None = None,
    ) -> None:
        """`limit_usd`: of the month; None: no limit. `folders`: limits of the uploads in a folder, in US dollars."""
        self.limit_usd = limit_usd
        self._folders = folders or {}
        self._ledger = ledger
        self._cache_seconds = cache_seconds
        self._clock = clock
        self._sums: dict[str, _Sum] = {}
        self._lock = threading.Lock()

    def spent(self, at: datetime | None = None) -> float | None:
        """Billed and reserved so far in the month of `at` (now); None, and nothing listed, without a budget."""
        if self.limit_usd is None:
            return None
        with self._lock:
            return self._known(month_of(at or now())).usd()

    def left(self, at: datetime | None = None, folder: str = "") -> float | None:
        """What the month of `at` (now) may still cost, for an upload of this folder; None without a budget."""
        if not (limits := self._limits(folder)):
            return None
        with self._lock:
            known = self._known(month_of(at or now()))
            return max(0.0, min(limit - known.usd(scope) for scope, limit in limits.items()))

    def jobs(self, at: datetime | None = None) -> int:
        """Jobs of the month of `at` (now), as far as this instance knows; with or without a budget."""
        with self._lock:
            return self._known(month_of(at or now())).listed.jobs

    def reserve(self, record: JobRecord, usd: float) -> bool:
        """Hold `usd` for a job until its bill is there; False, and nothing held, where it would pass a budget.

        After a False `left()` is fresh. A job that is reserved again has one reservation, the newest.
        """
        month, entry = month_of(record.received_at), reservation(record, usd)
        if not (limits := self._limits(entry.folder)):
            return True
        with self._lock:
            known = self._known(month)
            after = {scope: known.usd(scope, without=entry.id) + usd for scope in limits}
            self._ledger.reserve(entry)
            known.reserved[entry.id] = entry
            is_far = all(after[scope] <= TRUSTED_SHARE * limit for scope, limit in limits.items())
            if self._cache_seconds > 0 and is_far:
                return True
            listed = self._listed(month)
            if all(listed.usd(scope) <= limit for scope, limit in limits.items()):
                return True
            self._ledger.withdraw(entry)
            self._listed(month)
            return False

    def hold(self, record: JobRecord, usd: float) -> None:
        """Hold what was spent on a job already, whatever the budget; its bill takes the place."""
        entry = reservation(record, usd)
        if not self._limits(entry.folder):
            return
        with self._lock:
            self._ledger.reserve(entry)
            self._listed(month_of(record.received_at))

    def release(self, record: JobRecord) -> None:
        """Take back what is held for a job, where it has no bill yet; `left()` is fresh afterwards."""
        entry = reservation(record, 0.0)
        if not self._limits(entry.folder):
            return
        with self._lock:
            self._ledger.withdraw(entry)
            self._listed(month_of(record.received_at))

    def refusal(self, record: JobRecord, usd: float) -> str:
        """Why an upload with this estimate is rejected, in one sentence with the sums of what has the least left."""
        at, folder = record.received_at, folder_of(record.upload.name)
        with self._lock:
            known = self._known(month_of(at))
            limits = self._limits(folder)
            left = {scope: limit - known.usd(scope) for scope, limit in limits.items()}
            scope = min(left, key=lambda one: left[one], default=None)
            return refusal(usd, known.usd(scope), limits.get(scope, 0.0), month_of(at), scope)

    def _limits(self, folder: str) -> Mapping[str | None, float]:
        """What an upload of the folder counts against; None: the whole month."""
        limits: dict[str | None, float] = {} if self.limit_usd is None else {None: self.limit_usd}
        return limits | ({folder: self._folders[folder]} if folder in self._folders else {})

    def _known(self, month: str) -> _Sum:
        known = self._sums.get(month)
        if known is not None and self._clock() - known.listed_at < self._cache_seconds:
            return known
        return self._listed(month)

    def _listed(self, month: str) -> _Sum:
        """List anew. What this instance reserved is in the listing, for it writes under the same lock."""
        began = self._clock()
        known = self._sums[month] = _Sum(self._ledger.month_sums(month), began)
        return known


def refusal(usd: float, spent: float, limit: float, month: str, folder: str | None = None) -> str:
    """The month's sums in one sentence: `The budget of $10.00 for 2026-11 has $0.12 left (...)`."""
    left = max(0.0, limit - spent)
    of_folder = "" if folder is None else f" of the folder {folder}"
    return (
        f"The budget{of_folder} of ${limit:.2f} for {month} has ${left:.2f} left (${spent:.2f} spent or reserved), "
        f"and the file would cost about ${usd:.2f}."
    )
