"""The worker: one task of a job execution. It takes uploads from the queue until there are none, then leaves.

Threads: this one pulls; one for each upload in flight fetches, decodes and cuts; the engine room's transcribes; one
keeps leases and checkpoints. An upload is acknowledged after its outcome stands.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.chunker import Chunk
from gpu_job.audit.audit import Audit
from gpu_job.audit.runner import AuditRunner, Deliver
from gpu_job.engines.chunk_queue import Task
from gpu_job.worker.billing import Billing
from gpu_job.worker.build_engines import engines_of
from gpu_job.worker.claim import ClaimResult, claim, own_items
from gpu_job.worker.ending import ending_of
from gpu_job.worker.feed import prepare
from gpu_job.worker.heartbeat import Heartbeat
from gpu_job.worker.hybrid import Hybrid
from gpu_job.worker.release import JobRelease
from gpu_job.worker.running_job import RunningJob
from gpu_job.worker.services import JobServices
from gpu_job.worker.spans import attempt_at
from gpu_job.worker.subscription import Received, WorkSubscription
from shared.errors import BadMedia, EngineFailed, Rejected
from shared.state.finisher import failed, rejected
from shared.telemetry import tracing
from shared.telemetry.logs import job_context

_log = logging.getLogger(__name__)

AUDITORS = 2
"""Threads that ask the speech detector; its network runs outside the interpreter's lock."""

PULL_SECONDS = 2.0
"""Longest wait in one pull, so that a finished upload's place is soon filled."""


