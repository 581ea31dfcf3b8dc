"""Erasure: everything of one upload goes, and a receipt without names says what it was.

    step                                                            killed behind it
    1  state    erasures/pending/<job>.json: what is to go          the next call, or the reconciler, goes on
    2  the job ends, as `rejected`, where it had not                the same; workers find it ended
    3  state    jobs/<job>/{record,outcome}.json lose every name    the same; a late event finds the record
    4  ledger   the folder in the job's lines becomes a hash        the same
    5  results, upload, the rest of jobs/<job>/ are deleted         the same
    6  state    voices/: what kept voices have of the job goes      the same
    7  state    erasures/<job>.json: the receipt                    the same
    8  state    erasures/pending/<job>.json is deleted              nothing is left to do

A worker that had the job notices with its next heartbeat, and may have stored something by then. So where one had it,
the receipt is complete only once its claim has run out, and what it left was deleted, too. The same where the job has
ended just now, and whoever ended it may still be publishing that.

The dollars stay, on the ledger and in the record of the outcome: what was spent was spent.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud.storage import Blob, Bucket

from shared import objects
from shared.clock import now
from shared.errors import Rejected, StateConflict
from shared.media import Upload
from shared.operations.erase_unreadable import ErasureRefused, ended_for_erasure, job_to_erase, readable_outcome
from shared.operations.erasure_records import (
    Erased,
    ErasureReceipt,
    PendingErasure,
    erasure_receipt,
    pending_erasure,
    pending_name,
    store_pending,
    store_receipt,
)
from shared.settings.deployment import DeploymentSettings
from shared.state.deployment import Deployment
from shared.state.finisher import PUBLISH_TIMEOUT_SECONDS
from shared.state.job_result import rejected
from shared.state.jobs.object_names import outcome_name, record_name
from shared.state.jobs.rebuilt_record import readable_upload
from shared.state.jobs.record import Job, JobState, new_holder
from shared.state.jobs.shards import shards_progress
from shared.state.jobs.store import JobStore
from shared.state.ledger_entry import entry_id
from shared.state.result_files import ResultFiles
from shared.telemetry.logs import job_context
from shared.voices.store import forget_job

_log = logging.getLogger(__name__)

ERASE_TRIES = 5
"""Writes of the record against a worker's heartbeats."""

LEASE_MARGIN = timedelta(seconds=60)
"""After a worker's claim has run out: what it was storing then is there, or never will be."""

PUBLISHING = timedelta(seconds=PUBLISH_TIMEOUT_SECONDS) + LEASE_MARGIN
"""In which whoever has just ended a job may still write its receipt and its line in the ledger, which name it."""

LAST_EVENT = timedelta(hours=25)
"""After an upload, in which its event may be delivered still; Eventarc gives it up after 24 h."""

CLAIM_SECONDS = 60.0
"""Of the claim by which an upload that has no record gets one."""

THREADS = 8
"""Deletions at once."""

REASON = "The upload was erased on request."


@dataclass(frozen=True)
class _Places:
    """Where things of one upload lie."""

    state: Bucket
    results: Bucket
    results_folder: str
    """Of the bucket of unredacted transcripts, too."""
    job_folder: str
    unredacted: Bucket | None = None

    @property
    def with_results(self) -> tuple[Bucket, ...]:
        """The buckets in which `results_folder` may be."""
        return (self.results,) if self.unredacted is None else (self.results, self.unredacted)


def erase(
    deployment: Deployment, settings: DeploymentSettings, job_id: str, upload: Upload | None = None
) -> ErasureReceipt:
    """Erase a job. Whoever asks again gets the same receipt, and what was interrupted goes on.

    `upload`: where it is known that there is one though the job has no record yet. Raises ErasureRefused, StateConflict
    where the record is being changed again and again, and what the storage client and the publisher raise.
    """
    with job_context(job_id):
        receipt = erasure_receipt(deployment.state, job_id)
        if receipt is not None and receipt.complete:
            objects.delete(deployment.state, pending_name(job_id))  # step 8, of a process that was killed
            return receipt
        pending, job = pending_erasure(deployment.state, job_id), job_to_erase(deployment, job_id, upload)
        if pending is None and job is None:
            pending = _begun_anew(deployment, settings, job_id, upload)
        if pending is None and job is None:
            if upload is None:
                raise ErasureRefused("There is no such job.")
            if _has_expired(deployment, upload):
                return _delete(deployment, settings, job_id, _begin_expired(deployment, settings, upload))
            job = _opened(deployment.jobs, upload)
        if job is not None:
            pending = _begin(deployment, settings, job, pending)
            _end(deployment, job_id)
        if pending is None:
            raise StateConflict("another process erases the job")
        return _delete(deployment, settings, job_id, pending)


