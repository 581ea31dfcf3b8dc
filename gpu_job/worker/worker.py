"""The worker: one task of a job execution. It takes uploads from the queue until there are none, then ends.

Threads: this one pulls; one for each job fetches, decodes and cuts; the engines have their own; one renews slot and
claims and stores checkpoints; one launches more executions where the backlog is worth them. A work item is acknowledged
after its outcome is stored.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from gpu_job.progress_reports import ProgressReports
from gpu_job.transcription.setup import AUDIT_THREADS, Pipeline
from gpu_job.vad.detector import SpeechDetector
from gpu_job.worker.admission import Admission, Admissions
from gpu_job.worker.attempt_end import AttemptEnd
from gpu_job.worker.billing.bills import Billing
from gpu_job.worker.build_engines import build_engines
from gpu_job.worker.engine_listener import WorkerEngineListener
from gpu_job.worker.heartbeat import Heartbeat
from gpu_job.worker.hybrid import Hybrid
from gpu_job.worker.jobs.claim import ClaimResult, claim, own_items
from gpu_job.worker.jobs.job_runner import JobRunner
from gpu_job.worker.jobs.progress import progress_of_jobs
from gpu_job.worker.jobs.running_job import RunningJob
from gpu_job.worker.jobs.running_jobs import RunningJobs
from gpu_job.worker.scale_out import ScaleOut
from gpu_job.worker.services import JobServices
from gpu_job.worker.subscription import FIRST_PULL_SECONDS, Received, WorkSubscription
from shared.errors import EngineFailed, best_effort
from shared.media import Media
from shared.telemetry import tracing
from shared.telemetry.logs import job_context

_log = logging.getLogger(__name__)

PULL_SECONDS = 2.0
"""Longest wait in one pull, so that a finished job's place is soon filled."""

ITEMS_AT_ONCE = 1
"""In a pull: behind a shard no other is taken, and one that is given back comes again after a while only."""

UNANSWERED_SECONDS = 180.0
"""After so long without one answer of Pub/Sub the process ends, for the next attempt to try."""


@dataclass(frozen=True)
class _SetAside:
    """An item that cannot begin now."""

    received: Received
    must_run_alone: bool = False
    """Its job's worker was killed: it begins when nothing else runs."""


