"""The heartbeat: renews the worker's slot and its jobs' claims, and stores their finished chunks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from gpu_job.assembly.assemble import ChunkResult
from gpu_job.periodic import PeriodicTask
from gpu_job.worker.billing.bills import Billing
from gpu_job.worker.jobs.running_job import RunningJob
from gpu_job.worker.jobs.running_jobs import RunningJobs
from gpu_job.worker.services import JobServices
from shared.clock import now
from shared.errors import best_effort
from shared.state.execution_slots import ExecutionSlots, HeldSlot, TakenWork
from shared.state.job_result import keeps_parts
from shared.state.jobs.record import JobRecord, JobState
from shared.state.jobs.store import JobStore

_log = logging.getLogger(__name__)

RECORD_TRIES = 3
"""Writes of one job's costs against other writers of its record."""


class Heartbeat(PeriodicTask):
    """Beats on a thread of its own while it is entered. The execution's slot can be held and released at any time."""

    def __init__(self, services: JobServices, jobs: RunningJobs, billing: Billing) -> None:
        super().__init__("heartbeat", services.settings.heartbeat_seconds)
        self._services = services
        self._settings = services.settings
        self._jobs = jobs
        self._billing = billing
        self._slot: HeldSlot | None = None
        self._slot_lock = threading.Lock()
        self._has_claims = True
        self._claims_lock = threading.Lock()
        self._stored_at = time.monotonic()
        self._deadline_seconds = services.claims_deadline_seconds
        self._records = JobStore(services.state, self._deadline_seconds)
        device, count = self._settings.shape.job_device, services.own_slots.count
        self._slots = ExecutionSlots(services.state, device, count, self._deadline_seconds)

    def hold_slot(self) -> None:
        """This execution takes work from the queue."""
        held = self._services.own_slots.hold(self._services.task.holder, self._term)  # beats do not wait for it
        with self._slot_lock:
            self._slot = held

    def release_slot(self) -> None:
        """This execution takes no more work."""
        with self._slot_lock:
            if self._slot is not None:
                self._services.own_slots.release(self._slot)
            self._slot = None

    def end_claims(self) -> None:
        """Renew nothing from now on, once a beat that has begun is over: only say what the execution costs."""
        with self._claims_lock:
            self._has_claims = False

    def record_execution(self) -> None:
        """Write what this execution cost by now, for whoever finds it killed."""
        with best_effort("what the execution cost was not recorded"):
            self._billing.record_execution()

    def record_costs(self, job_id: str) -> None:
        """Have a job's record say what the job may cost by now: before a call to Deepgram, which no kill may lose.

        One write serves all calls that wait for it: Cloud Storage takes one a second of an object.
        """
        running = self._jobs.get(job_id)
        if running is None or running.is_ended:
            return
        calls = self._billing.calls_started(job_id)
        self._billing.name_job(running)
        with running.log_context(), running.record_lock:
            for _ in range(RECORD_TRIES):
                if running.recorded_calls >= calls or running.is_ended:
                    return
                # The next beat makes up for a write that fails, as long as this process lives.
                with best_effort("what a job may cost was not recorded"):
                    self._renew_claim(running)

    @property
    def _term(self) -> timedelta:
        return timedelta(seconds=self._settings.lease_seconds)

    def tick(self) -> None:
        """Renew the slot and every job's claim; then, now and then, store what is finished.

        What goes wrong with one job must not cost another one its claim; a missed renewal is made up by the next one.
        """
        with self._claims_lock:
            if self._has_claims:
                self._renew()
            else:
                self.record_execution()

    def _renew(self) -> None:
        save = time.monotonic() - self._stored_at >= self._settings.checkpoint_seconds
        self._stored_at = time.monotonic() if save else self._stored_at
        with best_effort("the execution's slot was not renewed"):
            self._renew_slot()
        # Before their records: whoever finds this worker killed must know at which records and outcomes to look.
        jobs = self._jobs.all()
        self.record_execution()
        # Record first: a chunk in a checkpoint is not sent to Deepgram again, so its price must be in the record.
        renewed: list[tuple[RunningJob, Sequence[ChunkResult]]] = []
        for job in jobs:
            if save and not self._is_open(job):
                job.claim_lost()
                continue
            results: Sequence[ChunkResult] = job.unstored.take() if save else ()
            if self._try_to_renew(job):
                renewed.append((job, results))
            else:
                job.unstored.put_back(results)
            with job.log_context(), best_effort("lost chunks were not looked for"):
                job.transcription.fail_lost_chunks()
        for job, results in renewed:
            self._store(job, results)

    def _is_open(self, job: RunningJob) -> bool:
        """False where another process ended the job: with Deepgram's late answer, say."""
        with job.log_context(), best_effort("whether a job is open was not read"):
            return self._records.markers.is_open(job.job_id, job.record.run)
        return True

    def _renew_slot(self) -> None:
        with self._slot_lock:
            if self._slot is not None:
                self._slot = self._slots.renew(self._slot, self._term, self._taken_work())

    def _taken_work(self) -> TakenWork:
        jobs = self._jobs.all()
        left = sum(map(self._own_model_seconds, jobs))
        unheard = sum(job.unheard_speakers_seconds(self._settings.speaker_model) for job in jobs)
        return TakenWork(tuple(job.id for job in jobs), left, unheard)

    def _own_model_seconds(self, job: RunningJob) -> float:
        """What is left of a job's audio, as queues count it."""
        left_seconds, model, settings = job.untranscribed_seconds(), job.model_name, self._settings
        if model is None:
            return left_seconds  # no call of Cloud Storage with every beat
        initial = settings.initial_speeds(settings.shape.gpu)
        speeds = self._services.speeds.speeds(initial, self._deadline_seconds)
        return speeds.own_model_seconds(left_seconds, settings.shape.device, model)

    def _try_to_renew(self, job: RunningJob) -> bool:
        renewed = False
        # Whoever has the lock is writing the record, and renews the claim with it.
        if job.record_lock.acquire(timeout=self._deadline_seconds):
            try:
                with job.log_context(), best_effort("a claim was not renewed"):
                    renewed = self._renew_claim(job)
            finally:
                job.record_lock.release()
        return renewed

    def _store(self, job: RunningJob, results: Sequence[ChunkResult]) -> None:
        store = partial(
            self._services.checkpoints.store,
            job.job_id,
            results,
            run=job.record.parts_run,
            within=job.record.own_parts,
            language=job.record.options.language,
            deadline_seconds=self._deadline_seconds,
        )
        try:
            job.unstored.store(results, store)
        except Exception:
            job.unstored.put_back(results)
            with job.log_context():
                _log.warning("a checkpoint was not stored", exc_info=True)
        if results and job.is_ended:
            with job.log_context(), best_effort("the checkpoint of an ended job was not deleted"):
                # Stored behind the finisher's last step, nobody else would delete it.
                outcome = self._records.outcome(job.job_id, job.record.run)
                if outcome is not None and not keeps_parts(outcome):
                    self._records.delete_parts(job.job_id, outcome.run)

    def _renew_claim(self, running: RunningJob) -> bool:
        """False where the record is somebody else's now: then it does not have what this attempt cost."""
        if self._write(running):
            return True
        newest = self._records.load(running.id)
        if newest is None or not self._is_ours(running, newest.record):
            running.claim_lost()
            return False
        # Written by the reconciler, say, which took us for dead and queued the job again.
        running.stored = newest
        return self._write(running)

    def _write(self, running: RunningJob) -> bool:
        """Say that the job runs here, for how long, and what it cost. False where another process wrote the record."""
        changes: dict[str, Any] = running.progress()
        calls = self._billing.calls_started(running.id)
        bill = self._billing.accrued_bill(running)
        if bill is not None:
            # If this process is killed, the record is the only place that says what it cost.
            changes["spent"] = bill = self._billing.for_record(running, bill)
        until = now() + self._term
        taken = self._records.try_save(running.stored, state=JobState.RUNNING, lease_until=until, **changes)
        if taken is None:
            return False
        running.stored, running.recorded_calls = taken, calls
        if bill is not None and not running.is_ended:
            # Whoever ended the attempt says what becomes of its bill.
            self._billing.bill_recorded(running, bill)
        return True

    def _is_ours(self, running: RunningJob, record: JobRecord) -> bool:
        """Whether a record that another process wrote may be made ours again: another worker may have claimed it, the
        function may have taken it to Deepgram (CLAIMED), the job may have ended without this shard (DONE), or we have
        given it back ourselves."""
        is_given_back = record.state is JobState.QUEUED and running.is_ended
        is_given_away = record.state in (JobState.CLAIMED, JobState.DONE) or is_given_back
        is_same_run = record.run == running.record.run
        return record.holder == self._services.task.holder and is_same_run and not is_given_away