def _opened(jobs: JobStore, upload: Upload) -> Job | None:
    """The record of an upload whose event has not arrived: with one, that finds the job erased."""
    claimed = jobs.claim(upload, new_holder("erase"), timedelta(seconds=CLAIM_SECONDS))
    return claimed or jobs.load(upload.job_id)


def _has_expired(deployment: Deployment, upload: Upload) -> bool:
    """Whether an upload without a record had a job once, whose record went with the bucket's lifecycle."""
    blob = _upload_blob(deployment, upload)
    return blob is not None and now() - blob.time_created > LAST_EVENT


def _begin(
    deployment: Deployment, settings: DeploymentSettings, job: Job, before: PendingErasure | None
) -> PendingErasure:
    """Step 1: write down what is to go, before anything does."""
    record, jobs = job.record, deployment.jobs
    outcomes = {run: readable_outcome(deployment, job.id, run) for run in range(1, record.run + 1)}
    times = {record.run: record.received_at, **{run: one.received_at for run, one in outcomes.items() if one}}
    held = [before.again_after if before else None]
    if outcomes[record.run] is None:
        held.append(_held_until(deployment, job))
    elif before is None and jobs.markers.is_open(job.id, record.run):
        held.append(now() + PUBLISHING)
    pending = PendingErasure(
        upload=record.upload,
        requested_at=before.requested_at if before else now(),
        run=record.run,
        lines=tuple((at.astimezone(UTC).date(), entry_id(job.id, run)) for run, at in times.items()),
        again_after=max((at for at in held if at is not None), default=None),
        voices_forgotten=before.voices_forgotten if before else 0,
        **_inventory(deployment, settings, record.upload),
    )
    store_pending(deployment.state, job.id, pending)
    return pending


def _begun_anew(
    deployment: Deployment, settings: DeploymentSettings, job_id: str, upload: Upload | None
) -> PendingErasure | None:
    """Step 1 again behind step 3, where what it wrote down cannot be read; None where it wrote nothing, or nothing
    names the upload any more."""
    stored, erased = (
        objects.read(deployment.state, pending_name(job_id)),
        deployment.jobs.load_stored(job_id),
    )
    if stored is None or erased is None:
        return None
    upload = upload or readable_upload(stored.data, job_id)
    if upload is None:
        return None
    record = erased.record.model_copy(update={"upload": upload})
    return _begin(deployment, settings, Job(record, erased.generation), None)


def _begin_expired(deployment: Deployment, settings: DeploymentSettings, upload: Upload) -> PendingErasure:
    """The same without a record: its line is that of the day of the upload, or of the next one's events."""
    blob, job_id = _upload_blob(deployment, upload), upload.job_id
    created = (blob.time_created if blob is not None else now()).astimezone(UTC).date()
    pending = PendingErasure(
        upload=upload,
        requested_at=now(),
        run=1,
        lines=((created, job_id), (created + timedelta(days=1), job_id)),
        **_inventory(deployment, settings, upload),
    )
    store_pending(deployment.state, job_id, pending)
    return pending


def _inventory(deployment: Deployment, settings: DeploymentSettings, upload: Upload) -> dict[str, Any]:
    blob, places = _upload_blob(deployment, upload), _places(deployment, settings, upload)
    return {
        "upload_found": Erased(objects=1, bytes=int(blob.size)) if blob is not None else Erased(),
        "results_found": sum((_found(one, places.results_folder) for one in places.with_results), Erased()),
        "state_found": _found(places.state, places.job_folder),
    }


