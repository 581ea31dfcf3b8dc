"""The month's dollars by folder, as budgets of API keys are compared with them."""

from __future__ import annotations

import threading
import time

from shared.clock import now
from shared.state.ledger import Ledger, MonthSums
from shared.state.ledger_entry import month_of


class FolderSums:
    """The month's dollars by folder, from one listing in `cache_seconds`. Used from any thread."""

    def __init__(self, ledger: Ledger, cache_seconds: float) -> None:
        self._ledger = ledger
        self._cache_seconds = cache_seconds
        self._lock = threading.Lock()
        self._month = ""
        self._listed_at = 0.0
        self._sums = MonthSums(0.0, 0)

    def spent(self, folder: str) -> float:
        """Billed and reserved, in dollars. Raises what the storage client raises."""
        with self._lock:
            at, month = time.monotonic(), month_of(now())
            if month != self._month or at - self._listed_at >= self._cache_seconds:
                self._sums = self._ledger.month_sums(month)
                self._month, self._listed_at = month, at
            return self._sums.of_folder(folder)