class Worker:
    """One run of the job's process."""

    def __init__(self, services: JobServices, inbox: WorkSubscription, billing: Billing) -> None:
        self._services = services
        self._settings = services.settings
        self._inbox = inbox
        self._billing = billing
        self._works: dict[str, RunningJob] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._keeper = Heartbeat(services, lambda: list(self._works.values()), billing.accrued_bill)
        engines = engines_of(services, billing, self._delivered)
        self._engines = engines.chain
        self._leaving = JobRelease(services, inbox, billing, self._engines, self._forget)
        self._hybrid = Hybrid(lambda: list(self._works.values()), engines, self._settings.max_completion_minutes)
        self._threads = ThreadPoolExecutor(self._settings.uploads_in_flight + 2, thread_name_prefix="upload")
        self._auditors = ThreadPoolExecutor(AUDITORS, thread_name_prefix="audit")

    def stop(self) -> None:
        """Hand the work on and leave. From any thread, but not in a signal handler: it takes locks."""
        self._stopping.set()
        self._wake.set()

    def run(self) -> bool:
        """Work until the queue is empty; True. False where something is left for the next attempt."""
        self._keeper.hold_lease()
        self._engines.start()
        with self._inbox:
            with self._keeper, self._hybrid:
                try:
                    for item in own_items(self._services):
                        self._begin(Received(item, ack_id=None))
                    self._pull_until_empty()
                    clean = not self._stopping.is_set() and self._engines.failure is None
                except Exception:
                    # Whatever it is, the uploads in flight must be put back, and the decoders must not wait for ever.
                    _log.exception("worker failed")
                    clean = False
            self._stopping.set()
            self._engines.stop()
            if not clean:
                self._leaving.hand_over(list(self._works.values()))
            try:
                self._keeper.release_lease()
                self._billing.settle()
            except Exception:
                # The work is done and billed; the lease runs out by itself. Another attempt would only cost more.
                _log.exception("leaving failed")
            # Decoders of handed-over uploads end by themselves: the engine room refuses their chunks. Last, for a
            # download is not cut short, and Cloud Run gives ten seconds.
            self._threads.shutdown(wait=True, cancel_futures=True)
            self._auditors.shutdown(wait=False, cancel_futures=True)
        return clean

    def _pull_until_empty(self) -> None:
        idle_since = time.monotonic()
        while not self._stopping.is_set() and self._engines.failure is None:
            places = self._settings.uploads_in_flight - len(self._works)
            if places <= 0:
                self._wake.wait(PULL_SECONDS)
                self._wake.clear()
                continue
            received = self._inbox.pull(places, PULL_SECONDS)
            for one in received:
                self._begin(one)
            if received or self._works:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since >= self._settings.work_idle_seconds and self._queue_is_done():
                return

    def _queue_is_done(self) -> bool:
        """Give up the lease, then look once more: an upload that was queued while we held it is ours to take."""
        self._keeper.release_lease()
        last = self._inbox.pull(self._settings.uploads_in_flight, PULL_SECONDS)
        if last:
            self._keeper.hold_lease()
        for one in last:
            self._begin(one)
        return not last

    def _begin(self, received: Received) -> None:
        """Take one item on, or settle it at once where there is nothing to do."""
        item, ack_id = received.item, received.ack_id
        with job_context(item.job_id), tracing.continue_trace(received.traceparent):
            running = self._works.get(item.job_id)
            if running is not None and not running.has_ended:
                running.ack_ids.extend([ack_id] if ack_id else [])
                return
            if running is not None:
                # It is being given back, or its outcome stored: whoever gets the item later finds which.
                if ack_id:
                    self._inbox.give_back(ack_id, int(PULL_SECONDS))
                return
            try:
                claimed = claim(self._services, item)
            except Exception:
                # Storage did not answer, or the record cannot be read: this item's trouble, not the others'.
                _log.exception("claiming failed")
                claimed = ClaimResult(retry_after_seconds=int(self._settings.lease_seconds))
            if claimed.work is None:
                if ack_id and claimed.retry_after_seconds is None:
                    self._inbox.done(ack_id)
                elif ack_id and claimed.retry_after_seconds is not None:
                    self._inbox.give_back(ack_id, claimed.retry_after_seconds)
                return
            work = claimed.work
            work.ack_ids.extend([ack_id] if ack_id else [])
            work.on_trouble = partial(self._in_trouble, work)
            work.span = attempt_at(work, received.traceparent, self._services.task)
            work.audits = [self._audit(work, channel) for channel in range(work.job.record.options.streams(work.media))]
            self._billing.open(work)
            with self._lock:
                self._works[work.id] = work
            self._threads.submit(self._prepare, work)

    def _audit(self, work: RunningJob, channel: int) -> AuditRunner:
        def decode_again(window: Chunk, deliver: Deliver) -> None:
            def heard(part: ChunkResult) -> None:
                try:
                    work.heard_again(part)
                    deliver(part.tokens)
                except Exception as error:
                    work.on_trouble(error)

            stays = not work.may_leave
            try:
                self._engines.submit(Task(work.id, window, heard, channel, stays, urgent=True, span=work.span))
            except EngineFailed:
                if self._engines.failure is not None or self._stopping.is_set():
                    raise
                # Only the engines that may hear this upload are gone: no other attempt is coming.
                deliver(())

        services = self._services
        return AuditRunner(
            Audit(services.auditing),
            services.detector,
            self._auditors,
            decode_again,
            partial(self._later, self._end_if_complete, work),
        )

    def _prepare(self, work: RunningJob) -> None:
        with work.about():
            self._engines.feeding(+1)
            try:
                prepare(work, self._services.storage, self._engines, self._services.recipe)
            except (BadMedia, Rejected) as error:
                self._leaving.end(work, rejected(error))
            except EngineFailed as error:
                # A stopped engine room refuses chunks: then this upload is handed over, not failed.
                if self._engines.failure is None and not self._stopping.is_set():
                    self._leaving.end(work, failed(error))
            except Exception as error:
                # Network, disk, memory: none of it is the upload's fault, so another attempt may do better.
                _log.exception("preparing failed")
                self._leaving.give_back(work, f"Preparing the file failed ({type(error).__name__}: {error}).")
            else:
                self._end_if_complete(work)
            finally:
                self._engines.feeding(-1)

    def _in_trouble(self, work: RunningJob, error: Exception) -> None:
        with work.about():
            _log.error("an answer could not be taken", exc_info=error)
        self._later(self._leaving.give_back, work, f"An answer could not be taken ({type(error).__name__}: {error}).")

    def _delivered(self, tasks: Sequence[Task]) -> None:
        for job_id in {task.job_id for task in tasks}:
            work = self._works.get(job_id)
            if work is not None and work.is_complete():
                self._later(self._end_if_complete, work)

    def _later(self, call: Callable[..., None], work: RunningJob, *more: str) -> None:
        """On a thread that may take its time. Once the worker leaves, its uploads were handed over."""
        try:
            self._threads.submit(call, work, *more)
        except RuntimeError:
            with work.about():
                _log.info("too late")

    def _end_if_complete(self, work: RunningJob) -> None:
        if not work.is_complete():
            return
        with work.about():
            try:
                with tracing.span("assemble"):
                    ending = ending_of(work, self._engines.model, self._services)
            except Exception as error:
                # Nobody looks at this thread's result: an upload that cannot be ended would be kept alive for ever.
                _log.exception("assembling failed")
                self._leaving.give_back(work, f"Assembling the transcript failed ({type(error).__name__}: {error}).")
                return
            self._leaving.end(work, ending)

    def _forget(self, work: RunningJob) -> None:
        with self._lock:
            self._works.pop(work.id, None)
        self._wake.set()
