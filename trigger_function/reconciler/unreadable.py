"""What becomes of a job of which an object cannot be read, or whose record was lost.

A damaged object is copied aside before another one takes its place, by a write that fails where somebody has written it
meanwhile; so a tick that is cut short does the same again. docs/operations.md has the table.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from pydantic import BaseModel, ValidationError

from shared import objects
from shared.clock import now
from shared.costs.bill import Bill
from shared.costs.shard_plan import shard_work_id
from shared.enums import Outcome
from shared.errors import FailureKind
from shared.media import Upload
from shared.messages import Receipt, TerminalMessage
from shared.state.job_result import JobResult
from shared.state.jobs.object_names import marker_name, outcome_name, record_name, unreadable_folder
from shared.state.jobs.open_markers import OpenJob, OpenMarker, opened_text
from shared.state.jobs.rebuilt_record import readable_fields, readable_upload, rebuilt_record, rebuilt_shard_record
from shared.state.jobs.record import Job, JobRecord
from shared.state.jobs.shards import close_known_shards
from shared.unreadable import UNREADABLE_AFTER, is_newer, kept_aside, set_aside
from trigger_function.reconciler.lost_costs import possibly_spent, reservation_of
from trigger_function.reconciler.sweep import request_sweep
from trigger_function.services import Services

_log = logging.getLogger(__name__)

NEWER_VERSION = "newer version"
"""What a tick counts where something waits for the release that wrote it."""

OUTCOME_LOST = "The reason could not be read any more."

_WITH_TRANSCRIPT = (Outcome.COMPLETED, Outcome.COMPLETED_WITH_GAPS)


@dataclass(frozen=True)
class _Unreadable:
    """An object that is there and cannot be read."""

    name: str
    stored: objects.Versioned
    written_at: datetime
    is_newer: bool

    @property
    def folder(self) -> str:
        return unreadable_folder(self.name)


def look_after_unreadable(services: Services, marker: OpenMarker) -> str | None:
    """What was done about a job of which something cannot be read, in a word or two; None where all of it can be.

    Raises StateConflict where somebody has written it meanwhile, and what the storage client raises.
    """
    job_id, run = marker.job_id, marker.run
    found = list(_unreadable(services, marker))
    if not found:
        return None
    for one in found:
        if one.is_newer:
            _log.warning("an object waits for the newer release that wrote it", extra={"fields": {"object": one.name}})
            return NEWER_VERSION
    by_name = {one.name: one for one in found}
    record, outcome = by_name.get(record_name(job_id)), by_name.get(outcome_name(job_id, run))
    if record is not None and outcome is None and (standing := services.jobs.outcome(job_id, run)) is not None:
        # Nobody waits for what has ended, and nobody writes its record any more.
        _rebuild(services, standing.upload, run, standing.received_at, record)
        services.finisher.publish(standing)
        return "published"
    young = [one.name for one in found if now() - one.written_at < UNREADABLE_AFTER]
    if young:
        _log.warning("an object cannot be read", extra={"fields": {"object": young[0], "waits": UNREADABLE_AFTER}})
        return "unreadable"
    if (of_marker := by_name.get(marker_name(job_id, run))) is not None:
        if record is None and services.jobs.load(job_id) is not None:
            # Of a run that was never begun: the job has ended as before.
            return "closed" if services.jobs.close_unbegun(job_id, run) else "waiting"
        return _without_marker(services, marker, of_marker, record)
    if record is not None:
        opened = services.jobs.markers.read(job_id, run)
        if opened is None or _is_about_to_begin(services, opened, record):
            return "waiting"
        _rebuild(services, opened.upload, run, opened.opened_at, record)
        return "rebuilt"
    job = services.jobs.load(job_id)
    if job is None:
        return _without_record_too(services, marker)
    _rebuild_shards(services, job.record, by_name)
    return "rebuilt" if outcome is None else _end_again(services, job, run, outcome)


def _is_about_to_begin(services: Services, opened: OpenJob, record: _Unreadable) -> bool:
    """Whether a process may be between a run's marker and its record: what stands there is of the run before."""
    is_of_run_before = record.written_at < opened.opened_at
    return is_of_run_before and now() - opened.opened_at < timedelta(seconds=services.settings.claim_seconds)


