"""The reconciler: every job that is not terminal and has gone quiet is moved on, or fails with a reason."""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from pydantic import ValidationError

from shared.clock import now
from shared.enums import JobDevice, Outcome
from shared.errors import DropscribeError, FailureKind, StateConflict, best_effort
from shared.state.job_result import exhausted, failed, waited_too_long
from shared.state.jobs.open_markers import OpenMarker, QueuedUpload
from shared.state.jobs.record import Job, JobState, new_holder
from shared.state.jobs.shards import ShardsProgress, shards_progress
from shared.state.launcher import Launcher
from shared.telemetry import tracing
from shared.telemetry.logs import job_context
from shared.unreadable import NewerVersion
from trigger_function.decide_and_reserve import alert_on_budget
from trigger_function.deepgram_finish import finished_with_stored_answer
from trigger_function.dispatch import (
    fall_back_to_deepgram,
    job_device,
    launch_any,
    mark_not_launched,
    patience_ends,
    queue,
    routed,
    start_execution,
)
from trigger_function.handle_upload import handle, proceed
from trigger_function.reconciler.unreadable import NEWER_VERSION, look_after_lost_record, look_after_unreadable
from trigger_function.services import Services

_log = logging.getLogger(__name__)


THREADS = 16
"""Jobs that are looked after at once: nearly all of the time goes to Cloud Storage."""

START_SECONDS = 60.0
"""Of a tick, in which jobs are begun with. One may take minutes, with Deepgram; the function has nine in all. What is
left is the next tick's, which takes them in another order."""

LEAST_REPUBLISH = timedelta(hours=1)
"""A published item is not published again before, while executions work through its queue."""

WAIT_MARGIN = 2.0
"""Of the time that the executions should need for the whole queue, after which an item counts as lost."""


class _Tick:
    """One call of the reconciler, and what it found of the queues."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._drain_seconds = {device: _drain_seconds(launcher) for device, launcher in services.launchers.items()}

    def waits_its_turn(self, queued: QueuedUpload | None) -> bool:
        """Whether a job's queue has its item, and executions are at work that will come to it."""
        drain = None if queued is None else self._drain_seconds.get(queued.device)
        if queued is None or drain is None:
            return False
        return now() - queued.queued_at < max(LEAST_REPUBLISH, timedelta(seconds=WAIT_MARGIN * drain))

    def is_quiet(self, marker: OpenMarker) -> bool:
        """Whether a job is to be looked after, as far as its marker says."""
        patience = timedelta(seconds=self.services.settings.queue_patience_seconds)
        queued = marker.queued
        is_new = queued is not None and now() - (queued.seen_at or queued.queued_at) < patience
        return not (is_new and self.waits_its_turn(queued))

    def look_after(self, marker: OpenMarker) -> str:
        """Move a job on that went quiet, in whatever way; what was done, in a word or two."""
        with job_context(marker.job_id):
            try:
                return _reconcile(self, marker)
            except StateConflict:
                return "busy"
            except (ValidationError, NewerVersion) as error:
                _log.exception("job not reconciled")
                return self._mend(marker, error)
            except Exception:
                _log.exception("job not reconciled")
                return "error"

    def _mend(self, marker: OpenMarker, error: ValidationError | NewerVersion) -> str:
        """Behind an error that something which cannot be read may have raised."""
        try:
            done = look_after_unreadable(self.services, marker)
            return done or (NEWER_VERSION if isinstance(error, NewerVersion) else "error")
        except StateConflict:
            return "busy"
        except NewerVersion:
            return NEWER_VERSION
        except Exception:
            _log.exception("a job of which something cannot be read was not looked after")
            return "error"


def _drain_seconds(launcher: Launcher) -> float | None:
    """None where the slots cannot be read, too: that is no reason to leave the other jobs."""
    with best_effort("a job's queue was not looked at"):
        return launcher.drain_seconds()
    return None


