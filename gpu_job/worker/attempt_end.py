"""How a worker's attempt at a job ends: with the job's outcome, given back to the queue, handed over by a worker that
must end, or abandoned to another process."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TypeGuard

from opentelemetry.trace import StatusCode

from gpu_job.engines.chain import EngineChain
from gpu_job.worker.billing.bills import Billing
from gpu_job.worker.jobs.running_job import RunningJob
from gpu_job.worker.jobs.running_jobs import RunningJobs
from gpu_job.worker.services import JobServices
from gpu_job.worker.subscription import MAX_HOLD_SECONDS, WorkSubscription
from shared.clock import now
from shared.costs.bill import Bill
from shared.costs.shard_plan import Shard
from shared.errors import EngineFailed, best_effort
from shared.state.faults import is_infrastructure_fault, reason_of
from shared.state.job_result import JobResult, completed, failed, keeps_parts
from shared.state.jobs.given_back import GivenBack, given_back
from shared.state.jobs.record import Job, JobState
from shared.state.jobs.shards import all_shards_done
from shared.state.jobs.store import JobStore
from shared.telemetry import tracing
from shared.voices.model import KeptVoice

_log = logging.getLogger(__name__)

GIVE_UP_TRIES = 3
"""Writes against our own heartbeat's, which comes once in a while."""

HAND_OVER_SECONDS = 8.0
"""Longest that jobs are handed over for: Cloud Run kills a task 10 s after it told it to stop."""

