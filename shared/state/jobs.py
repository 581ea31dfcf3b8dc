"""The job record: one object per upload generation in the state bucket, changed by compare-and-swap only.

Three objects carry a job. `open/<job_id>.json` exists while the job is not terminal, so that a reconciler finds it by
listing; `jobs/<job_id>/record.json` says who works on it and how far it is; `jobs/<job_id>/outcome.json` is written
once, by whoever ends the job first.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from google.cloud.storage import Bucket
from pydantic import BaseModel, ConfigDict, ValidationError

from shared import objects
from shared.clock import now
from shared.costs.bill import Bill
from shared.enums import JobDevice
from shared.errors import StateConflict
from shared.media import Media, Upload
from shared.messages import Decision, TerminalMessage
from shared.telemetry import tracing
from shared.upload_options import UploadOptions

_log = logging.getLogger(__name__)


def new_holder(who: str) -> str:
    """A name for a process that holds a lease, unlike any other process's."""
    return f"{who}/{uuid.uuid4().hex[:12]}"


class JobState(StrEnum):
    """How far a job is. Terminal is not a state of the record: it is the existence of the outcome."""

    CLAIMED = "claimed"
    QUEUED = "queued"
    RUNNING = "running"


class JobRecord(BaseModel):
    """Who works on an upload until when, and what was learned and decided."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    upload: Upload
    state: JobState
    holder: str
    lease_until: datetime
    """When the holder counts as dead, or the queued item as lost, unless the record is written before."""
    received_at: datetime
    started_at: datetime | None = None
    attempts: int = 0
    """How often a worker began this job, except where that ended through no fault of the file: it was asked to stop
    (SIGTERM) while the job went on, a service or the disk failed, or it was killed with other uploads in it."""
    lost_attempts: int = 0
    """Of these, how many ended without a word: the worker was killed, or cut off. As far as somebody noticed."""
    faults: int = 0
    """How many attempts in a row ended because a service, the network or the disk failed."""
    retry_at: datetime | None = None
    """When it is to be tried again after such a fault; None once it is on the queue again, or a worker has it."""
    gather_until: datetime | None = None
    """Until when it waits on the queue for company, and no execution is started for it; None: it does not."""
    dispatches: int = 0
    """How often the job was queued and no worker took it."""
    media: Media | None = None
    decision: Decision | None = None
    options: UploadOptions = UploadOptions()
    decoded_seconds: float = 0.0
    """Audio that is decoded, as of the worker's last heartbeat."""
    transcribed_seconds: float = 0.0
    """Audio that is transcribed, as of the worker's last heartbeat."""
    deepgram_calls: int = 0
    """How often the function called Deepgram for it, whatever became of the call."""
    spent: Bill = Bill()
    """What the attempts cost; the running one as of its last heartbeat. It has a call to Deepgram before it is made."""
    last_error: str | None = None
    """Why the last attempt ended, in one sentence."""
    traceparent: str | None = None
    """The span that took the upload's event, as W3C Trace Context writes it: later attempts go on in its trace."""

    @property
    def lost_so_far(self) -> int:
        """`lost_attempts`, once whoever finds this record has found it without its holder."""
        return self.lost_attempts + (self.state is JobState.RUNNING)

    @property
    def attempts_so_far(self) -> int:
        """`attempts`, once whoever finds this record has found it without its holder.

        The first attempt that ends without a word is not counted: it may have run beside the file that killed the
        worker. From then on the job runs alone, and each counts.
        """
        return self.attempts - (self.state is JobState.RUNNING and not self.lost_attempts)


@dataclass(frozen=True)
class Job:
    """A record as it was read or written, with the generation that the next write must match."""

    record: JobRecord
    generation: int

    @property
    def id(self) -> str:
        """The job's id."""
        return self.record.upload.job_id

    def changed(self, **changes: Any) -> Job:
        """With a record that the next write will store."""
        return Job(self.record.model_copy(update=changes), self.generation)


class OpenJob(BaseModel):
    """The marker of a job that is not terminal."""

    model_config = ConfigDict(frozen=True)

    upload: Upload
    opened_at: datetime


class QueuedUpload(BaseModel):
    """What a marker says of an upload whose item was published, so that a listing sums up what waits on a queue."""

    model_config = ConfigDict(frozen=True)

    device: JobDevice
    """Of the job whose queue it is."""
    audio_seconds: float
    due: datetime | None = None
    """Its deadline, where it has one."""
    queued_at: datetime
    """When its item was published, the last time."""


@dataclass(frozen=True)
class OpenMarker:
    """A job that is not terminal, as a listing has it."""

    job_id: str
    queued: QueuedUpload | None
    """None: no item was published, or whoever did so ended before it could say so."""