def reconcile_all(services: Services) -> dict[str, int]:
    """Look at every open job once; how many of them were `waiting`, `restarted`, `queued again`, ...

    Jobs that were queued a short while ago, and whose queue is worked on, cost no call of their own; the others are
    looked after side by side. A job that raises is counted as `error` and does not stop the others.
    """
    with best_effort("costs of killed executions were not booked"):
        _book_killed_executions(services)
    alert_on_budget(services)
    tick, ends = _Tick(services), time.monotonic() + START_SECONDS
    done: Counter[str] = Counter()
    quiet, waiting = list[OpenMarker](), list[OpenMarker]()
    for marker in services.jobs.markers.all():
        if not tick.is_quiet(marker):
            done["waiting"] += 1
        elif tick.waits_its_turn(marker.queued):
            waiting.append(marker)
        else:
            quiet.append(marker)
    # In any order: where a tick does not get through, the next one does not get stuck at the same jobs. Those whose
    # turn will come, last, however many they are.
    random.shuffle(quiet)
    random.shuffle(waiting)

    def look_after(marker: OpenMarker) -> str:
        return tick.look_after(marker) if time.monotonic() < ends else "left"

    with ThreadPoolExecutor(THREADS, thread_name_prefix="reconcile") as threads:
        done.update(threads.map(look_after, quiet + waiting))
    return dict(done)


def _book_killed_executions(services: Services) -> None:
    """Of executions whose workers went silent: what they cost that is on no upload's bill."""
    at = now()
    services.execution_costs.close_all_killed(lambda costs: costs.alive_until < at, at)


def _reconcile(tick: _Tick, marker: OpenMarker) -> str:
    services = tick.services
    job = services.jobs.load(marker.job_id)
    if job is None:
        return _without_record(services, marker)
    if marker.run > job.record.run:
        return _close_unbegun(services, marker)
    is_leased = job.record.lease_until > now()
    if is_leased and job.record.state is not JobState.QUEUED and marker.run == job.record.run:
        # Also where it has an outcome: its holder is about to publish it, and it need not be published twice.
        return "waiting"
    outcome = services.jobs.outcome(job.id, marker.run)
    if outcome is not None:
        with tracing.continue_trace(job.record.traceparent):
            services.finisher.publish(outcome)
        return "published"
    if marker.run < job.record.run:
        # Its outcome was published, or the next run could not have begun, and is gone since.
        _log.warning("a run before the job's own has no outcome", extra={"fields": {"run": marker.run}})
        services.jobs.markers.close(marker.job_id, marker.run)
        return "closed"
    if is_leased:
        return "waiting"
    is_to_assemble = was_taken = False
    waits_since = job.record.received_at
    if job.record.state is JobState.QUEUED and job.record.shards:
        progress = shards_progress(services.jobs, job.record)
        waits_since = progress.waits_since(waits_since)
        if progress.is_alive:
            # Whatever time the others wait: workers are at it.
            services.jobs.save(job, lease_until=patience_ends(services), dispatches=0)
            return "waiting"
        _record_lost_shards(services, job, progress)
        was_taken = progress.newest_write != job.record.shards_seen
        if was_taken:
            # Workers came since the items were published last.
            job = services.jobs.save(job, shards_seen=progress.newest_write, dispatches=0)
        # Then its item comes again within minutes, or it was lost.
        is_to_assemble = not progress.left
    may_be_tried = job.record.attempts_so_far < services.settings.max_attempts
    is_waiting = job.record.state is JobState.QUEUED and may_be_tried and not is_to_assemble
    queued = marker.queued if is_waiting else None
    if queued is not None and tick.waits_its_turn(queued):
        # However long the queue is, and whatever time the job has waited: it is neither queued again nor given up. The
        # marker says so, and the record stays as the item knows it.
        services.jobs.markers.mark_queued(job.id, queued.model_copy(update={"seen_at": now()}), marker.run)
        return "waiting"
    with tracing.span("reconcile", parent=tracing.context_of(job.record.traceparent), job_id=job.id):
        return _advance(services, job, waits_since, was_taken=was_taken)


def _without_record(services: Services, marker: OpenMarker) -> str:
    if services.jobs.load_stored(marker.job_id) is not None:  # it was erased
        services.jobs.markers.close(marker.job_id, marker.run)
        return "closed"
    opened = services.jobs.markers.read(marker.job_id, marker.run)
    if opened is None or now() - opened.opened_at < timedelta(seconds=services.settings.claim_seconds):
        return "waiting"
    done = look_after_lost_record(services, marker, opened)
    if done is None:
        # Its process ended between marker and record.
        handle(services, opened.upload)
    return done or "restarted"


