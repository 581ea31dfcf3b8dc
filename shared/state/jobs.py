"""The job record: one object per upload generation in the state bucket, changed by compare-and-swap only.

Three objects carry a job. `open/<job_id>.json` exists while the job is not terminal, so that a reconciler finds it by
listing; `jobs/<job_id>/record.json` says who works on it and how far it is; `jobs/<job_id>/outcome.json` is written
once, by whoever ends the job first. A job that is divided has a record of the same kind for each of its shards,
`jobs/<job_id>/shards/<number>/record.json`.

A job that has ended may be run again: its record goes on with the next run, whose marker and outcome have names of
their own (`open/<job_id>.2.json`, `outcome-2.json`). Whoever still works for an earlier run changes nothing of it.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from google.cloud.storage import Bucket
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared import objects
from shared.clock import now
from shared.costs.bill import Bill
from shared.costs.shard_plan import Shard, shard_work_id, shards_folder
from shared.enums import JobDevice, Method
from shared.errors import FailureKind, StateConflict
from shared.media import Media, Upload
from shared.messages import Decision, TerminalMessage, UnclaimedRecord, WorkItem
from shared.telemetry import tracing
from shared.upload_options import UploadOptions

_log = logging.getLogger(__name__)


def new_holder(who: str) -> str:
    """A name for a process that holds a lease, unlike any other process's."""
    return f"{who}/{uuid.uuid4().hex[:12]}"


ERASED = "erased"
"""Holder of the record of a job that was erased, and the name that its upload has there."""


class JobState(StrEnum):
    """How far a job is. Terminal is not a state of the record: it is the existence of the outcome."""

    CLAIMED = "claimed"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    """Of a shard alone, and for good: its part is stored, it was given up, or its job ended without it."""


class RequestedModel(BaseModel):
    """What a re-run is to be transcribed with, whatever the upload's options and the deployment's settings say."""

    model_config = ConfigDict(frozen=True)

    method: Method
    deepgram_model: str | None = None
    """None: the deployment's."""

    @property
    def label(self) -> str:
        """For people: `parakeet`, `deepgram`, `deepgram nova-3`."""
        return f"{self.method} {self.deepgram_model}" if self.deepgram_model else self.method.value


class CallbackCall(BaseModel):
    """A call to Deepgram whose answer Deepgram posts to the deployment, when it is there."""

    model_config = ConfigDict(frozen=True)

    id: str
    """Random: an answer to another call, of the same job even, cannot pass for this one's."""
    called_at: datetime
    price: Bill
    """Its lines in `spent`, possibly billed."""
    decision: Decision
    """By which it was made: the record's own may be another engine's by now."""
    request_id: str | None = None
    """Deepgram's. None: nobody knows whether Deepgram took the call."""
    failure: str | None = None
    """Why there will be no answer, as Deepgram said, in one sentence."""
    failure_kind: FailureKind | None = None