def _upload_blob(deployment: Deployment, upload: Upload) -> Blob | None:
    bucket = deployment.storage.bucket(upload.bucket)
    blob: Blob | None = bucket.get_blob(upload.name, generation=upload.generation)
    return blob


def _held_until(deployment: Deployment, job: Job) -> datetime | None:
    """When the last of those that have the job, or shards of it, cannot have it any more; None: nobody has."""
    record = job.record
    leases = [record.lease_until] if record.state is not JobState.QUEUED else []
    if record.shards:
        shards = shards_progress(deployment.jobs, record).records.values()
        leases += [one.record.lease_until for one in shards if one.record.state is JobState.RUNNING]
    latest = max(leases, default=None)
    return latest + LEASE_MARGIN if latest is not None and latest > now() else None


def _end(deployment: Deployment, job_id: str) -> None:
    """Steps 2 and 3: the job has ended for everybody, and its record and outcome name nothing."""
    jobs = deployment.jobs
    for _ in range(ERASE_TRIES):
        job = jobs.load(job_id)
        if job is None:
            return
        jobs.erase_outcome(ended_for_erasure(deployment, job.record, rejected(Rejected(REASON))))
        try:
            jobs.erase_record(job)
        except StateConflict:
            continue  # a heartbeat; the worker's next one finds the job closed
        return
    raise StateConflict("the record of a job that is to be erased is being changed by other processes")


def _delete(
    deployment: Deployment, settings: DeploymentSettings, job_id: str, pending: PendingErasure
) -> ErasureReceipt:
    """Steps 4 to 8."""
    upload, state = pending.upload, deployment.state
    lines = sum(deployment.ledger.erase_folder(day, line) for day, line in pending.lines)
    places = _places(deployment, settings, upload)
    for bucket in places.with_results:
        _delete_all(bucket, places.results_folder)
    with suppress(NotFound):
        # Exactly this generation: a file that has taken its name since is another upload.
        deployment.storage.bucket(upload.bucket).blob(upload.name, generation=upload.generation).delete()
    _delete_all(places.state, places.job_folder, keep=(record_name(job_id), outcome_name(job_id, pending.run)))
    for run in range(1, pending.run + 2):  # a re-run that was begun meanwhile has a marker, too
        deployment.jobs.markers.close(job_id, run)
    # Behind the job's own voices, of which none can be kept any more.
    voices = pending.voices_forgotten + forget_job(state, job_id)
    if voices != pending.voices_forgotten:
        store_pending(state, job_id, pending.model_copy(update={"voices_forgotten": voices}))
    at = now()
    complete = pending.again_after is None or pending.again_after <= at
    receipt = ErasureReceipt(
        job_id=job_id,
        requested_at=pending.requested_at,
        complete=complete,
        completed_at=at if complete else None,
        again_after=None if complete else pending.again_after,
        upload=pending.upload_found,
        results=pending.results_found,
        state=pending.state_found,
        voices=voices,
        ledger_lines=lines,
    )
    store_receipt(state, receipt)
    if complete:
        objects.delete(state, pending_name(job_id))
    _log.info("erased", extra={"fields": {"complete": complete}})
    return receipt


def _places(deployment: Deployment, settings: DeploymentSettings, upload: Upload) -> _Places:
    results = deployment.storage.bucket(settings.results_bucket)
    folder = ResultFiles(results, settings.results_prefix).folder(upload)
    own = settings.unredacted_bucket
    unredacted = None if own is None else deployment.storage.bucket(own)
    return _Places(deployment.state, results, folder, f"jobs/{upload.job_id}/", unredacted)


def _found(bucket: Bucket, folder: str) -> Erased:
    sizes = [int(blob.size or 0) for blob in bucket.list_blobs(prefix=folder, fields="items(name,size),nextPageToken")]
    return Erased(objects=len(sizes), bytes=sum(sizes))


def _delete_all(bucket: Bucket, folder: str, keep: tuple[str, ...] = ()) -> None:
    names = [str(blob.name) for blob in bucket.list_blobs(prefix=folder, fields="items(name),nextPageToken")]
    with ThreadPoolExecutor(THREADS, thread_name_prefix="erase") as threads:
        list(threads.map(lambda name: objects.delete(bucket, name), [name for name in names if name not in keep]))
