"""The heartbeat: renews the leases of the worker and its jobs, and stores their finished chunks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from gpu_job.worker.billing import Billing
from gpu_job.worker.periodic import PeriodicTask
from gpu_job.worker.running_job import RunningJob, RunningJobs
from gpu_job.worker.services import JobServices
from shared.clock import now
from shared.state.execution_lease import HeldLease

_log = logging.getLogger(__name__)

RECORD_TRIES = 3
"""Writes of one job's costs against other writers of its record."""


class Heartbeat(PeriodicTask):
    """Beats on a thread of its own while it is entered. The execution's lease can be held and released at any time."""

    def __init__(self, services: JobServices, jobs: RunningJobs, billing: Billing) -> None:
        super().__init__("heartbeat", services.settings.heartbeat_seconds)
        self._services = services
        self._settings = services.settings
        self._jobs = jobs
        self._billing = billing
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

    def record_costs(self, job_id: str) -> None:
        """Have a job's record say what the job may cost by now: before a call to Deepgram, which no kill may lose.

        One write serves all calls that wait for it: Cloud Storage takes one a second of an object.
        """
        running = self._jobs.get(job_id)
        if running is None or running.is_released:
            return
        calls = self._billing.calls_started(job_id)
        with running.log_context(), running.record_lock:
            for _ in range(RECORD_TRIES):
                if running.recorded_calls >= calls:
                    return
                # The next beat makes up for a write that fails, as long as this process lives.
                self._try(partial(self._renew_claim, running))

    @property
    def _term(self) -> timedelta:
        return timedelta(seconds=self._settings.lease_seconds)

    def tick(self) -> None:
        """Renew the lease and every job's claim, and now and then store what is finished."""
        save = time.monotonic() - self._stored_at >= self._settings.checkpoint_seconds
        self._stored_at = time.monotonic() if save else self._stored_at
        self._try(self._renew_lease)
        for job in self._jobs.all():
            with job.log_context():
                self._try(partial(self._beat, job, save))

    def _try(self, step: Callable[[], object]) -> None:
        """The boundary of a step: what goes wrong with one job must not cost another one its claim."""
        try:
            step()
        except Exception:
            # A missed beat is made up by the next one; a dead heartbeat would lose the claim of a healthy worker.
            _log.warning("heartbeat failed", exc_info=True)

    def _renew_lease(self) -> None:
        with self._lease_lock:
            if self._lease is not None:
                self._lease = self._services.lease.renew(self._lease, self._term)

    def _beat(self, running: RunningJob, save: bool) -> None:
        # Record first: a chunk in a checkpoint is not sent to Deepgram again, so its price must be in the record.
        results = running.take_unsaved() if save else []
        try:
            with running.record_lock:
                is_renewed = self._renew_claim(running)
            if is_renewed:
                self._services.checkpoints.store(running.id, results)
            else:
                running.save_later(results)
        except Exception:
            running.save_later(results)
            raise

    def _renew_claim(self, running: RunningJob) -> bool:
        """False where somebody else wrote the record meanwhile: then it does not have what this attempt cost."""
        changes: dict[str, Any] = {"transcribed_seconds": running.transcription.transcribed_seconds()}
        calls = self._billing.calls_started(running.id)
        if (bill := self._billing.accrued_bill(running)) is not None:
            # If this process is killed, the record is the only place that says what it cost.
            changes["spent"] = bill
        taken = self._services.jobs.try_save(running.stored, lease_until=now() + self._term, **changes)
        newest = taken or self._services.jobs.load(running.id)
        # A record that somebody else took over meanwhile is theirs to keep alive.
        if newest is not None and newest.record.holder == self._services.task.holder:
            running.stored = newest
        if taken is not None:
            running.recorded_calls = calls
        return taken is not None