class JobRecord(BaseModel):
    """Who works on an upload, or on a shard of it, until when, and what was learned and decided."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    upload: Upload
    run: Annotated[int, Field(ge=1)] = 1
    """Counts re-runs. What stands below is this run's alone, its wait limits, attempts and costs included."""
    earlier_usd: float = 0.0
    """What the runs before cost, as their outcomes say."""
    parts_run: Annotated[int, Field(ge=1)] = 1
    """The run that began with the parts that this one goes on with; `run` where it begins anew."""
    requested: RequestedModel | None = None
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
    """When it is to be tried again after such a fault, or where no execution could be started for it; None once it is
    on the queue again, or a worker has it."""
    queued_at: datetime | None = None
    """When its item was put on a queue, the last time."""
    gather_until: datetime | None = None
    """Until when it waits on the queue for company, and no execution is started for it; None: it does not."""
    dispatches: int = 0
    """How often the job was queued and no worker took it."""
    media: Media | None = None
    decision: Decision | None = None
    options: UploadOptions = UploadOptions()
    shards: tuple[Shard, ...] = ()
    """The work items that the upload is divided into; none where it is one."""
    shards_seen: int = 0
    """The newest generation of the shards' records, when its items were last published."""
    shard: Shard | None = None
    """The one whose record this is; None: it is the upload's."""
    missing: str | None = None
    """Why a shard is done without its part, in one sentence."""
    decoded_seconds: float = 0.0
    """Audio that is decoded, of a shard in its range, as of the worker's last heartbeat."""
    transcribed_seconds: float = 0.0
    """Audio that is transcribed, as of the worker's last heartbeat."""
    x_real_time: float | None = None
    """Audio that was transcribed in a second, lately, as of that heartbeat; None: too early to tell."""
    progress_at: datetime | None = None
    """When that heartbeat was; None: there was none."""
    deepgram_calls: int = 0
    """How often the function called Deepgram for it, whatever became of the call."""
    callbacks: tuple[CallbackCall, ...] = ()
    """Of these, those whose answers come by callback, the newest last."""
    spent: Bill = Bill()
    """What the attempts cost; the running one as of its last heartbeat. It has a call to Deepgram before it is made."""
    last_error: str | None = None
    """Why the last attempt ended, in one sentence."""
    traceparent: str | None = None
    """The span that took the upload's event, as W3C Trace Context writes it: later attempts go on in its trace."""

    @property
    def may_have_parts(self) -> bool:
        """Whether an earlier attempt, of this run or of the one before, may have left something."""
        return self.started_at is not None or self.parts_run < self.run

    @property
    def own_parts(self) -> str:
        """The folder among the job's parts that is a shard's; empty: all of it."""
        return "" if self.shard is None else f"{self.run}.{self.shard.number}/"

    @property
    def read_parts(self) -> str:
        """The folder whose parts are of use: after another run, which may have been divided elsewhere, all of it."""
        return "" if self.parts_run < self.run else self.own_parts

    @property
    def work_id(self) -> str:
        """The name of the work whose record this is: the job's id, or a shard's name."""
        shard, job_id = self.shard, self.upload.job_id
        return job_id if shard is None else shard_work_id(job_id, shard.number, self.run)

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


class BegunShard(BaseModel):
    """Of a shard's record, what a listing of all of them shows."""

    model_config = ConfigDict(frozen=True)

    state: JobState
    lease_until: datetime
    decoded_seconds: float = 0.0
    transcribed_seconds: float = 0.0
    x_real_time: float | None = None
    progress_at: datetime | None = None


@dataclass(frozen=True)
class Job:
    """A record as it was read or written, with the generation that the next write must match."""

    record: JobRecord
    generation: int

    @property
    def id(self) -> str:
        """The job's id, or the name of the shard whose record this is."""
        return self.record.work_id

    def changed(self, **changes: Any) -> Job:
        """With a record that the next write will store."""
        return Job(self.record.model_copy(update=changes), self.generation)


def work_item(job: Job, media: Media, decision: Decision) -> WorkItem:
    """The item that puts a job on a queue, whose record says so already."""
    record = job.record
    item = WorkItem(
        job_id=job.id,
        upload=record.upload,
        media=media,
        decision=decision,
        options=record.options,
        unclaimed=UnclaimedRecord(
            generation=job.generation, received_at=record.received_at, traceparent=record.traceparent
        ),
    )
    as_read = unclaimed_job(item)
    leased = {"holder": record.holder, "lease_until": record.lease_until}
    is_complete = as_read is not None and as_read.changed(**leased) == job
    return item if is_complete else item.model_copy(update={"unclaimed": None})


def unclaimed_job(item: WorkItem) -> Job | None:
    """The job of an item whose record nobody had but who queued it, without holder and lease: if it is still so, a
    write of it succeeds. None where the record must be read."""
    unclaimed = item.unclaimed
    if unclaimed is None:
        return None
    record = JobRecord(
        upload=item.upload,
        state=JobState.QUEUED,
        holder="",
        lease_until=unclaimed.received_at,
        received_at=unclaimed.received_at,
        media=item.media,
        decision=item.decision,
        options=item.options,
        traceparent=unclaimed.traceparent,
    )
    return Job(record, unclaimed.generation)


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
    seen_at: datetime | None = None
    """When the reconciler last saw that its turn will come; None: not since then."""
    shards: int = 0
    """How many items it is divided into; 0: it is one."""


