"""The way of one upload through the function: claim, inspect, decide and reserve, dispatch."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

from google.api_core.exceptions import GoogleAPICallError
from google.cloud import storage

from shared.clock import now
from shared.enums import Method
from shared.errors import BadMedia, Rejected, UploadNotReadable
from shared.formats.tracks import RequestedTrack
from shared.gzip_content import MAGIC, is_gzip_encoded
from shared.media import Media, Upload
from shared.messages import Decision
from shared.operations.rerun import parts_run_with
from shared.options.metadata_keys import REDACT_METADATA, REDACT_TERMS_METADATA
from shared.options.model import UploadOptions
from shared.redaction.kinds import Redact
from shared.state.faults import reason_of
from shared.state.job_result import failed, rejected
from shared.state.jobs.progress import progress_of
from shared.state.jobs.record import Job, JobRecord, new_holder
from shared.storage_errors import refusal_of
from shared.telemetry import tracing
from trigger_function.decide_and_reserve import decide_and_reserve
from trigger_function.dispatch import dispatch
from trigger_function.inspection.gzip_object import GzipObject
from trigger_function.inspection.inspector import inspect
from trigger_function.inspection.side_files import with_listed_keyterms, with_speakers_file
from trigger_function.routing.limits import UploadFacts
from trigger_function.services import Services
from trigger_function.settings.function import FunctionSettings
from trigger_function.webhooks.endpoints import check_allowed

_log = logging.getLogger(__name__)

READ_TIMEOUT_SECONDS = 30.0
"""Longest wait for one small ranged read."""


def handle(services: Services, upload: Upload) -> None:
    """Start the upload's transcription, once, however often its event is delivered."""
    job = services.jobs.claim(upload, new_holder("function"), timedelta(seconds=services.settings.claim_seconds))
    if job is None:
        _log.info("duplicate event", extra={"fields": {"upload": upload.uri}})
        return
    proceed(services, job)


def proceed(services: Services, job: Job) -> None:
    """Inspect, decide, reserve and dispatch a job that this process has claimed, from where an earlier attempt ended.

    An exception gives the claim back at once.
    """
    with _claim_returned_on_error(services, job), tracing.continue_trace(job.record.traceparent):
        services.events.publish(partial(progress_of, job.record))
        try:
            if job.record.decision is None:
                blob, options = _requested(services, job.record)
                if options.webhook is not None:
                    check_allowed(options.webhook, services.settings.webhook_allowed_origins)
                    # At once: that it is rejected is posted, too.
                    job = services.jobs.save(job, options=options)
                upload = _inspect(services, blob, options, job.record.upload)
                decision = _decide(services, job.record, upload)
                decided = {
                    "media": upload.media,
                    "decision": decision,
                    "options": upload.options,
                    "parts_run": parts_run_with(job.record, upload.options, services.settings.language),
                }
                # What goes on a queue is written by that: one write says both.
                is_saved = decision.method is Method.DEEPGRAM
                job = services.jobs.save(job, **decided) if is_saved else job.changed(**decided)
                services.events.publish(partial(progress_of, job.record))
        except (BadMedia, Rejected) as error:
            services.finisher.finish(job.record, rejected(error))
            return
        except UploadNotReadable as error:
            services.finisher.finish(job.record, failed(error))
            return
        dispatch(services, job)


@contextmanager
def _claim_returned_on_error(services: Services, job: Job) -> Iterator[None]:
    """So that the redelivered event, or the reconciler, need not wait for the claim to expire."""
    try:
        yield
    except Exception as error:
        current = services.jobs.load(job.id)
        if current is not None and current.record.holder == job.record.holder:
            services.jobs.try_save(current, lease_until=now(), last_error=reason_of(error))
        raise


def _requested(services: Services, record: JobRecord) -> tuple[storage.Blob, UploadOptions]:
    """The object with its properties, and what its owner requested, or who had it run again.

    Raises Rejected or UploadNotReadable, and the client's error where Cloud Storage may answer another time.
    """
    upload, requested = record.upload, record.requested
    blob = services.storage.bucket(upload.bucket).blob(upload.name, generation=upload.generation)
    with _refusals():
        blob.reload(timeout=READ_TIMEOUT_SECONDS)
        options = services.settings.rules.options(upload.name, blob.metadata or {})
        options = with_listed_keyterms(options, blob.bucket)
        options = with_speakers_file(options, blob.bucket, upload.name)
    options = options.with_redaction_of(services.settings.redaction)
    if Redact.CUSTOM in options.redact and not options.redact_terms:
        raise Rejected(f"{REDACT_METADATA}: custom needs {REDACT_TERMS_METADATA}.")
    return blob, options if requested is None else requested.of(options)


def _inspect(services: Services, blob: storage.Blob, options: UploadOptions, upload: Upload) -> UploadFacts:
    """What the upload is. Raises BadMedia, Rejected or UploadNotReadable, and as `_requested` does."""
    with tracing.span("inspect") as span, _refusals():
        media = inspect_blob(blob, services.settings, options.track)
        tracing.set_attributes(span, **media.model_dump(exclude={"tracks"}))
    return UploadFacts(upload.job_id, media, options)


@contextmanager
def _refusals() -> Iterator[None]:
    """What Cloud Storage will not answer another time either, as UploadNotReadable."""
    try:
        yield
    except GoogleAPICallError as error:
        if (refusal := refusal_of(error)) is not None:
            raise refusal from error
        raise


def _decide(services: Services, record: JobRecord, upload: UploadFacts) -> Decision:
    """The upload's method, with its predicted cost reserved. Raises Rejected."""
    with tracing.span("decide") as span:
        decision = decide_and_reserve(services, record, upload)
        tracing.set_attributes(span, method=decision.method.value, rule=decision.rule)
    _log.info("routed", extra={"fields": {"media": upload.media.model_dump(), "decision": decision.model_dump()}})
    return decision


def inspect_blob(blob: storage.Blob, settings: FunctionSettings, track: RequestedTrack | None = None) -> Media:
    """What an object is, by ranged reads; the blob's properties are loaded already.

    At most INSPECTION_MAX_BYTES of it are read, of an object that is stored with gzip encoding all of it and so much of
    its content, whose size is the media's. `track`: as `inspect` takes it. Raises BadMedia, and Rejected where the
    content is larger than MAX_UNPACKED_BYTES or has no such track.
    """

    def fetch(start: int, end: int) -> bytes:
        # Raw: Cloud Storage ignores ranges where it unpacks gzip encoding itself.
        return bytes(
            blob.download_as_bytes(
                start=start, end=end - 1, timeout=READ_TIMEOUT_SECONDS, checksum=None, raw_download=True
            )
        )

    size = int(blob.size)
    if is_gzip_encoded(blob.content_encoding) and size >= len(MAGIC) and fetch(0, len(MAGIC)) == MAGIC:
        content = GzipObject(fetch, size, settings.max_unpacked_bytes)
        return inspect(content.fetch, content.unpacked_size, track=track, max_bytes=settings.inspection_max_bytes)
    return inspect(fetch, size, track=track, max_bytes=settings.inspection_max_bytes)
