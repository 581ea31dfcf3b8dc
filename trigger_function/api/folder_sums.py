"""The month's dollars by folder, as budgets of API keys are compared with them."""

from __future__ import annotations

import threading
import time

from shared.clock import now
from shared.state.ledger import Ledger
from shared.state.ledger_entry import erased_folder, month_of


class FolderSums:
    """The month's dollars by folder, from one listing in `cache_seconds`. Used from any thread."""

    def __init__(self, ledger: Ledger, cache_seconds: float) -> None:
        self._ledger = ledger
        self._cache_seconds = cache_seconds
        self._lock = threading.Lock()
        self._month = ""
        self._listed_at = 0.0
        self._usd: dict[str, float] = {}

    def spent(self, folder: str) -> float:
        """Billed and reserved, in dollars. Raises what the storage client raises."""
        with self._lock:
            at, month = time.monotonic(), month_of(now())
            if month != self._month or at - self._listed_at >= self._cache_seconds:
                sums: dict[str, float] = {}
                for entry in self._ledger.entries(month):
                    sums[entry.folder] = sums.get(entry.folder, 0.0) + entry.usd
                self._month, self._listed_at, self._usd = month, at, sums
            # With what was erased: to erase a recording gives no money back.
            return self._usd.get(folder, 0.0) + self._usd.get(erased_folder(folder), 0.0)
