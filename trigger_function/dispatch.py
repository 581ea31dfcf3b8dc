"""Dispatch: a routed upload goes to Deepgram, or on the queue of the job, with an execution to take it from there."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Any

from google.auth.exceptions import GoogleAuthError
from opentelemetry.trace import SpanKind

from shared.clock import now
from shared.costs.bill import LineItemKind, deepgram_bill
from shared.costs.speeds import deepgram_figures
from shared.deepgram import Deepgram
from shared.enums import Method
from shared.errors import DropscribeError, EngineFailed, FailureKind
from shared.media import Media
from shared.messages import Decision, WorkItem
from shared.state.finisher import PUBLISH_TIMEOUT_SECONDS
from shared.state.job_result import completed, failed
from shared.state.jobs import Job, JobState
from shared.telemetry import tracing
from shared.transcript.compose import compose
from shared.transcript.model import missing_end, with_gap
from shared.upload_options import Channels
from trigger_function.decide_and_reserve import reserve, reserve_fallback
from trigger_function.launch import launch_cpu, launch_gpu
from trigger_function.routing.engines import deepgram_obstacle, deepgram_track_obstacle
from trigger_function.services import Services
from trigger_function.signed_url import signed_url

_log = logging.getLogger(__name__)


def dispatch(services: Services, job: Job) -> None:
    """Ask Deepgram, or queue the job. Raises what a redelivered event can mend; every other failure is an outcome."""
    with tracing.span("dispatch", method=routed(job)[1].method.value):
        _dispatch(services, job)


def _dispatch(services: Services, job: Job) -> None:
    media, decision = routed(job)
    if decision.method is not Method.DEEPGRAM:
        job = queue(services, job)
        _start_execution(services, job, media, decision)
        return
    try:
        _ask_deepgram(services, job, media)
    except EngineFailed as error:
        job = services.jobs.load(job.id) or job
        if not services.settings.enable_fallback:
            services.finisher.finish(job.record, failed(error))
            return
        _log.warning("deepgram failed", extra={"fields": {"kind": error.kind, "reason": error.reason}})
        instead = _fallback(decision, Method.PARAKEET, f"{error.reason} Parakeet takes over.")
        if not reserve_fallback(services, job.record.model_copy(update={"decision": instead})):
            reason = f"{error.reason} Parakeet may not take over: it would cost more than is allowed or left."
            services.finisher.finish(job.record, failed(EngineFailed(reason, error.kind)))
            return
        queue(services, services.jobs.save(job, decision=instead))
        launch_any(services, job.id)


def queue(services: Services, job: Job) -> Job:
    """Put the job on the queue. A second item does no harm: a worker skips what is done or held by another one."""
    media, decision = routed(job)
    # The record says "queued" before the item is published: a worker may have it before this process goes on.
    patience = timedelta(seconds=services.settings.queue_patience_seconds)
    job = services.jobs.save(job, state=JobState.QUEUED, lease_until=now() + patience)
    record = job.record
    item = WorkItem(job_id=job.id, upload=record.upload, media=media, decision=decision, options=record.options)
    with tracing.span("queue", kind=SpanKind.PRODUCER, job_id=job.id):
        attributes: dict[str, Any] = {"job_id": job.id, "method": decision.method.value, **tracing.carrier()}
        services.publisher.publish(services.work_topic, item.model_dump_json().encode(), **attributes).result(
            timeout=PUBLISH_TIMEOUT_SECONDS
        )
    return job


def launch_any(services: Services, job_id: str) -> bool:
    """See that an execution runs for a queued job, of the GPU job or else the CPU job. False where neither starts."""
    return launch_gpu(services, job_id) or launch_cpu(services)


def _start_execution(services: Services, job: Job, media: Media, decision: Decision) -> None:
    """Start an execution for a queued job, or else ask Deepgram. Where neither can be, the reconciler tries again."""
    if launch_gpu(services, job.id):
        return
    if _decided_for_cpu(decision) or services.router.policy.thresholds.is_small(media):
        # What was decided, or small enough for a CPU: cheaper than Deepgram, and soon done.
        _ = launch_cpu(services) or fall_back_to_deepgram(services, job, media)
    else:
        _ = fall_back_to_deepgram(services, job, media) or launch_cpu(services)


def _decided_for_cpu(decision: Decision) -> bool:
    """Whether the quote was made for the job without a GPU, because no GPU can be had."""
    kinds = {item.kind for item in decision.quote.bill.items} if decision.quote else set()
    return LineItemKind.CPU in kinds and LineItemKind.GPU not in kinds


def fall_back_to_deepgram(services: Services, job: Job, media: Media) -> bool:
    """Take a queued job back to Deepgram; False, and queued as before, where that is not allowed or fails."""
    engines = services.router.engines
    _, decision = routed(job)
    obstacle = deepgram_obstacle(media, engines) or deepgram_track_obstacle(media)
    if not engines.fallback or job.record.options.is_private or obstacle is not None:
        return False
    lease = now() + timedelta(seconds=services.settings.claim_seconds)
    instead = _fallback(decision, Method.DEEPGRAM, "No job could be started: Deepgram.")
    if not reserve_fallback(services, job.record.model_copy(update={"decision": instead})):
        _back_to_queue(services, job, decision)
        return False
    job = services.jobs.save(job, state=JobState.CLAIMED, lease_until=lease, decision=instead)
    try:
        _ask_deepgram(services, job, media)
    except EngineFailed as error:
        _log.warning("deepgram failed as fallback", extra={"fields": {"kind": error.kind, "reason": error.reason}})
        _back_to_queue(services, services.jobs.load(job.id) or job, decision)
        return False
    return True


def _back_to_queue(services: Services, job: Job, decision: Decision) -> None:
    """The record says again what the queued item says, and the ledger holds its predicted cost."""
    patience = timedelta(seconds=services.settings.queue_patience_seconds)
    job = services.jobs.save(job, state=JobState.QUEUED, lease_until=now() + patience, decision=decision)
    reserve(services, job.record)


def _fallback(before: Decision, method: Method, because: str) -> Decision:
    """The decision for another method, with the quotes as they were."""
    changes = {"method": method, "rule": f"{before.rule}-fallback", "reason": f"{before.reason} {because}"}
    return before.model_copy(update=changes)


def _ask_deepgram(services: Services, job: Job, media: Media) -> None:
    """Transcribe and finish. Raises EngineFailed."""
    settings, upload = services.settings, job.record.upload
    engine = Deepgram(settings, settings.deepgram_model)
    job = services.jobs.save(job, started_at=now())
    try:
        url = signed_url(services.storage, upload, timedelta(seconds=settings.signed_url_seconds))
    except GoogleAuthError as error:
        # A missing role on the service account: waiting for it would cost the upload a day.
        raise EngineFailed("The file's address could not be signed for Deepgram.", FailureKind.CREDENTIALS) from error
    began = time.monotonic()
    with tracing.span("deepgram", kind=SpanKind.CLIENT, model=settings.deepgram_model) as span:
        try:
            result = engine.transcribe(url, settings.language, split=job.record.options.channels is Channels.SPLIT)
        except EngineFailed as error:
            if error.may_be_billed:
                audio_seconds = media.duration_seconds * job.record.options.streams(media)
                bill = deepgram_bill(settings.deepgram_model, audio_seconds, media.size_bytes, services.prices)
                services.jobs.try_save(job, spent=job.record.spent + bill)
            raise
        tracing.set_attributes(span, duration_seconds=result.duration_seconds, channels=result.channels)
    # Deepgram bills what it decoded, which can differ from what the header promised.
    duration = result.duration_seconds or media.duration_seconds
    transcript = compose(
        job_id=upload.job_id,
        source=upload.uri,
        duration=duration,
        language=settings.language,
        model=result.model,
        passages=[result.passage],
        channels=result.channels,
        tracks=media.transcript_tracks(),
    )
    if (hole := missing_end(media, duration)) is not None:
        transcript = with_gap(transcript, hole)
    billed_seconds, answered = duration * result.channels, time.monotonic() - began
    bill = deepgram_bill(settings.deepgram_model, billed_seconds, media.size_bytes, services.prices)
    services.finisher.finish(job.record, completed(transcript), job.record.spent + bill)
    # The transcript is published before the speeds are updated.
    services.speeds.observe(deepgram_figures(billed_seconds, answered))


def routed(job: Job) -> tuple[Media, Decision]:
    """What inspection and routing left in the record."""
    media, decision = job.record.media, job.record.decision
    if media is None or decision is None:
        raise DropscribeError("A job was dispatched before it was routed.")
    return media, decision