class Worker:
    """One run of the job's process."""

    def __init__(self, services: JobServices, subscription: WorkSubscription, billing: Billing) -> None:
        self._services = services
        self._settings = services.settings
        self._subscription = subscription
        self._billing = billing
        self._stopping = threading.Event()
        self._jobs = RunningJobs(self._settings.uploads_in_flight)
        self._admissions = Admissions(self._settings)
        self._set_aside: list[_SetAside] = []
        """Items whose jobs are to begin when fewer run here. No more are pulled before."""
        self._has_claimed = False
        self._heartbeat = Heartbeat(services, self._jobs, billing)
        engines = build_engines(services, WorkerEngineListener(services, billing, self._heartbeat.record_costs))
        self._engines = engines.chain
        self._audit_threads = ThreadPoolExecutor(AUDIT_THREADS, thread_name_prefix="audit")
        pipeline = Pipeline(
            engines.chain,
            self._settings.pipeline_options,
            SpeechDetector(),
            self._audit_threads,
            self._settings.open_speaker_model(),
        )
        self._attempt_end = AttemptEnd(services, subscription, billing, engines.chain, self._jobs)
        self._runner = JobRunner(
            services, pipeline, self._jobs, self._admissions, billing, self._attempt_end, self._stopping
        )
        self._hybrid = Hybrid(self._jobs, engines, self._settings.max_completion_minutes)
        self._scale_out = ScaleOut(services)
        self._reports = ProgressReports(services.events, partial(progress_of_jobs, self._jobs, services.jobs))

    def stop(self) -> None:
        """Give the jobs back and end. From any thread, but not in a signal handler: it takes locks."""
        self._stopping.set()
        self._jobs.wake()

    def stop_at_once(self) -> None:
        """The same where the process is killed within seconds: the jobs are given back from here, whatever the thread
        that pulls waits for."""
        self.stop()
        self._engines.stop()
        self._attempt_end.hand_over(self._jobs.all())

    def run(self) -> bool:
        """Work until the queue is empty; True. False where something is left for the next attempt."""
        self._engines.start()
        # From the beginning to the end: whatever is waited for meanwhile, whoever finds this process killed is to know.
        try:
            with self._subscription, self._heartbeat:
                clean = self._work()
                self._end(clean)
        finally:
            # Last, for the instance is billed until then.
            with best_effort("the execution's cost was not booked"):
                self._billing.close_execution()
        return clean

    def _work(self) -> bool:
        with self._hybrid, self._scale_out, self._reports:
            try:
                self._heartbeat.record_execution()
                self._heartbeat.hold_slot()
                with best_effort("costs of killed attempts were not booked"):
                    self._book_killed_attempts()
                for item in own_items(self._services):
                    self._begin(Received(item, ack_id=None))
                self._pull_until_empty()
                self._charge_where_no_engine_started()
            except Exception:
                # Whatever it is, running jobs must be put back, and the decoders must not wait for ever.
                _log.exception("worker failed")
                return False
            return not self._stopping.is_set() and self._engine_failure is None

    def _end(self, clean: bool) -> None:
        """Take no more work, put back what is left, and wait for what the threads still do."""
        self._stopping.set()
        self._heartbeat.end_claims()
        self._take_to_assemble()
        for one in self._set_aside:
            if one.received.ack_id:
                self._subscription.give_back(one.received.ack_id)
        self._engines.stop()
        if not clean:
            self._attempt_end.hand_over(self._jobs.all(), self._settings.stop_margin_seconds / 2)
        # The work is done and billed, and the slot lapses by itself: another attempt would only cost more.
        with best_effort("the execution's slot was not released"):
            self._heartbeat.release_slot()
        if not clean:
            self._heartbeat.record_execution()  # Cloud Run may give ten seconds only, and a download is not cut short
        # Decoders of handed-over jobs end by themselves: the engines refuse their chunks.
        self._runner.close()
        self._audit_threads.shutdown(wait=False, cancel_futures=True)
        with best_effort("the folder of fetched uploads was not deleted"):  # the disk goes with the instance
            self._admissions.close()
        self._services.events.flush()
        self._services.rendering.close()

    def _book_killed_attempts(self) -> None:
        """Earlier attempts at this task that ended without a word had ended when this one began."""
        task, began_at = self._services.task, self._billing.task_costs().began_at
        if task.attempt == 0:
            return
        self._services.execution_costs.close_all_killed(
            lambda costs: costs.index == task.index and costs.attempt < task.attempt, began_at, task.execution
        )

    def _pull_until_empty(self) -> None:
        """Idle time counts from Pub/Sub's first answer: a cold instance takes seconds until it can ask."""
        began = idle_since = time.monotonic()
        while not self._stopping.is_set() and self._engines.failure is None:
            if self._engines.process_failure is not None:
                # Take no more; what other engines can still do is ended, the rest was given back.
                if not len(self._jobs):
                    return
                self._jobs.wait_until_none(PULL_SECONDS)
                continue
            self._take_to_assemble()
            if self._set_aside:
                self._begin_set_aside()
                continue
            if self._jobs.free <= 0:
                self._jobs.wait_for_room(PULL_SECONDS)
                continue
            # With jobs at work this worker does not leave, and must be quick to stop.
            has_time = not self._subscription.has_answered and not len(self._jobs)
            received = self._subscription.pull(ITEMS_AT_ONCE, FIRST_PULL_SECONDS if has_time else PULL_SECONDS)
            for one in received:
                self._begin(one)
            if received or len(self._jobs) or not self._subscription.has_answered:
                if not self._subscription.has_answered and time.monotonic() - began > UNANSWERED_SECONDS:
                    raise TimeoutError(f"Pub/Sub answered no pull within {UNANSWERED_SECONDS:g} s.")
                idle_since = time.monotonic()
            elif not self._runner.to_assemble.empty():
                continue  # the last job here was the last shard of its upload
            elif time.monotonic() - idle_since >= self._settings.work_idle_seconds and self._queue_is_empty():
                return

    def _charge_where_no_engine_started(self) -> None:
        """Every engine failed before this worker had an upload: claim some all the same, to be handed over.

        The attempt counts and its reason is kept. Else execution after execution would end without a word on any upload
        until it fails as "no worker took it".
        """
        if self._engines.failure is None or self._has_claimed or self._stopping.is_set():
            return
        for one in self._subscription.pull(self._jobs.free, FIRST_PULL_SECONDS):
            self._begin(one)

    def _take_to_assemble(self) -> None:
        while not self._runner.to_assemble.empty():
            self._set_aside.append(_SetAside(self._runner.to_assemble.get()))

    def _begin_set_aside(self) -> None:
        """Begin those that there is room for by now; those that must run alone, one after the other, last."""
        waiting, self._set_aside = self._set_aside, []
        running = len(self._jobs)
        for one in waiting:
            if one.must_run_alone and len(self._jobs):
                self._set_aside.append(one)
            else:
                self._begin(one.received)
        if self._set_aside and len(self._jobs) and len(self._jobs) >= running:
            self._jobs.wait_for_fewer(len(self._jobs), PULL_SECONDS)

    @property
    def _engine_failure(self) -> EngineFailed | None:
        """Why another process must take the work that is left; None while this one can."""
        return self._engines.failure or self._engines.process_failure

    def _queue_is_empty(self) -> bool:
        """Give up the slot, then look once more: an upload that was queued while we held it is ours to take."""
        self._heartbeat.release_slot()
        last = self._subscription.pull(ITEMS_AT_ONCE, PULL_SECONDS)
        if last:
            self._heartbeat.hold_slot()
        for one in last:
            self._begin(one)
        return not last

    def _begin(self, received: Received) -> None:
        """Start one item's job, or acknowledge or give back the item at once where there is nothing to do."""
        item, ack_id = received.item, received.ack_id
        if self._engine_failure is not None and (self._has_claimed or self._engines.process_failure is not None):
            # The engines failed while it was pulled: an attempt here would fail and be counted.
            if ack_id:
                self._subscription.give_back(ack_id)
            return
        with job_context(item.job_id), tracing.continue_trace(received.traceparent):
            running = self._jobs.of(item)
            if running is not None:
                self._add_ack_id(running, ack_id)
                return
            if self._jobs.is_feeding_shard:
                # Somebody else shall have it.
                if ack_id:
                    self._subscription.give_back(ack_id)
                return
            if self._jobs.free <= 0 or not self._has_room_for(item.media):
                self._set_aside.append(_SetAside(received))
                return
            result = self._claim(received)
            if result.must_run_alone:
                self._set_aside.append(_SetAside(received, must_run_alone=True))
                return
            if result.claimed is None:
                if ack_id and result.retry_after_seconds is None:
                    self._subscription.done(ack_id)
                elif ack_id and result.retry_after_seconds is not None:
                    self._subscription.give_back(ack_id, result.retry_after_seconds)
                return
            self._has_claimed = True
            self._runner.start(result.claimed, received)

    def _has_room_for(self, media: Media) -> bool:
        """Whether an upload may begin now, if only to end at once: it is claimed then, and its record says why."""
        running = [job.media for job in self._jobs.all()]
        return self._admissions.may_begin(media, running) is not Admission.LATER

    def _add_ack_id(self, running: RunningJob, ack_id: str | None) -> None:
        """An item came again whose job runs here."""
        if not running.is_ended:
            running.ack_ids.extend([ack_id] if ack_id else [])
        elif ack_id:
            # It is being given back, or its outcome stored: whoever gets the item later finds which.
            self._subscription.give_back(ack_id, int(PULL_SECONDS))

    def _claim(self, received: Received) -> ClaimResult:
        try:
            return claim(self._services, received.item, alone=not len(self._jobs))
        except Exception:
            # Storage did not answer, or the record cannot be read: this item's trouble, not the others'.
            _log.exception("claiming failed")
            return ClaimResult(retry_after_seconds=int(self._settings.lease_seconds))
