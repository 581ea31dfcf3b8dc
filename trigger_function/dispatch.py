"""Dispatch: a routed upload goes to Deepgram, or on the queue of the job, with an execution to take it from there."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from opentelemetry.trace import SpanKind

from shared.clock import now
from shared.costs.shard_plan import plan_shards
from shared.enums import JobDevice, Method
from shared.errors import DropscribeError, EngineFailed, best_effort
from shared.media import Media
from shared.messages import Decision, WorkItem
from shared.options.speaker_count import speakers_need_the_whole
from shared.state.faults import reason_of
from shared.state.finisher import PUBLISH_TIMEOUT_SECONDS
from shared.state.job_result import failed
from shared.state.jobs.open_markers import QueuedUpload
from shared.state.jobs.progress import current_progress
from shared.state.jobs.queued_item import work_item
from shared.state.jobs.record import Job, JobRecord, JobState
from shared.telemetry import tracing
from trigger_function.decide_and_reserve import reserve, reserve_fallback
from trigger_function.deepgram_call import transcribe_with_deepgram
from trigger_function.deepgram_finish import TooFewWords, finished_with_stored_answer
from trigger_function.gathering import GatheringUpload
from trigger_function.launch import launch
from trigger_function.routing.engines import deepgram_fallback_obstacle, job_fallback_obstacle
from trigger_function.services import Services

_log = logging.getLogger(__name__)


def dispatch(services: Services, job: Job) -> None:
    """Ask Deepgram, or queue the job. Raises what a redelivered event can mend; every other failure is an outcome."""
    with tracing.span("dispatch", method=routed(job)[1].method.value):
        _dispatch(services, job)


def _dispatch(services: Services, job: Job) -> None:
    media, decision = routed(job)
    if _may_be_answered(job.record, decision) and finished_with_stored_answer(services, job.record, is_last=True):
        return  # it is paid for, whatever was decided now
    if decision.method is not Method.DEEPGRAM:
        wait = decision.quote.gather_seconds if decision.quote else 0.0
        until = now() + timedelta(seconds=wait) if wait > 0 else None
        queued: Job | None = queue(services, _divided(services, job), gather_until=until)
        if queued is not None and until is not None:
            if not _is_due(services, queued, until):
                return
            # None: a worker was faster.
            queued = services.jobs.try_save(queued, lease_until=patience_ends(services), gather_until=None)
        if queued is not None:
            start_execution(services, queued)
        return
    try:
        transcribe_with_deepgram(services, job, media)
    except EngineFailed as error:
        _replace_deepgram(services, services.jobs.load(job.id) or job, decision, error)


def _may_be_answered(record: JobRecord, decision: Decision) -> bool:
    """Whether Deepgram's answer may be stored which nobody looks for who is asked now: of a run before this one, or of
    this one before its record was made anew. Where the better of two transcripts counts, the other one is made."""
    is_forgotten = decision.method is not Method.DEEPGRAM and record.deepgram_calls > 0
    return record.parts_run < record.run or (is_forgotten and not record.may_have_first_transcript)


def _replace_deepgram(services: Services, job: Job, decision: Decision, error: EngineFailed) -> None:
    """Queue a job that Deepgram failed on for Parakeet, where that is allowed and affordable; otherwise it failed."""
    if not services.settings.enable_fallback:
        _fail(services, job, error)
        return
    what = "deepgram heard too little" if isinstance(error, TooFewWords) else "deepgram failed"
    _log.warning(what, extra={"fields": {"kind": error.kind, "reason": error.reason}})
    instead = services.router.fallback(decision, Method.PARAKEET, f"{error.reason} Parakeet takes over.")
    media, _ = routed(job)
    device, options = job_device(services, instead), job.record.options
    if (obstacle := job_fallback_obstacle(device, options, media, services.router.engines)) is not None:
        reason = f"{error.reason} Parakeet cannot take over: {obstacle}."
        _fail(services, job, error if isinstance(error, TooFewWords) else EngineFailed(reason, error.kind))
        return
    changes: dict[str, Any] = {"decision": instead}
    if isinstance(error, TooFewWords):
        # The call is over: what it cost is known, and its transcript is kept.
        changes |= {"has_first_transcript": True, "spent": error.bill}
    if not reserve_fallback(services, job.record.model_copy(update=changes)):
        reason = f"{error.reason} Parakeet may not take over: it would cost more than is allowed or left."
        _fail(services, job, error if isinstance(error, TooFewWords) else EngineFailed(reason, error.kind))
        return
    launch_any(services, queue(services, _divided(services, services.jobs.save(job, **changes))))


def _fail(services: Services, job: Job, error: EngineFailed) -> None:
    """End the job, with Deepgram's transcript where that only has too few words."""
    if isinstance(error, TooFewWords) and finished_with_stored_answer(services, job.record, is_last=True):
        return
    # With a late answer the job has an outcome, and this one is dropped.
    services.late_answers.wait()
    services.finisher.finish(job.record, failed(error))


