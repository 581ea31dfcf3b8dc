"""How a worker's attempt at a job ends: with the job's outcome, given back to the queue, handed over by a worker that
must end, or abandoned to another process."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from datetime import timedelta
from random import random

from opentelemetry.trace import StatusCode

from gpu_job.engines.chain import EngineChain
from gpu_job.worker.billing import Billing
from gpu_job.worker.running_job import RunningJob, RunningJobs
from gpu_job.worker.services import JobServices
from gpu_job.worker.subscription import WorkSubscription
from shared.clock import now
from shared.costs.bill import Bill
from shared.errors import EngineFailed
from shared.state.faults import is_infrastructure_fault, reason_of
from shared.state.job_result import JobResult, completed, failed
from shared.state.jobs import JobState
from shared.telemetry import tracing

_log = logging.getLogger(__name__)

GIVE_UP_TRIES = 3
"""Writes against our own heartbeat's, which comes once in a while."""

LONGEST_BACKOFF_SECONDS = 600.0
"""Pub/Sub holds an item back for so long at most."""

_STUCK = "The worker was told to stop, and had transcribed nothing of the file until then."


class AttemptEnd:
    """Each attempt ends once, in whichever way comes first."""

    def __init__(
        self,
        services: JobServices,
        subscription: WorkSubscription,
        billing: Billing,
        engines: EngineChain,
        jobs: RunningJobs,
    ) -> None:
        self._services = services
        self._subscription = subscription
        self._billing = billing
        self._engines = engines
        self._jobs = jobs

    def finish_job(self, job: RunningJob, result: JobResult) -> None:
        """Bill, store, publish, acknowledge. Whatever fails here leaves the item to the next attempt."""
        if not job.end_attempt_once():
            return
        bill = job.spent_before
        try:
            self._engines.drop(job.id)
            bill = self._billing.final_bill(job)
            outcome = self._services.finisher.finish(job.record, result, bill, self._services.task.execution)
            self._billing.bill_stored(job, bill, outcome.bill)
            tracing.set_attributes(job.span, outcome=outcome.outcome.value)
            for ack_id in job.ack_ids:
                self._subscription.done(ack_id)
        except Exception as error:
            # Storage or Pub/Sub did not answer: the item comes again, and finishing it twice is safe.
            _log.exception("ending failed")
            why = f"The outcome could not be stored or published ({reason_of(error)})."
            self._try_to_give_up(job, why, bill, is_fault=is_infrastructure_fault(error))
        finally:
            self._removed(job)

    def give_back(self, job: RunningJob, why: str, *, is_fault: bool = False) -> None:
        """Give the job back to the queue, counted as an attempt; `is_fault`: not counted and after a while, for a
        service, the network or the disk failed."""
        if not job.end_attempt_once():
            return
        with job.log_context():
            try:
                self._engines.drop(job.id)
                self._try_to_give_up(job, why, self._billing.final_bill(job), is_fault=is_fault)
            finally:
                self._removed(job)

    def abandon(self, job: RunningJob) -> None:
        """Drop a job, its attempt ended, that another process has or finished. What it cost here and no record has is
        overhead."""
        with job.log_context():
            _log.warning("a claim was lost")
            try:
                self._engines.drop(job.id)
                bill = self._billing.final_bill(job)
                outcome = self._services.jobs.outcome(job.id)
                if outcome is not None:
                    self._services.jobs.delete_parts(job.id)
                    self._billing.bill_stored(job, bill, outcome.bill)
                for ack_id in job.ack_ids:
                    if outcome is None or self._services.jobs.is_open(job.id):
                        self._subscription.give_back(ack_id, int(self._services.settings.lease_seconds))
                    else:
                        self._subscription.done(ack_id)
            except Exception:
                # The item comes again by itself.
                _log.exception("abandoning failed")
            finally:
                self._removed(job)

    def hand_over(self, jobs: Iterable[RunningJob]) -> None:
        """The worker must end: store what is done and put every job back.

        That counts as an attempt where the engines failed, and where the attempt did nothing for as long as a batch may
        take: otherwise an upload on which a worker hangs would occupy one after the other.
        """
        failure = self._engines.failure or self._engines.process_failure
        for job in jobs:
            if not job.end_attempt_once():
                continue
            with job.log_context():
                try:
                    is_stuck = job.seconds_without_result() >= self._services.settings.batch_timeout_seconds
                    attempts = job.record.attempts - (0 if failure or is_stuck else 1)
                    why = failure.reason if failure else _STUCK if is_stuck else None
                    self._give_up_claim(job, why, attempts, self._billing.final_bill(job))
                except Exception:
                    # One job's trouble must not keep the others: its lease runs out, and the reconciler has it.
                    _log.exception("handing over failed")
                finally:
                    job.span.end()

    def _try_to_give_up(self, job: RunningJob, why: str, bill: Bill, *, is_fault: bool) -> None:
        try:
            self._give_up_claim(job, why, job.record.attempts - is_fault, bill, is_fault=is_fault)
        except Exception:
            # Nobody waits for this thread's answer. The lease runs out, and the reconciler has the upload.
            _log.exception("giving back failed")

    def _give_up_claim(
        self, job: RunningJob, why: str | None, attempts: int, bill: Bill, *, is_fault: bool = False
    ) -> None:
        job.span.set_status(StatusCode.ERROR, "given back to the queue")
        settings = self._services.settings
        faults = job.record.faults + 1 if is_fault else 0
        pause = backoff_seconds(faults, settings.fault_backoff_seconds) if is_fault else 0.0
        again = now() + timedelta(seconds=pause)
        changes = {
            # Until the next attempt can be there: before that, the reconciler must take it neither for lost nor for
            # failed. After a fault nobody may be left to make one.
            "lease_until": again if is_fault else again + timedelta(seconds=settings.restart_seconds),
            "retry_at": again if is_fault else None,
            "faults": faults,
            "attempts": attempts,
            "spent": bill,
            "last_error": why,
        }
        try:
            for _ in range(GIVE_UP_TRIES):
                # Our own heartbeat may write in between; anybody else would have had to wait for our lease to end.
                stored = self._services.jobs.load(job.id) or job.stored
                is_ours = stored.record.holder == self._services.task.holder
                if not is_ours or stored.record.state is JobState.CLAIMED:
                    break  # another worker has it, or the function asks Deepgram
                if self._services.jobs.try_save(stored, state=JobState.QUEUED, **changes):
                    self._billing.bill_stored(job, bill, bill)
                    # After the record, which has their price: a chunk in a checkpoint is not sent to Deepgram again.
                    self._services.checkpoints.store(job.id, job.take_unsaved())
                    break
        finally:
            for ack_id in job.ack_ids:
                self._subscription.give_back(ack_id, math.ceil(pause))

    def _removed(self, job: RunningJob) -> None:
        job.span.end()
        self._jobs.remove(job)


def backoff_seconds(faults: int, first_seconds: float, random: Callable[[], float] = random) -> float:
    """How long to wait after so many faults in a row, from 1 on: at most `first_seconds`, doubled with each further
    one, and at least half of that; never more than LONGEST_BACKOFF_SECONDS. `random`: from 0 to 1."""
    longest = min(LONGEST_BACKOFF_SECONDS, first_seconds * 2.0 ** min(faults - 1, 32))
    return longest * (1 + random()) / 2


def result_of(job: RunningJob) -> JobResult:
    """The transcript of a complete job; failed where every chunk failed."""
    try:
        transcript = job.transcription.assemble(job.upload.uri, job.id)
    except EngineFailed as error:
        return failed(error)
    fallbacks = sum(result.is_fallback for result in job.transcription.results())
    return completed(transcript, fallbacks=fallbacks)