CALL_SHARE = 1 / 4
"""Of that, for each call of the storage client, which may begin a last try just before it ends: record and checkpoint
take two of them."""

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
        self._hand_overs: list[threading.Thread] = []
        self._hand_overs_lock = threading.Lock()

    def finish_job(self, job: RunningJob, result: JobResult) -> None:
        """Store and publish the outcome; acknowledge the item."""

        def finish(bill: Bill) -> None:
            if not keeps_parts(result, job.record.options):
                job.unstored.begin_finishing()
            with job.record_lock:  # a heartbeat that began before the bill was made
                record = job.record
            self._billing.name_job(job)
            outcome = self._services.finisher.finish(
                record,
                result,
                bill,
                self._services.task.execution,
                may_have_ended=not job.is_surely_ours,
                has_parts=lambda: job.unstored.has_parts,
            )
            self._billing.bill_stored(job, outcome.bill)
            tracing.set_attributes(job.span, outcome=outcome.outcome.value)
            self._acknowledge(job)

        self._finish(job, finish, "The outcome could not be stored or published")

    def finish_shard(self, job: RunningJob, shard: Shard, assemble: Callable[[Sequence[str]], None]) -> None:
        """Store a shard's part, and then that it is done; acknowledge its item. `assemble`: takes the ids of the last
        shard's item instead, and has the job assembled."""

        def finish(bill: Bill) -> None:
            job.unstored.begin_finishing()
            part = job.part()
            if part is not None:
                parts_run, folder = job.record.parts_run, job.record.own_parts
                language = job.record.options.language
                self._services.checkpoints.store_part(
                    job.job_id,
                    part,
                    run=parts_run,
                    within=folder,
                    language=language,
                    found=job.part_found(),
                    unjoinable=shard if job.transcription.is_unjoinable else None,
                )
            if not self._close_shard(job, shard, bill):
                self._shard_is_lost(job)
                return
            tracing.set_attributes(job.span, outcome="done")
            whole = self._services.jobs.load(job.job_id)
            if whole is not None and all_shards_done(self._services.jobs, whole.record):
                assemble(job.ack_ids)
                return
            self._acknowledge(job)

        self._finish(job, finish, "A part could not be stored")

    def _finish(self, job: RunningJob, finish: Callable[[Bill], None], what_failed: str) -> None:
        """Bill the attempt, and have `finish` store what it made, unless the attempt has ended. Where a service does
        not answer the item comes again: finishing a job twice is safe."""
        if not job.end_attempt_once():
            return
        bill = job.spent_before
        try:
            self._engines.drop(job.id)
            bill = self._billing.final_bill(job)
            finish(bill)
        except Exception as error:
            _log.exception("ending failed")
            job.unstored.finishing_failed()
            ending = GivenBack.FAULT if is_infrastructure_fault(error) else GivenBack.COUNTED
            self._try_to_give_up(job, ending, f"{what_failed} ({reason_of(error)}).", bill)
        finally:
            self._removed(job)

    def _acknowledge(self, job: RunningJob) -> None:
        for ack_id in job.ack_ids:
            self._subscription.done(ack_id)

    def _shard_is_lost(self, job: RunningJob) -> None:
        """Another process has the shard, or ended its job, while its part was stored."""
        _log.warning("a claim was lost")
        outcome = self._services.jobs.outcome(job.job_id, job.record.run)
        if outcome is not None and not keeps_parts(outcome):
            # The part was stored behind the finisher's last step, perhaps: nobody else would delete it.
            self._services.jobs.delete_parts(job.job_id, outcome.run)
        for ack_id in job.ack_ids:
            self._subscription.give_back(ack_id, int(self._services.settings.lease_seconds))

    def _close_shard(self, job: RunningJob, shard: Shard, bill: Bill) -> bool:
        """Say that a shard is done; False where another process has it, or ended its job. Its record then has what it
        cost here as of the last heartbeat, and the rest is overhead."""
        stored: Job | None = job.stored
        self._billing.name_job(job)
        for _ in range(GIVE_UP_TRIES):
            if not self._is_ours(stored):
                return False
            if self._services.jobs.try_save(stored, state=JobState.DONE, spent=bill, **job.progress()):
                self._billing.bill_recorded(job, bill)
                with best_effort("a shard was not marked as done"):
                    self._services.jobs.markers.mark_shard_done(job.job_id, shard.number, job.record.run)
                return True
            stored = self._services.jobs.load(job.id)
        return False

    def _is_ours(self, stored: Job | None) -> TypeGuard[Job]:
        """Whether a record may be written: neither has another worker the job, nor asks the function Deepgram, nor is
        the shard done."""
        if stored is None or stored.record.holder != self._services.task.holder:
            return False
        return stored.record.state not in (JobState.CLAIMED, JobState.DONE)

    def give_back(self, job: RunningJob, why: str, *, is_fault: bool = False, is_suspected: bool = False) -> None:
        """Give the job back to the queue, counted as an attempt; `is_fault`: not counted and after a while, for a
        service, the network or the disk failed; `is_suspected`: as after a worker's death, for one of its decoders was
        killed, or one beside it took the memory."""
        if not job.end_attempt_once():
            return
        with job.log_context():
            try:
                self._engines.drop(job.id)
                ending = GivenBack.FAULT if is_fault else self._ending_by_engines()
                ending = GivenBack.SUSPECTED if is_suspected else ending
                self._try_to_give_up(job, ending, why, self._billing.final_bill(job))
            finally:
                self._removed(job)

    def abandon(self, job: RunningJob) -> None:
        """Drop a job, its attempt ended, that another process has or finished. What it cost here and no record has is
        overhead."""
        with job.log_context():
            _log.warning("a claim was lost")
            try:
                self._engines.drop(job.id)
                self._billing.final_bill(job)
                outcome = self._services.jobs.outcome(job.job_id, job.record.run)
                if outcome is not None:
                    if not keeps_parts(outcome):
                        job.unstored.begin_finishing()
                        self._services.jobs.delete_parts(job.job_id, outcome.run)
                    self._billing.bill_stored(job, outcome.bill)
                for ack_id in job.ack_ids:
                    if outcome is None or self._services.jobs.markers.is_open(job.job_id, job.record.run):
                        self._subscription.give_back(ack_id, int(self._services.settings.lease_seconds))
                    else:
                        self._subscription.done(ack_id)
            except Exception:
                # The item comes again by itself.
                _log.exception("abandoning failed")
            finally:
                self._removed(job)

    def hand_over(self, jobs: Iterable[RunningJob], within_seconds: float = HAND_OVER_SECONDS) -> None:
        """The worker must end: store what is done and put every job back, all at once.

        That counts as an attempt where the engines failed, and where the attempt did nothing for as long as a batch may
        take: otherwise an upload on which a worker hangs would occupy one after the other. Returns when all are handed
        over, also those that another thread began with, and after `within_seconds` whatever happens: the claim of a
        job that is not handed over by then runs out.
        """
        with self._hand_overs_lock:
            for job in jobs:
                if job.end_attempt_once():
                    thread = threading.Thread(
                        target=self._hand_over, args=(job, within_seconds), name="hand-over", daemon=True
                    )
                    thread.start()
                    self._hand_overs.append(thread)
            hand_overs = tuple(self._hand_overs)
        until = time.monotonic() + within_seconds
        for thread in hand_overs:
            thread.join(max(0.0, until - time.monotonic()))
        if late := sum(thread.is_alive() for thread in hand_overs):
            _log.warning("jobs not handed over in time", extra={"fields": {"jobs": late}})

    def _hand_over(self, job: RunningJob, within_seconds: float) -> None:
        failure = self._engines.failure or self._engines.process_failure
        is_stuck = job.is_stuck(self._services.settings.batch_timeout_seconds)
        ending, why = GivenBack.TOLD_TO_STOP, None if failure is None else failure.reason
        if failure is not None:
            ending = self._ending_by_engines()
        elif is_stuck:
            ending, why = GivenBack.SUSPECTED, _STUCK
        with job.log_context():
            try:
                bill = self._billing.final_bill(job)
                self._give_up_claim(job, ending, why, bill, within_seconds * CALL_SHARE)
            except Exception:
                # One job's trouble must not keep the others: its lease runs out, and the reconciler has it.
                _log.exception("handing over failed")
            finally:
                job.span.end()

    def _ending_by_engines(self) -> GivenBack:
        """Of an attempt that failed engines ended: a job may have hung or crashed them, where others would work."""
        return GivenBack.COUNTED if self._engines.process_failure is None else GivenBack.SUSPECTED

    def _try_to_give_up(self, job: RunningJob, ending: GivenBack, why: str, bill: Bill) -> None:
        try:
            self._give_up_claim(job, ending, why, bill)
        except Exception:
            # Nobody waits for this thread's answer. The lease runs out, and the reconciler has the upload.
            _log.exception("giving back failed")

    def _give_up_claim(
        self, job: RunningJob, ending: GivenBack, why: str | None, bill: Bill, deadline_seconds: float | None = None
    ) -> None:
        """`deadline_seconds`: for each call of the storage client; None: its own."""
        job.span.set_status(StatusCode.ERROR, "given back to the queue")
        jobs = self._services.jobs if deadline_seconds is None else JobStore(self._services.state, deadline_seconds)
        settings = self._services.settings
        pause, changes = given_back(
            job.record,
            ending,
            now(),
            fault_backoff_seconds=settings.fault_backoff_seconds,
            longest_backoff_seconds=MAX_HOLD_SECONDS,
            restart_seconds=settings.restart_seconds,
        )
        stored: Job | None = job.stored
        self._billing.name_job(job, deadline_seconds and deadline_seconds / 2)
        bill = self._billing.for_record(job, bill)
        try:
            for _ in range(GIVE_UP_TRIES):
                if not self._is_ours(stored):
                    break
                if jobs.try_save(stored, state=JobState.QUEUED, spent=bill, last_error=why, **changes):
                    self._billing.bill_recorded(job, bill)
                    if job.shard is not None:
                        self._look_after_sooner(jobs, job, changes["lease_until"])
                    # After the record, which has their price: a chunk in a checkpoint is not sent to Deepgram again.
                    self._services.checkpoints.store(
                        job.job_id,
                        job.unstored.take(),
                        run=job.record.parts_run,
                        within=job.record.own_parts,
                        language=job.record.options.language,
                        deadline_seconds=deadline_seconds,
                    )
                    break
                # Our own heartbeat wrote in between; anybody else would have had to wait for our lease to end.
                stored = jobs.load(job.id)
        finally:
            for ack_id in job.ack_ids:
                self._subscription.give_back(ack_id, math.ceil(pause))

    def _look_after_sooner(self, jobs: JobStore, shard: RunningJob, at: datetime) -> None:
        """Have the reconciler look at a shard's upload by then, as at a whole upload that was given back: if no
        execution runs by then that takes the shard, one is started."""
        with best_effort("an upload waits for its reconciler as long as a queued one"):
            whole = jobs.load(shard.job_id)
            if whole is not None and whole.record.state is JobState.QUEUED and whole.record.lease_until > at:
                jobs.try_save(whole, lease_until=at)

    def _removed(self, job: RunningJob) -> None:
        job.span.end()
        self._jobs.remove(job)


def result_of(job: RunningJob, kept_voices: Sequence[KeptVoice] = ()) -> JobResult:
    """The transcript of a complete job; failed where every chunk failed. `kept_voices`: whom its speakers may be."""
    names = job.record.options.speaker_names
    try:
        transcript = job.transcription.assemble(job.upload.uri, job.id, names, kept_voices)
    except EngineFailed as error:
        return failed(error)
    fallbacks = sum(result.is_fallback for result in job.transcription.results())
    return completed(transcript, fallbacks=fallbacks)