def _is_due(services: Services, job: Job, until: datetime) -> bool:
    """Whether an execution must be started for what has gathered, this job included; also where nobody knows."""
    media, decision = routed(job)
    device, audio_seconds = job_device(services, decision), media.duration_seconds * job.record.options.streams(media)
    due = True
    with best_effort("an upload was not counted among those that gather"):
        counted_seconds = own_model_seconds(services, job.record, device, audio_seconds)
        gathered = services.gathering[device].add(
            GatheringUpload(job_id=job.id, audio_seconds=counted_seconds, until=until)
        )
        due = gathered.is_due(now(), services.settings.gather_rules.audio_seconds)
    _log.info("gathering", extra={"fields": {"until": until, "due": due}})
    return due


def _divided(services: Services, job: Job) -> Job:
    """The job with its shards, where it is long enough to be divided, for its record: once, before its first item."""
    record, (media, decision) = job.record, routed(job)
    if decision.method is not Method.PARAKEET or record.shards or record.started_at is not None:
        return job
    rules, streams = services.settings.shard_rules, record.options.streams(media)
    slots = services.slots[job_device(services, decision)]
    if media.duration_seconds * streams <= rules.undivided_hours * 3600 or slots.count < 2:
        return job
    free = len(slots.view().free(slots.count))
    return job.changed(shards=plan_shards(media.duration_seconds, streams, free, rules))


def _work_items(services: Services, job: Job) -> list[WorkItem]:
    """One, or one for each shard that is not done; the whole job's again where it is to be assembled."""
    (media, decision), record = routed(job), job.record
    item = work_item(job, media, decision)
    states = services.jobs.shard_states(record) if record.shards else {}
    left = [one.number for one in record.shards if states.get(one.number) is not JobState.DONE]
    return [item.model_copy(update={"shard": number}) for number in left] or [item]


def queue(services: Services, job: Job, gather_until: datetime | None = None) -> Job:
    """Put the job, or its shards, on the queue of the Cloud Run job that was decided.

    A second item does no harm: a worker skips what is done or held by another one. `gather_until`: when the reconciler
    is to start an execution for it, where none took it before; None: one is started now.
    """
    _, decision = routed(job)
    # The record says "queued" before the item is published: a worker may have it before this process goes on.
    until = gather_until or patience_ends(services)
    job = services.jobs.save(
        job, state=JobState.QUEUED, lease_until=until, gather_until=gather_until, retry_at=None, queued_at=now()
    )
    device = job_device(services, decision)
    with tracing.span("queue", kind=SpanKind.PRODUCER, job_id=job.id):
        attributes: dict[str, Any] = {"job_id": job.id, "method": decision.method.value, **tracing.carrier()}
        topic = services.work_topics[device]
        try:
            published = [
                services.publisher.publish(topic, item.model_dump_json().encode(), **attributes)
                for item in _work_items(services, job)
            ]
            for one in published:
                one.result(timeout=PUBLISH_TIMEOUT_SECONDS)
        except Exception as error:
            # No worker will come for it, and none is to blame: the reconciler queues it again.
            with best_effort("a job that could not be queued waits for its time to pass"):
                services.jobs.try_save(job, lease_until=now(), retry_at=now(), last_error=reason_of(error))
            raise
    # Behind the message: where the mark stands, the queue has the upload.
    with best_effort("an upload was not marked as queued"):
        _mark_queued(services, job, device)
    services.events.publish(lambda: current_progress(services.jobs, job.record))
    return job