class JobStore:
    """Job records in the state bucket."""

    def __init__(self, bucket: Bucket, deadline_seconds: float | None = None) -> None:
        """`deadline_seconds`: for each call of `load`, `save`, `try_save` and `is_open`; None: the storage client's own
        limits."""
        self._bucket = bucket
        self._deadline_seconds = deadline_seconds

    def claim(self, upload: Upload, holder: str, lease: timedelta) -> Job | None:
        """Become the holder of this upload's job; None where it has ended, is queued, or another holder has it."""
        at = now()
        job = self.load(upload.job_id)
        if job is None:
            job = self._open(upload, holder, at, at + lease)
            if job.record.holder != holder:
                self._close_if_reopened(job.id)
        if job.record.holder == holder:
            return job
        abandoned = job.record.state is JobState.CLAIMED and job.record.lease_until < at
        if not abandoned or self.outcome(upload.job_id) is not None:
            return None
        return self.try_save(job, holder=holder, lease_until=at + lease)

    def _open(self, upload: Upload, holder: str, at: datetime, lease_until: datetime) -> Job:
        """Create marker and record; the marker first, for a record without one would never be reconciled."""
        marker = OpenJob(upload=upload, opened_at=at)
        record = JobRecord(
            upload=upload,
            state=JobState.CLAIMED,
            holder=holder,
            lease_until=lease_until,
            received_at=at,
            traceparent=tracing.traceparent(),
        )
        objects.create_once(self._bucket, _marker_name(upload.job_id), marker.model_dump_json().encode())
        return _job(objects.create_once(self._bucket, _record_name(upload.job_id), _dump(record)))

    def _close_if_reopened(self, job_id: str) -> None:
        """Take back a marker that was written after the job had ended: its event was held up until then.

        A marker younger than the outcome means that there was none, for the first was deleted when the outcome was
        published. Both times are Cloud Storage's own.
        """
        outcome, marker = (self._bucket.get_blob(name(job_id)) for name in (_outcome_name, _marker_name))
        if outcome is not None and marker is not None and marker.time_created > outcome.time_created:
            objects.delete(self._bucket, _marker_name(job_id), marker.generation)

    def load(self, job_id: str) -> Job | None:
        """The job's newest record."""
        stored = objects.read(self._bucket, _record_name(job_id), deadline_seconds=self._deadline_seconds)
        return _job(stored) if stored else None

    def is_known(self, upload: Upload) -> bool:
        """Whether there is a record of this upload, readable or not."""
        return objects.exists(self._bucket, _record_name(upload.job_id), deadline_seconds=self._deadline_seconds)

    def save(self, job: Job, **changes: Any) -> Job:
        """Write the record with `changes`; StateConflict where another process wrote since `job` was read."""
        record = JobRecord.model_validate({**dict(job.record), **changes})
        return _job(
            objects.replace(
                self._bucket,
                _record_name(job.id),
                _dump(record),
                job.generation,
                deadline_seconds=self._deadline_seconds,
            )
        )

    def try_save(self, job: Job, **changes: Any) -> Job | None:
        """As `save`, but None where another process was faster."""
        try:
            return self.save(job, **changes)
        except StateConflict:
            return None

    def outcome(self, job_id: str) -> TerminalMessage | None:
        """The terminal outcome, where the job has one."""
        stored = objects.read(self._bucket, _outcome_name(job_id))
        return TerminalMessage.model_validate_json(stored.data) if stored else None

    def record_outcome(self, message: TerminalMessage) -> TerminalMessage:
        """Make this the job's terminal outcome unless it has one; the outcome that stands."""
        data = message.model_dump_json().encode()
        stored = objects.create_once(self._bucket, _outcome_name(message.job_id), data)
        return TerminalMessage.model_validate_json(stored.data)

    def delete_parts(self, job_id: str) -> None:
        """Forget what unfinished attempts left for the next; only after the outcome stands."""
        for blob in self._bucket.list_blobs(prefix=parts_folder(job_id)):
            objects.delete(self._bucket, blob.name)

    def close(self, job_id: str) -> None:
        """Take the job off the list of open ones; only after its outcome was published."""
        objects.delete(self._bucket, _marker_name(job_id))

    def open_markers(self) -> Iterator[OpenMarker]:
        """Every job whose outcome was not published yet; 1,000 are listed with a call, as far as the caller goes on."""
        for name, text, _ in objects.list_metadata(self._bucket, _OPEN, _QUEUED):
            yield OpenMarker(name.removeprefix(_OPEN).removesuffix(".json"), _queued(name, text))

    def opened(self, job_id: str) -> OpenJob | None:
        """What the marker of an open job says. Raises ValidationError."""
        stored = objects.read(self._bucket, _marker_name(job_id))
        return OpenJob.model_validate_json(stored.data) if stored else None

    def mark_queued(self, job_id: str, queued: QueuedUpload | None) -> None:
        """Have the marker say that the job is on a queue, or (None) on none. Without effect on a job that is closed."""
        text = None if queued is None else queued.model_dump_json(exclude_none=True)
        objects.set_metadata(self._bucket, _marker_name(job_id), {_QUEUED: text})

    def is_open(self, job_id: str) -> bool:
        """Whether the job's outcome still has to be published."""
        return objects.exists(self._bucket, _marker_name(job_id), deadline_seconds=self._deadline_seconds)


_OPEN = "open/"
_QUEUED = "queued"
"""Entry of a marker's custom metadata."""


def parts_folder(job_id: str) -> str:
    """Where attempts leave what the next one need not do or pay again."""
    return f"jobs/{job_id}/parts/"


def _marker_name(job_id: str) -> str:
    return f"{_OPEN}{job_id}.json"


def _record_name(job_id: str) -> str:
    return f"jobs/{job_id}/record.json"


def _outcome_name(job_id: str) -> str:
    return f"jobs/{job_id}/outcome.json"


def _queued(name: str, text: str | None) -> QueuedUpload | None:
    try:
        return None if text is None else QueuedUpload.model_validate_json(text)
    except ValidationError:
        _log.exception("unreadable object in the state bucket", extra={"fields": {"object": name}})
        return None


def _dump(record: JobRecord) -> bytes:
    return record.model_dump_json().encode()


def _job(stored: objects.Versioned) -> Job:
    return Job(JobRecord.model_validate_json(stored.data), stored.generation)