@dataclass(frozen=True)
class OpenMarker:
    """A job that is not terminal, as a listing has it."""

    job_id: str
    queued: QueuedUpload | None
    """None: no item was published, or whoever did so ended before it could say so."""
    run: int = 1
    done_shards: frozenset[int] = frozenset()
    """Of a divided upload. One may be missing for a while, or for good: its record decides."""

    @property
    def id(self) -> str:
        """The marker's, by which a later listing goes on behind it."""
        return self.job_id if self.run == 1 else f"{self.job_id}.{self.run}"


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
        job = self.load_stored(upload.job_id)
        if job is None:
            job = self._open(upload, holder, at, at + lease)
            if job.record.holder != holder:
                self._close_if_reopened(upload.job_id)
        if job.record.holder == ERASED:
            return None
        if job.record.holder == holder:
            return job
        abandoned = job.record.state is JobState.CLAIMED and job.record.lease_until < at
        if not abandoned or self.outcome(upload.job_id, job.record.run) is not None:
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
        objects.create_once(self._bucket, _marker_name(upload.job_id, 1), marker.model_dump_json().encode())
        return _job(objects.create_once(self._bucket, _record_name(upload.job_id), _dump(record)))

    def _close_if_reopened(self, job_id: str) -> None:
        """Take back a marker that was written after the job had ended: its event was held up until then.

        A marker younger than the outcome means that there was none, for the first was deleted when the outcome was
        published. Both times are Cloud Storage's own.
        """
        outcome, marker = (self._bucket.get_blob(name(job_id, 1)) for name in (_outcome_name, _marker_name))
        if outcome is not None and marker is not None and marker.time_created > outcome.time_created:
            objects.delete(self._bucket, _marker_name(job_id, 1), marker.generation)

    def begin_run(self, job: Job, record: JobRecord) -> Job:
        """Begin the next run of a job that has ended: `record` takes the place of the job's.

        The marker is written first, as for a new job; before the record is written the job has ended as before. Raises
        StateConflict where another process was faster; `close_unbegun` takes back what that leaves.
        """
        marker = OpenJob(upload=record.upload, opened_at=now())
        objects.write(self._bucket, _marker_name(job.id, record.run), marker.model_dump_json().encode())
        return _job(objects.replace(self._bucket, _record_name(job.id), _dump(record), job.generation))

    def close_unbegun(self, job_id: str, run: int) -> bool:
        """Delete the marker of a run whose process ended before it wrote the record; False where the run has begun.

        The record is written anew, as it is, before the marker that was found is deleted: a process that would still
        begin the run with that marker has read the record before, and fails; one that reads it later writes a marker
        of its own.
        """
        marker = self._bucket.get_blob(_marker_name(job_id, run))
        job = self.load(job_id)
        if marker is None or job is None or job.record.run >= run or self.try_save(job) is None:
            return False
        return objects.delete(self._bucket, _marker_name(job_id, run), int(marker.generation))

    def load(self, work_id: str) -> Job | None:
        """The newest record of a job or a shard; None also where it was erased."""
        job = self.load_stored(work_id)
        return None if job is None or job.record.holder == ERASED else job

    def load_stored(self, work_id: str) -> Job | None:
        """As `load`, but also where it was erased: then ERASED holds it, and nothing in it is the job's but its run."""
        stored = objects.read(self._bucket, _record_name(work_id), deadline_seconds=self._deadline_seconds)
        return _job(stored) if stored else None

    def open_shard(self, record: JobRecord, shard: Shard, **fields: Any) -> Job:
        """The record of a shard of the upload whose record is given; where it has none it is created, with `fields`."""
        first = JobRecord(
            upload=record.upload,
            run=record.run,
            parts_run=record.parts_run,
            state=JobState.QUEUED,
            holder="",
            lease_until=now(),
            received_at=record.received_at,
            # What may have killed a worker in the run before runs alone.
            lost_attempts=min(1, record.lost_attempts),
            media=record.media,
            decision=record.decision,
            options=record.options,
            shard=shard,
            traceparent=record.traceparent,
        )
        job = Job(JobRecord.model_validate({**dict(first), **fields}), 0)
        stored = objects.create_once(
            self._bucket,
            _record_name(job.id),
            _dump(job.record),
            metadata=_record_metadata(job.record),
            deadline_seconds=self._deadline_seconds,
        )
        return _job(stored)

    def shard_states(self, record: JobRecord) -> dict[int, JobState]:
        """How far each shard is that has a record, by one listing. `record`: their upload's."""
        folder = f"jobs/{shards_folder(record.upload.job_id, record.run)}/"
        return {
            int(one.name.removeprefix(folder).partition("/")[0]): JobState(one.metadata[_STATE])
            for one in objects.list_metadata(self._bucket, folder)
        }

    def begun_shards(self, record: JobRecord) -> dict[int, BegunShard]:
        """The shards that a worker has begun, by number, by one listing. `record`: their upload's."""
        folder = f"jobs/{shards_folder(record.upload.job_id, record.run)}/"
        listed = objects.list_metadata(self._bucket, folder)
        found = ((one.name, _begun_shard(one.name, one.metadata.get(_PROGRESS))) for one in listed)
        return {int(name.removeprefix(folder).partition("/")[0]): begun for name, begun in found if begun is not None}

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
                metadata=_record_metadata(record),
                deadline_seconds=self._deadline_seconds,
            )
        )

    def try_save(self, job: Job, **changes: Any) -> Job | None:
        """As `save`, but None where another process was faster."""
        try:
            return self.save(job, **changes)
        except StateConflict:
            return None

    def outcome(self, job_id: str, run: int = 1) -> TerminalMessage | None:
        """The terminal outcome of a run, where it has one."""
        stored = objects.read(self._bucket, _outcome_name(job_id, run))
        return TerminalMessage.model_validate_json(stored.data) if stored else None

    def record_outcome(self, message: TerminalMessage) -> TerminalMessage:
        """Make this the terminal outcome of the job's run unless it has one; the outcome that stands."""
        data = message.model_dump_json().encode()
        stored = objects.create_once(self._bucket, _outcome_name(message.job_id, message.run), data)
        return TerminalMessage.model_validate_json(stored.data)

    def erase_record(self, job: Job) -> None:
        """Replace a job's record by one without names: a late event finds that, and opens no job. Raises StateConflict.

        A worker that has the job cannot write its record any more, and gives it up.
        """
        record = JobRecord(
            upload=job.record.upload.model_copy(update={"name": ERASED}),
            run=job.record.run,
            state=JobState.DONE,
            holder=ERASED,
            lease_until=now(),
            received_at=job.record.received_at,
        )
        objects.replace(self._bucket, _record_name(job.id), _dump(record), job.generation)

    def erase_outcome(self, outcome: TerminalMessage) -> None:
        """Replace an outcome by what of it names nothing and quotes nothing: whoever still works on the job finds that
        it has ended."""
        kept = TerminalMessage(
            event_id=outcome.event_id,
            job_id=outcome.job_id,
            run=outcome.run,
            upload=outcome.upload.model_copy(update={"name": ERASED}),
            outcome=outcome.outcome,
            bill=outcome.bill,
            earlier_usd=outcome.earlier_usd,
            execution=outcome.execution,
            received_at=outcome.received_at,
            finished_at=outcome.finished_at,
        )
        objects.write(self._bucket, _outcome_name(outcome.job_id, outcome.run), kept.model_dump_json().encode())

    def delete_parts(self, job_id: str, run: int = 1) -> None:
        """Forget what unfinished attempts left, up to those of a run; only after its outcome stands."""
        folders = tuple(parts_folder(job_id, one) for one in range(1, run + 1))
        prefix = parts_folder(job_id) if run == 1 else parts_folder(job_id).removesuffix("/")
        for blob in self._bucket.list_blobs(prefix=prefix):
            if blob.name.startswith(folders):
                objects.delete(self._bucket, blob.name)

    def close(self, job_id: str, run: int = 1) -> None:
        """Take a run off the list of open jobs; only after its outcome was published."""
        objects.delete(self._bucket, _marker_name(job_id, run))

    def open_markers(self, after: str = "") -> Iterator[OpenMarker]:
        """Every job whose outcome was not published yet; 1,000 are listed with a call, as far as the caller goes on.

        `after`: the id of a marker, behind which the listing begins; empty: all of them.
        """
        behind = f"{_OPEN}{after}.json" if after else ""
        for one in objects.list_metadata(self._bucket, _OPEN, behind):
            job_id, _, run = one.name.removeprefix(_OPEN).removesuffix(".json").partition(".")
            numbers = (key.removeprefix(_DONE_SHARD) for key in one.metadata if key.startswith(_DONE_SHARD))
            done = frozenset(int(number) for number in numbers if number.isdecimal())
            queued = _queued(one.name, one.metadata.get(_QUEUED))
            yield OpenMarker(job_id, queued, int(run) if run.isdecimal() else 1, done)

    def opened(self, job_id: str, run: int = 1) -> OpenJob | None:
        """What the marker of an open job says. Raises ValidationError."""
        stored = objects.read(self._bucket, _marker_name(job_id, run))
        return OpenJob.model_validate_json(stored.data) if stored else None

    def mark_queued(self, job_id: str, queued: QueuedUpload | None, run: int = 1) -> None:
        """Have the marker say that the job is on a queue, or (None) on none. Without effect on a job that is closed."""
        text = None if queued is None else queued.model_dump_json(exclude_none=True)
        objects.set_metadata(self._bucket, _marker_name(job_id, run), {_QUEUED: text})

    def mark_shard_done(self, job_id: str, number: int, run: int) -> None:
        """Have the marker say that a shard waits on no queue any more. Without effect on a run that is closed."""
        objects.set_metadata(self._bucket, _marker_name(job_id, run), {f"{_DONE_SHARD}{number}": "done"})

    def is_open(self, job_id: str, run: int = 1) -> bool:
        """Whether a run's outcome still has to be published."""
        return objects.exists(self._bucket, _marker_name(job_id, run), deadline_seconds=self._deadline_seconds)