def _mark_queued(services: Services, job: Job, device: JobDevice) -> None:
    """Count the job in the backlog of its queue, from which follows how many executions run."""
    record, limits = job.record, services.router.policy.limits
    media, decision = routed(job)
    minutes = limits.deadline_minutes(record.options)
    share = decision.quote.deepgram_share if decision.quote else 0.0
    audio_seconds = (1 - share) * media.duration_seconds * record.options.streams(media)
    queued = QueuedUpload(
        device=device,
        audio_seconds=own_model_seconds(services, record, device, audio_seconds),
        speakers_seconds=_heard_speakers_seconds(services, record, media.duration_seconds),
        due=None if minutes is None else record.received_at + timedelta(minutes=minutes),
        queued_at=record.queued_at or now(),
        shards=len(record.shards),
    )
    services.queued.add(job.id, queued, record.run)
    services.jobs.markers.mark_queued(job.id, queued, record.run)


def _heard_speakers_seconds(services: Services, record: JobRecord, duration_seconds: float) -> float:
    """Audio of an upload of which is found out who speaks by those that take its items: of shards none, where who
    assembles them hears the whole."""
    if not record.options.tells_speakers_apart:
        return 0.0
    model = services.settings.speaker_model
    return 0.0 if record.shards and speakers_need_the_whole(model, record.options.speakers) else duration_seconds


def own_model_seconds(services: Services, record: JobRecord, device: JobDevice, audio_seconds: float) -> float:
    """Audio of an upload as queues count it: as much as the deployment's own model does in the time of the upload's."""
    model = services.router.engines.languages.model_for(record.options.language)
    hardware = services.settings.hardware(device)
    if model is None or hardware is None:
        return audio_seconds
    speeds = services.speeds.speeds(services.settings.initial_speeds(services.settings.shape.gpu))
    return speeds.own_model_seconds(audio_seconds, hardware, model)


def patience_ends(services: Services) -> datetime:
    """When the reconciler looks after a job that is queued now."""
    return now() + timedelta(seconds=services.settings.queue_patience_seconds)


def job_device(services: Services, decision: Decision) -> JobDevice:
    """Which job a decision is for; one that does not say is for the GPU job, where there is one."""
    return decision.device or (JobDevice.GPU if services.settings.has_gpu_job else JobDevice.CPU)


def launch_any(services: Services, job: Job) -> bool:
    """See that an execution runs for a queued job: of the Cloud Run job that was decided, or else of the other one.

    False where neither starts.
    """
    return launch(services, job_device(services, routed(job)[1]), job.id) or _launch_other(services, job)


def start_execution(services: Services, job: Job) -> None:
    """Start an execution for a queued job, or else ask Deepgram. Where neither can be, the reconciler tries again."""
    media, decision = routed(job)
    device = job_device(services, decision)
    if launch(services, device, job.id):
        return
    if device is JobDevice.CPU or services.router.policy.thresholds.is_small(media):
        # The GPU is the faster one, and a small file is soon done on a CPU, cheaper than Deepgram.
        taken = _launch_other(services, job) or fall_back_to_deepgram(services, job, media)
    else:
        taken = fall_back_to_deepgram(services, job, media) or _launch_other(
            services, services.jobs.load(job.id) or job
        )
    if not taken:
        mark_not_launched(services, job.id)