def _without_record_too(services: Services, marker: OpenMarker) -> str:
    """Of a job whose outcome cannot be read, and whose record is gone: with a record, the next tick ends it again."""
    job_id, run = marker.job_id, marker.run
    opened = services.jobs.markers.read(job_id, run)
    if opened is None:
        return "waiting"
    if services.jobs.load_stored(job_id) is not None:  # it was erased
        services.jobs.markers.close(job_id, run)
        return "closed"
    _rebuild(services, opened.upload, run, opened.opened_at, None)
    return "rebuilt"


def look_after_lost_record(services: Services, marker: OpenMarker, opened: OpenJob) -> str | None:
    """What was done about an open job that has no record; None where it never had one, as far as anything shows.

    Raises as `look_after_unreadable` does.
    """
    job_id, run = marker.job_id, marker.run
    outcome = services.jobs.outcome(job_id, run)
    if outcome is not None:
        services.finisher.publish(outcome)
        return "published"
    if run == 1 and not _has_left_anything(services, job_id, opened):
        return None
    _log.warning("a job has lost its record")
    _rebuild(services, opened.upload, run, opened.opened_at, None)
    return "rebuilt"


def _has_left_anything(services: Services, job_id: str, opened: OpenJob) -> bool:
    if next(iter(services.state.list_blobs(prefix=f"jobs/{job_id}/", max_results=1)), None) is not None:
        return True
    return services.ledger.entry(opened.opened_at.astimezone(UTC).date(), job_id) is not None


def _unreadable(services: Services, marker: OpenMarker) -> Iterator[_Unreadable]:
    """Of what a reconciler or a finisher reads of a job, what cannot be read."""
    job_id, run = marker.job_id, marker.run
    damaged = list(_looked_at(services, record_name(job_id), JobRecord))
    yield from damaged
    yield from _looked_at(services, outcome_name(job_id, run), TerminalMessage)
    job = None if damaged else services.jobs.load_stored(job_id)
    if job is None or run > job.record.run:  # with the run's record, nobody reads the marker
        yield from _marker_looked_at(services, job_id, run)
        return
    for shard in job.record.shards:
        yield from _looked_at(services, record_name(shard_work_id(job_id, shard.number, job.record.run)), JobRecord)


def _looked_at(services: Services, name: str, model: type[BaseModel]) -> Iterator[_Unreadable]:
    blob, stored = services.state.get_blob(name), objects.read(services.state, name)
    if blob is not None and stored is not None:
        yield from _checked(name, stored, blob.time_created, model)


def _marker_looked_at(services: Services, job_id: str, run: int) -> Iterator[_Unreadable]:
    blob = services.jobs.markers.stored(job_id, run)
    if blob is not None:
        said = objects.Versioned(opened_text(blob).encode(), int(blob.generation))
        yield from _checked(marker_name(job_id, run), said, blob.time_created, OpenJob)


def _checked(
    name: str, stored: objects.Versioned, written_at: datetime, model: type[BaseModel]
) -> Iterator[_Unreadable]:
    try:
        model.model_validate_json(stored.data)
    except ValidationError:
        yield _Unreadable(name, stored, written_at, is_newer(stored.data, model))


def _without_marker(services: Services, marker: OpenMarker, damaged: _Unreadable, record: _Unreadable | None) -> str:
    """The marker of a job whose record cannot be read either, or is not there: nothing names the upload, but the bucket
    that it is in, or the outcome of a run before."""
    upload = None if record is None else readable_upload(record.stored.data, marker.job_id)
    if upload is None:
        upload = _upload_of_runs_before(services, marker)
    if upload is not None:
        _rebuild(services, upload, marker.run, damaged.written_at, record)
        return "rebuilt"
    if record is not None:
        set_aside(services.state, record.name, record.stored, record.folder)
    settings = services.settings
    if settings.uploads_bucket is None or settings.sweep_hours == 0:
        _log.error("an upload is lost that no sweep finds: upload it again")
    else:
        request_sweep(services.state)
    # Last, so that a tick that is cut short does the same again.
    set_aside(services.state, damaged.name, damaged.stored, damaged.folder)
    return "set aside"


def _upload_of_runs_before(services: Services, marker: OpenMarker) -> Upload | None:
    for run in range(marker.run - 1, 0, -1):
        with suppress(ValidationError):
            if (outcome := services.jobs.outcome(marker.job_id, run)) is not None:
                return outcome.upload
    return None