def _close_unbegun(services: Services, marker: OpenMarker) -> str:
    """A re-run whose process may have ended between marker and record: then the job has ended as before."""
    opened = services.jobs.markers.read(marker.job_id, marker.run)
    if opened is None or now() - opened.opened_at < timedelta(seconds=services.settings.claim_seconds):
        return "waiting"
    return "closed" if services.jobs.close_unbegun(marker.job_id, marker.run) else "waiting"


def _advance(services: Services, job: Job, waits_since: datetime, *, was_taken: bool) -> str:
    """Try again what a quiet job waited for, unless it waited too long or too often. `was_taken`: whether workers took
    shards of it since it was queued."""
    settings, record = services.settings, job.record
    if now() - waits_since > timedelta(hours=settings.max_wait_hours):
        return _give_up(services, job, waited_too_long(record, settings.max_wait_hours))
    if record.state is JobState.CLAIMED and record.attempts_so_far < settings.max_attempts:
        lease = now() + timedelta(seconds=settings.claim_seconds)
        taken = services.jobs.try_save(job, holder=new_holder("reconciler"), lease_until=lease)
        if taken is None:
            return "busy"
        proceed(services, taken)
        return "restarted"
    if record.gather_until is not None and record.state is JobState.QUEUED and record.started_at is None:
        # Nobody came in time. Queued again, for its first item may never have been published.
        start_execution(services, queue(services, job))
        return "gathered"
    if record.attempts_so_far >= settings.max_attempts:
        return _give_up(services, job, exhausted(record))
    if record.dispatches >= settings.max_attempts:
        if fall_back_to_deepgram(services, job, routed(job)[0]):
            return "sent to deepgram"
        return _give_up(services, job, f"The file was queued {record.dispatches} times and no worker took it.")
    # While an execution runs, the item may just be far back in the queue, which is no failure.
    device = job_device(services, routed(job)[1])
    # Where it was given back after a fault of a service, a worker did take it; where none was started, none could.
    was_taken = was_taken or record.retry_at is not None
    in_vain = 0 if was_taken or services.slots[device].view().is_running else 1
    if record.state is JobState.RUNNING or in_vain:
        _record_gpu_failure(services, job, device)
    # The record says no more that the job was running, once it is queued.
    changes = {
        "dispatches": record.dispatches + in_vain,
        "attempts": record.attempts_so_far,
        "lost_attempts": record.lost_so_far,
    }
    job = queue(services, services.jobs.save(job, **changes))
    if launch_any(services, job):
        return "queued again"
    waiting = mark_not_launched(services, job.id)
    if waiting is not None and fall_back_to_deepgram(services, waiting, routed(waiting)[0]):
        return "sent to deepgram"
    return "queued again"


def _record_lost_shards(services: Services, job: Job, progress: ShardsProgress) -> None:
    device = job_device(services, routed(job)[1])
    for shard in progress.lost:
        _record_gpu_failure(services, shard, device)


def _record_gpu_failure(services: Services, job: Job, device: JobDevice) -> None:
    """Where a worker of the GPU job went silent with an upload (INTERNAL), or none took it from its queue (TIMEOUT)."""
    settings, record = services.settings, job.record
    # Of a shard, too: all shards of one bad file are one failure to the circuit, and its trial is an upload.
    upload_job_id = record.upload.job_id
    if record.state is JobState.RUNNING:
        # Cloud Run names an execution after its job: `transcribe-x7k2p`, and the worker itself after its execution.
        job_name = record.holder.partition("/")[0].rpartition("-")[0]
        if settings.gpu_job is not None and job_name == settings.gpu_job.rpartition("/")[2]:
            services.gpu.record_failure(FailureKind.INTERNAL, upload_job_id)
    elif settings.has_gpu_job and device is JobDevice.GPU:
        services.gpu.record_failure(FailureKind.TIMEOUT, upload_job_id)


def _give_up(services: Services, job: Job, reason: str) -> str:
    # Deepgram's answer may be late: then the job has an outcome, and this one is dropped.
    services.late_answers.wait()
    if finished_with_stored_answer(services, job.record, is_last=True):
        return "finished"
    # A worker claims an upload that nobody had without reading its record: written once more, the record is read.
    job = services.jobs.save(job)
    # With a transcript that an earlier attempt stored, it is finished all the same.
    standing = services.finisher.finish(job.record, failed(DropscribeError(reason, FailureKind.TIMEOUT)))
    return "failed" if standing.outcome is Outcome.FAILED else "finished"