def mark_not_launched(services: Services, job_id: str) -> Job | None:
    """Write down that no execution could be started for a queued job, so that nobody is blamed who did not come: it is
    tried again until MAX_WAIT_HOURS. The job; None where a worker was faster."""
    job = services.jobs.load(job_id)
    if job is None or job.record.state is not JobState.QUEUED:
        return None
    return services.jobs.try_save(job, retry_at=now())


def _launch_other(services: Services, job: Job) -> bool:
    """Move a queued job to the queue of the other Cloud Run job, and see that an execution of that one runs.

    The item on the first queue stays: whoever gets it finds out whether something is left to do. False, and queued as
    before, where there is no other job, it cannot hold the file, it does not start, or it would cost more than is
    allowed or left.
    """
    before, (media, decision) = job.record, routed(job)
    device = job_device(services, decision)
    other = JobDevice.CPU if device is JobDevice.GPU else JobDevice.GPU
    exists = services.settings.cpu_job is not None if other is JobDevice.CPU else services.settings.has_gpu_job
    if not exists or job_fallback_obstacle(other, before.options, media, services.router.engines) is not None:
        return False
    because = f"No execution of the {device.upper()} job could be started: {other.upper()} job."
    moved = decision.model_copy(update={"device": other, "reason": f"{decision.reason} {because}"})
    if not reserve_fallback(services, job.record.model_copy(update={"decision": moved})):
        reserve(services, job.record)
        return False
    # On the queue first, and then a launch: so an execution that is about to end sees it.
    job = queue(services, services.jobs.save(job, decision=moved))
    if launch(services, other, job.id):
        return True
    _back_to_queue(services, job, before)
    return False


def fall_back_to_deepgram(services: Services, job: Job, media: Media) -> bool:
    """Take a queued job back to Deepgram; False, and queued as before, where that is not allowed or fails."""
    engines = services.router.engines
    before, (_, decision) = job.record, routed(job)
    if not engines.fallback or deepgram_fallback_obstacle(before.options, media, engines) is not None:
        return False
    lease = now() + timedelta(seconds=services.settings.claim_seconds)
    instead = services.router.fallback(decision, Method.DEEPGRAM, "No job could be started: Deepgram.")
    if not reserve_fallback(services, job.record.model_copy(update={"decision": instead})):
        _back_to_queue(services, job, before)
        return False
    job = services.jobs.save(job, state=JobState.CLAIMED, lease_until=lease, decision=instead)
    with best_effort("an upload is still marked as queued"):
        services.queued.remove(job.id)
        services.jobs.markers.mark_queued(job.id, None, job.record.run)
    try:
        transcribe_with_deepgram(services, job, media)
    except EngineFailed as error:
        _log.warning("deepgram failed as fallback", extra={"fields": {"kind": error.kind, "reason": error.reason}})
        _back_to_queue(services, services.jobs.load(job.id) or job, before)
        return False
    return True


def _back_to_queue(services: Services, job: Job, before: JobRecord) -> None:
    """The record says again what the item says that was queued, and the ledger holds its predicted cost.

    No item is published, so it waits from when that one was: the reconciler finds out in time where it was lost.
    """
    job = services.jobs.save(
        job,
        state=JobState.QUEUED,
        lease_until=patience_ends(services),
        gather_until=None,
        decision=before.decision,
        queued_at=before.queued_at,
    )
    with best_effort("an upload was not marked as queued"):
        _mark_queued(services, job, job_device(services, routed(job)[1]))
    reserve(services, job.record)


def routed(job: Job) -> tuple[Media, Decision]:
    """What inspection and routing left in the record."""
    media, decision = job.record.media, job.record.decision
    if media is None or decision is None:
        raise DropscribeError("A job was dispatched before it was routed.")
    return media, decision