_OPEN = "open/"
_QUEUED = "queued"
_DONE_SHARD = "shard-"
"""Entries of a marker's custom metadata."""

_STATE, _PROGRESS = "state", "progress"
"""Entries of the custom metadata of a shard's record."""


def parts_folder(job_id: str, run: int = 1) -> str:
    """Where attempts leave what the next one need not do or pay again. `run`: the record's `parts_run`."""
    return f"jobs/{job_id}/parts/" if run == 1 else f"jobs/{job_id}/parts-{run}/"


def objects_of_ended(job_id: str, run: int) -> tuple[str, str]:
    """The names of a job's record and of the outcome of a run."""
    return _record_name(job_id), _outcome_name(job_id, run)


def _marker_name(job_id: str, run: int) -> str:
    return f"{_OPEN}{job_id}.json" if run == 1 else f"{_OPEN}{job_id}.{run}.json"


def _record_name(work_id: str) -> str:
    return f"jobs/{work_id}/record.json"


def _record_metadata(record: JobRecord) -> dict[str, str]:
    """A shard's record says how far it is in its object's metadata, too, so that one listing reads all of a job's."""
    if record.shard is None:
        return {}
    begun = BegunShard.model_validate(record, from_attributes=True)
    return {_STATE: record.state.value, _PROGRESS: begun.model_dump_json(exclude_none=True)}


def _begun_shard(name: str, text: str | None) -> BegunShard | None:
    try:
        return None if text is None else BegunShard.model_validate_json(text)
    except ValidationError:
        _log.exception("unreadable object in the state bucket", extra={"fields": {"object": name}})
        return None


def _outcome_name(job_id: str, run: int) -> str:
    return f"jobs/{job_id}/outcome.json" if run == 1 else f"jobs/{job_id}/outcome-{run}.json"


def outcome_of_object(name: str) -> tuple[str, int] | None:
    """Job and run whose outcome an object of the state bucket is; None: it is something else."""
    found = re.fullmatch(r"jobs/([0-9a-f]{24})/outcome(?:-(\d{1,9}))?\.json", name)
    return (found[1], int(found[2] or 1)) if found else None


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
