"""How an upload leaves the worker: ended, given back to the queue, or handed over by a worker that must leave too."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from opentelemetry.trace import StatusCode

from gpu_job.engines.chain import EngineChain
from gpu_job.worker.billing import Billing
from gpu_job.worker.running_job import RunningJob
from gpu_job.worker.services import JobServices
from gpu_job.worker.subscription import WorkSubscription
from shared.clock import now
from shared.costs.bill import Bill
from shared.state.finisher import JobResult
from shared.state.jobs import JobState
from shared.telemetry import tracing

_log = logging.getLogger(__name__)

GIVE_UP_TRIES = 3
"""Writes against our own heartbeat's, which comes once in a while."""


class JobRelease:
    """Each upload leaves once, by whichever way comes first."""

    def __init__(
        self,
        services: JobServices,
        inbox: WorkSubscription,
        billing: Billing,
        engines: EngineChain,
        on_left: Callable[[RunningJob], None],
    ) -> None:
        self._services = services
        self._inbox = inbox
        self._billing = billing
        self._engines = engines
        self._on_left = on_left

    def end(self, work: RunningJob, result: JobResult) -> None:
        """Bill, store, publish, acknowledge. Whatever fails here leaves the item to the next attempt."""
        if not work.end_once():
            return
        bill = work.spent_before
        try:
            self._engines.drop(work.id)
            bill = self._billing.final_bill(work)
            self._services.finisher.finish(work.job.record, result, bill, self._services.task.execution)
            tracing.set_attributes(work.span, outcome=result.outcome.value)
            for ack_id in work.ack_ids:
                self._inbox.done(ack_id)
        except Exception:
            # Storage or Pub/Sub did not answer: the item comes again, and finishing it twice is safe.
            _log.exception("ending failed")
            why, pause = "The outcome could not be stored or published.", int(self._services.settings.lease_seconds)
            self._try_to_give_up(work, why, bill, pause)
        else:
            self._clean_up(work)
        finally:
            self._left(work)

    def give_back(self, work: RunningJob, why: str) -> None:
        """Give the upload back to the queue, counted as an attempt."""
        if not work.end_once():
            return
        with work.about():
            try:
                self._engines.drop(work.id)
                self._try_to_give_up(work, why, self._billing.final_bill(work))
            finally:
                self._left(work)

    def hand_over(self, works: Iterable[RunningJob]) -> None:
        """The worker must leave: store what is done and put every upload back, not counted as an attempt."""
        failure = self._engines.failure
        for work in works:
            if not work.end_once():
                continue
            with work.about():
                try:
                    attempts = work.job.record.attempts - (0 if failure else 1)
                    why = failure.reason if failure else None
                    self._give_up_claim(work, why, attempts, self._billing.final_bill(work))
                except Exception:
                    # One upload's trouble must not keep the others: its lease runs out, and the reconciler has it.
                    _log.exception("handing over failed")
                finally:
                    work.span.end()

    def _try_to_give_up(self, work: RunningJob, why: str, bill: Bill, pause_seconds: int = 0) -> None:
        try:
            self._give_up_claim(work, why, work.job.record.attempts, bill, pause_seconds)
        except Exception:
            # Nobody waits for this thread's answer. The lease runs out, and the reconciler has the upload.
            _log.exception("giving back failed")

    def _give_up_claim(
        self, work: RunningJob, why: str | None, attempts: int, bill: Bill, pause_seconds: int = 0
    ) -> None:
        work.span.set_status(StatusCode.ERROR, "given back to the queue")
        changes = {"lease_until": now(), "attempts": attempts, "spent": bill, "last_error": why}
        try:
            for _ in range(GIVE_UP_TRIES):
                # Our own heartbeat may write in between; anybody else would have had to wait for our lease to end.
                job = self._services.jobs.load(work.id) or work.job
                if job.record.holder != self._services.task.holder:
                    break
                if self._services.jobs.take(job, state=JobState.QUEUED, **changes):
                    break
            # After the record, which has their price: a chunk in a checkpoint is not sent to Deepgram again.
            self._services.checkpoints.store(work.id, work.unsaved())
        finally:
            for ack_id in work.ack_ids:
                self._inbox.give_back(ack_id, pause_seconds)

    def _clean_up(self, work: RunningJob) -> None:
        try:
            self._services.checkpoints.delete(work.id)
        except Exception:
            # The job has ended; what is left of its parts goes with the bucket's lifecycle rule.
            _log.warning("checkpoints were not deleted", exc_info=True)

    def _left(self, work: RunningJob) -> None:
        work.span.end()
        self._on_left(work)
