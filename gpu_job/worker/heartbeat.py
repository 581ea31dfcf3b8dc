"""The keeper: says now and then that the worker and its uploads are alive, and stores their finished chunks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from gpu_job.worker.periodic import PeriodicTask
from gpu_job.worker.running_job import RunningJob
from gpu_job.worker.services import JobServices
from shared.clock import now
from shared.costs.bill import Bill
from shared.state.execution_lease import HeldLease

_log = logging.getLogger(__name__)


class Heartbeat(PeriodicTask):
    """Beats on a thread of its own while it is entered. The execution's lease can be held and released at any time."""

    def __init__(
        self,
        services: JobServices,
        works: Callable[[], Sequence[RunningJob]],
        accrued_bill: Callable[[RunningJob], Bill | None],
    ) -> None:
        super().__init__("keeper", services.settings.heartbeat_seconds)
        self._services = services
        self._settings = services.settings
        self._works = works
        self._accrued_bill = accrued_bill
        self._lease: HeldLease | None = None
        self._lease_lock = threading.Lock()
        self._stored_at = time.monotonic()

    def hold_lease(self) -> None:
        """This execution takes work: no other one need be launched."""
        with self._lease_lock:
            self._lease = self._services.lease.take_over(self._services.task.holder, self._term)

    def release_lease(self) -> None:
        """This execution takes no more work."""
        with self._lease_lock:
            if self._lease is not None:
                self._services.lease.release(self._lease)
            self._lease = None

    @property
    def _term(self) -> timedelta:
        return timedelta(seconds=self._settings.lease_seconds)

    def tick(self) -> None:
        """Renew the lease and every upload's claim, and now and then store what is finished."""
        save = time.monotonic() - self._stored_at >= self._settings.checkpoint_seconds
        self._stored_at = time.monotonic() if save else self._stored_at
        self._try(self._renew_lease)
        for work in self._works():
            with work.about():
                self._try(partial(self._beat, work, save))

    def _try(self, step: Callable[[], None]) -> None:
        """The boundary of a step: what goes wrong with one upload must not cost another one its claim."""
        try:
            step()
        except Exception:
            # A missed beat is made up by the next one; a dead keeper would lose the claim of a healthy worker.
            _log.warning("heartbeat failed", exc_info=True)

    def _renew_lease(self) -> None:
        with self._lease_lock:
            if self._lease is not None:
                self._lease = self._services.lease.renew(self._lease, self._term)

    def _beat(self, work: RunningJob, save: bool) -> None:
        # Record first: a chunk in a checkpoint is not sent to Deepgram again, so its price must be in the record.
        parts = work.unsaved() if save else []
        try:
            self._renew_claim(work)
            self._services.checkpoints.store(work.id, parts)
        except Exception:
            work.save_later(parts)
            raise

    def _renew_claim(self, work: RunningJob) -> None:
        changes: dict[str, Any] = {"transcribed_seconds": work.transcribed_seconds()}
        if (bill := self._accrued_bill(work)) is not None:
            # If this process is killed, the record is the only place that says what it cost.
            changes["spent"] = bill
        taken = self._services.jobs.take(work.job, lease_until=now() + self._term, **changes)
        newest = taken or self._services.jobs.load(work.id)
        # A record that somebody else took over meanwhile is theirs to keep alive.
        if newest is not None and newest.record.holder == self._services.task.holder:
            work.job = newest
