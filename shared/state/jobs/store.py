"""Job records and outcomes in the state bucket, changed by compare-and-swap only."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from google.cloud.storage import Bucket
from pydantic import ValidationError

from shared import objects
from shared.clock import now
from shared.costs.shard_plan import Shard
from shared.errors import StateConflict
from shared.media import Upload
from shared.messages import TerminalMessage
from shared.state.jobs.erased import ERASED, erased_outcome, erased_record
from shared.state.jobs.first_transcript import FirstTranscript, first_transcript, keep_first_transcript
from shared.state.jobs.object_names import (
    outcome_name,
    outcome_of_object,
    parts_folder,
    record_name,
    unreadable_folder,
)
from shared.state.jobs.open_markers import OpenMarkers
from shared.state.jobs.rebuilt_record import record_of_outcome
from shared.state.jobs.record import Job, JobRecord, JobState
from shared.state.jobs.shard_record import BegunShard, begun_shards, first_shard_record, record_metadata, shard_states
from shared.telemetry import tracing
from shared.unreadable import is_newer, kept_aside


class JobStore:
    """The jobs of a deployment."""

    def __init__(self, bucket: Bucket, deadline_seconds: float | None = None) -> None:
        """`deadline_seconds`: for each call of `load`, `save`, `try_save` and `markers.is_open`; None: the storage
        client's own limits."""
        self.markers = OpenMarkers(bucket, deadline_seconds)
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
        record = JobRecord(
            upload=upload,
            state=JobState.CLAIMED,
            holder=holder,
            lease_until=lease_until,
            received_at=at,
            traceparent=tracing.traceparent(),
        )
        self.markers.create(upload, at)
        return _job(objects.create_once(self._bucket, record_name(upload.job_id), _dump(record)))

    def _close_if_reopened(self, job_id: str) -> None:
        """Take back a marker that was written after the job had ended: its event was held up until then.

        A marker younger than the outcome means that there was none, for the first was deleted when the outcome was
        published. Both times are Cloud Storage's own.
        """
        outcome, marker = self._bucket.get_blob(outcome_name(job_id, 1)), self.markers.stored(job_id)
        if outcome is not None and marker is not None and marker.time_created > outcome.time_created:
            self.markers.delete(job_id, 1, int(marker.generation))

    def begin_run(self, job: Job, record: JobRecord) -> Job:
        """Begin the next run of a job that has ended: `record` takes the place of the job's.

        The marker is written first, as for a new job; before the record is written the job has ended as before. Raises
        StateConflict where another process was faster; `close_unbegun` takes back what that leaves. A damaged record
        is set aside.
        """
        name = record_name(job.id)
        if job.is_of_outcome and (damaged := objects.read(self._bucket, name)) is not None:
            kept_aside(self._bucket, name, damaged, unreadable_folder(name))
        self.markers.write(record.upload, record.run, now())
        return _job(objects.replace(self._bucket, name, _dump(record), job.generation))

    def close_unbegun(self, job_id: str, run: int) -> bool:
        """Delete the marker of a run whose process ended before it wrote the record; False where the run has begun.

        The record is written anew, as it is, before the marker that was found is deleted: a process that would still
        begin the run with that marker has read the record before, and fails; one that reads it later writes a marker
        of its own.
        """
        marker = self.markers.stored(job_id, run)
        job = self.load(job_id)
        if marker is None or job is None or job.record.run >= run or self.try_save(job) is None:
            return False
        return self.markers.delete(job_id, run, int(marker.generation))

    def keep_first_transcript(self, record: JobRecord, first: FirstTranscript) -> None:
        """Keep what one engine made of an upload that another one is to hear. It stands where there is one."""
        keep_first_transcript(self._bucket, record, first)

    def first_transcript(self, record: JobRecord) -> FirstTranscript | None:
        """What an engine before made of it, as it was kept."""
        return first_transcript(self._bucket, record)

    def load(self, work_id: str) -> Job | None:
        """The newest record of a job or a shard; None also where it was erased."""
        job = self.load_stored(work_id)
        return None if job is None or job.record.holder == ERASED else job

    def load_stored(self, work_id: str) -> Job | None:
        """As `load`, but also where it was erased: then ERASED holds it, and nothing in it is the job's but its run."""
        stored = objects.read(self._bucket, record_name(work_id), deadline_seconds=self._deadline_seconds)
        return _job(stored) if stored else None

    def find(self, job_id: str) -> Job | None:
        """As `load`, for whoever only reads of a job, or has it run again: where the record of one that has ended
        cannot be read, one made of its last outcome. Raises ValidationError."""
        try:
            return self.load(job_id)
        except ValidationError:
            stored = objects.read(self._bucket, record_name(job_id))
            outcome = self.outcome(job_id, max(self.runs(job_id), default=1))
            if stored is None or outcome is None:
                raise
        if outcome.upload.job_id != job_id:  # it was erased, and names no upload
            return None
        return Job(record_of_outcome(stored.data, outcome), stored.generation, is_of_outcome=True)

    def is_newer(self, job_id: str) -> bool:
        """Whether a newer release wrote the job's record."""
        stored = objects.read(self._bucket, record_name(job_id))
        return stored is not None and is_newer(stored.data, JobRecord)

    def open_shard(self, record: JobRecord, shard: Shard, **fields: Any) -> Job:
        """The record of a shard of the upload whose record is given; where it has none it is created, with `fields`."""
        job = Job(first_shard_record(record, shard, **fields), 0)
        stored = objects.create_once(
            self._bucket,
            record_name(job.id),
            _dump(job.record),
            metadata=record_metadata(job.record),
            deadline_seconds=self._deadline_seconds,
        )
        return _job(stored)

    def shard_states(self, record: JobRecord) -> dict[int, JobState]:
        """How far each shard is that has a record, by one listing. `record`: their upload's."""
        return shard_states(self._bucket, record)

    def begun_shards(self, record: JobRecord) -> dict[int, BegunShard]:
        """The shards that a worker has begun, by number, by one listing. `record`: their upload's."""
        return begun_shards(self._bucket, record)

    def is_known(self, upload: Upload) -> bool:
        """Whether there is a record of this upload, readable or not."""
        return objects.exists(self._bucket, record_name(upload.job_id), deadline_seconds=self._deadline_seconds)

    def save(self, job: Job, **changes: Any) -> Job:
        """Write the record with `changes`; StateConflict where another process wrote since `job` was read."""
        record = JobRecord.model_validate({**dict(job.record), **changes})
        return _job(
            objects.replace(
                self._bucket,
                record_name(job.id),
                _dump(record),
                job.generation,
                metadata=record_metadata(record),
                deadline_seconds=self._deadline_seconds,
            )
        )

    def write_rebuilt(self, record: JobRecord, generation: int) -> Job:
        """Put a record in the place of one that cannot be read, of that generation; 0: there is none. Raises
        StateConflict where another process was faster."""
        name, metadata = record_name(record.work_id), record_metadata(record)
        return _job(objects.replace(self._bucket, name, _dump(record), generation, metadata=metadata))

    def try_save(self, job: Job, **changes: Any) -> Job | None:
        """As `save`, but None where another process was faster."""
        try:
            return self.save(job, **changes)
        except StateConflict:
            return None

    def outcome(self, job_id: str, run: int = 1) -> TerminalMessage | None:
        """The terminal outcome of a run, where it has one."""
        stored = objects.read(self._bucket, outcome_name(job_id, run))
        return TerminalMessage.model_validate_json(stored.data) if stored else None

    def runs(self, job_id: str) -> set[int]:
        """The runs of a job that are open or have ended, whether or not anything of them can be read."""
        names = (str(blob.name) for blob in self._bucket.list_blobs(prefix=f"jobs/{job_id}/outcome"))
        ended = {found[1] for name in names if (found := outcome_of_object(name)) is not None}
        return ended | {one.run for one in self.markers.of_job(job_id)}

    def record_outcome(self, message: TerminalMessage, replaces: int | None = None) -> TerminalMessage:
        """Make this the terminal outcome of the job's run unless it has one; the outcome that stands. `replaces`: the
        generation of one that cannot be read; then StateConflict is raised where it has changed."""
        data = message.model_dump_json().encode()
        if replaces is not None:
            objects.replace(self._bucket, outcome_name(message.job_id, message.run), data, replaces)
            return message
        stored = objects.create_once(self._bucket, outcome_name(message.job_id, message.run), data)
        return TerminalMessage.model_validate_json(stored.data)

    def erase_record(self, job: Job) -> None:
        """Replace a job's record by one without names: a late event finds that, and opens no job. Raises StateConflict.

        A worker that has the job cannot write its record any more, and gives it up.
        """
        objects.replace(self._bucket, record_name(job.id), _dump(erased_record(job.record)), job.generation)

    def erase_outcome(self, outcome: TerminalMessage) -> None:
        """Replace an outcome by what of it names nothing and quotes nothing: whoever still works on the job finds that
        it has ended."""
        kept = erased_outcome(outcome)
        objects.write(self._bucket, outcome_name(kept.job_id, kept.run), kept.model_dump_json().encode())

    def delete_parts(self, job_id: str, run: int = 1) -> None:
        """Forget what unfinished attempts left, up to those of a run; only after its outcome stands."""
        folders = tuple(parts_folder(job_id, one) for one in range(1, run + 1))
        prefix = parts_folder(job_id) if run == 1 else parts_folder(job_id).removesuffix("/")
        for blob in self._bucket.list_blobs(prefix=prefix):
            if blob.name.startswith(folders):
                objects.delete(self._bucket, blob.name)


def _dump(record: JobRecord) -> bytes:
    return record.model_dump_json().encode()


def _job(stored: objects.Versioned) -> Job:
    return Job(JobRecord.model_validate_json(stored.data), stored.generation)