def _end_again(services: Services, job: Job, run: int, damaged: _Unreadable) -> str:
    """A job has ended, and how cannot be read: its transcript and its receipt say it once more. With neither, and where
    the transcript is lost that the receipt is of, it goes on as its record says."""
    if job.record.run != run:
        # A run before the job's own was published, or the next one could not have begun.
        set_aside(services.state, damaged.name, damaged.stored, damaged.folder)
        return "set aside"
    receipt = services.finisher.stored_receipt(job.record)
    result = services.finisher.stored_result(job.record)
    if result is None and receipt is not None and receipt.outcome in _WITH_TRANSCRIPT:
        _transcribe_again(services, job, receipt)
    elif result is None and receipt is not None:
        kind = FailureKind.INTERNAL if receipt.outcome is Outcome.FAILED else FailureKind.REFUSED
        result = JobResult(receipt.outcome, reason=OUTCOME_LOST, failure_kind=kind)
    if result is None:
        set_aside(services.state, damaged.name, damaged.stored, damaged.folder)
        return "set aside"
    kept_aside(services.state, damaged.name, damaged.stored, damaged.folder)
    record, generation = job.record, damaged.stored.generation
    if receipt is None:
        services.finisher.finish(record, result, replaces=generation)
    else:
        # Its bill has what the shards cost.
        record = record.model_copy(update={"shards": (), "decision": receipt.decision})
        result = replace(result, fallbacks=receipt.fallbacks)
        services.finisher.finish(record, result, receipt.bill, receipt.execution, replaces=generation)
    return "ended again"


def _transcribe_again(services: Services, job: Job, receipt: Receipt) -> None:
    """Of a job that has ended nothing is left but the receipt: it begins anew, with what it cost."""
    record = job.record
    kept = {**readable_fields(record.model_dump_json().encode(), record.upload), "spent": receipt.bill}
    anew = rebuilt_record(record.upload, record.run, record.received_at, kept, losses=1, spent=Bill(), calls=0)
    services.jobs.write_rebuilt(anew, job.generation)
    # Behind the record, which has its bill: the next outcome has another one.
    services.finisher.set_receipt_aside(record)


def _rebuild(services: Services, upload: Upload, run: int, opened_at: datetime, damaged: _Unreadable | None) -> None:
    """Write a job's record anew. `damaged`: what stands there; None: nothing."""
    job_id, losses = upload.job_id, 1
    if damaged is not None:
        kept_aside(services.state, damaged.name, damaged.stored, damaged.folder)
        # Those of a run before are no attempts at this one.
        copies = services.state.list_blobs(prefix=damaged.folder)
        losses = sum(one.time_created >= opened_at for one in copies)
    kept = readable_fields(damaged.stored.data, upload) if damaged is not None else {}
    run = max(run, kept.get("run", run), *services.jobs.runs(job_id))
    if kept.get("run", run) < run:
        kept = {}  # who began this run ended before the record: the run before has its own bill and attempts
    make = partial(rebuilt_record, upload, run, opened_at, losses=losses)
    spent, calls = Bill(), 0
    bare = make(kept, spent=spent, calls=calls)
    reserved = reservation_of(services, bare, is_day_known="received_at" in kept)
    if "spent" not in kept:
        spent, calls = possibly_spent(services, bare, kept.get("deepgram_calls"), reserved)
    record = make(kept, spent=spent, calls=calls)
    if "earlier_usd" not in kept:
        outcomes = [services.jobs.outcome(job_id, one) for one in range(1, run)]
        record = record.model_copy(update={"earlier_usd": sum(one.bill.usd for one in outcomes if one is not None)})
    # Nobody knows any more how it was divided; what its shards stored is used. Where its record was lost before, what
    # they cost may be in it.
    of_shards = close_known_shards(services.jobs, record).replaced(record.spent, Bill())
    record = record.model_copy(update={"spent": record.spent + of_shards})
    services.jobs.write_rebuilt(record, 0 if damaged is None else damaged.stored.generation)
    fields = {"kept": sorted(kept), "attempts": record.attempts, "usd": record.spent.usd}
    _log.error("a job's record was made anew", extra={"fields": fields})


def _rebuild_shards(services: Services, record: JobRecord, damaged: Mapping[str, _Unreadable]) -> None:
    for shard in record.shards:
        name = record_name(shard_work_id(record.upload.job_id, shard.number, record.run))
        if (one := damaged.get(name)) is None:
            continue
        kept_aside(services.state, name, one.stored, one.folder)
        losses = len(list(services.state.list_blobs(prefix=one.folder)))
        kept = readable_fields(one.stored.data, record.upload)
        services.jobs.write_rebuilt(rebuilt_shard_record(record, shard, kept, losses), one.stored.generation)
        _log.error("a shard's record was made anew", extra={"fields": {"shard": shard.number, "kept": sorted(kept)}})
