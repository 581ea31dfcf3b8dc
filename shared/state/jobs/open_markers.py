"""The markers of jobs that are not terminal: a listing of them shows what a reconciler looks after.

All that a marker says is custom metadata. Its content names nobody: it becomes that of the job's line in the ledger,
which is written by the call that deletes the marker (`Ledger.book`), and which nobody erases.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from google.cloud.storage import Blob, Bucket
from pydantic import BaseModel, ConfigDict, ValidationError

from shared import objects
from shared.enums import JobDevice
from shared.media import Upload
from shared.state.jobs.object_names import OPEN_FOLDER, marker_name

_log = logging.getLogger(__name__)

_OPENED = "opened"
_QUEUED = "queued"
_DONE_SHARD = "shard-"
"""Entries of a marker's custom metadata."""

_CONTENT = b"{}"


class OpenJob(BaseModel):
    """The marker of a job that is not terminal."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    upload: Upload
    opened_at: datetime


class QueuedUpload(BaseModel):
    """What a marker says of an upload whose item was published, so that a listing sums up what waits on a queue."""

    model_config = ConfigDict(frozen=True)

    device: JobDevice
    """Of the job whose queue it is."""
    audio_seconds: float
    """For how much of its own audio the deployment's model would take as long as the upload's model takes."""
    speakers_seconds: float = 0.0
    """Audio of which is to be found out who speaks."""
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


class OpenMarkers:
    """The markers in the state bucket."""

    def __init__(self, bucket: Bucket, deadline_seconds: float | None = None) -> None:
        """`deadline_seconds`: for each call of `is_open`; None: the storage client's own limits."""
        self._bucket = bucket
        self._deadline_seconds = deadline_seconds

    def create(self, upload: Upload, at: datetime) -> None:
        """Open an upload's job, unless it is open."""
        metadata = _metadata(OpenJob(upload=upload, opened_at=at))
        objects.create_once(self._bucket, marker_name(upload.job_id, 1), _CONTENT, metadata=metadata)

    def write(self, upload: Upload, run: int, at: datetime) -> None:
        """Open a re-run; its marker is a new one even where another process wrote one before."""
        metadata = _metadata(OpenJob(upload=upload, opened_at=at))
        objects.write(self._bucket, marker_name(upload.job_id, run), _CONTENT, metadata=metadata)

    def stored(self, job_id: str, run: int = 1) -> Blob | None:
        """The marker's object with its generation and times; None where the run is not open."""
        blob: Blob | None = self._bucket.get_blob(marker_name(job_id, run))
        return blob

    def delete(self, job_id: str, run: int, generation: int) -> bool:
        """Delete exactly this marker; False where it was gone or is another."""
        return objects.delete(self._bucket, marker_name(job_id, run), generation)

    def close(self, job_id: str, run: int = 1) -> None:
        """Take a run off the list of open jobs; only after its outcome was published."""
        objects.delete(self._bucket, marker_name(job_id, run))

    def all(self, after: str = "") -> Iterator[OpenMarker]:
        """Every job whose outcome was not published yet; 1,000 are listed with a call, as far as the caller goes on.

        `after`: the id of a marker, behind which the listing begins; empty: all of them.
        """
        return self._listed(OPEN_FOLDER, f"{OPEN_FOLDER}{after}.json" if after else "")

    def of_job(self, job_id: str) -> Iterator[OpenMarker]:
        """Those of one job's runs."""
        return self._listed(f"{OPEN_FOLDER}{job_id}.")

    def _listed(self, prefix: str, behind: str = "") -> Iterator[OpenMarker]:
        for one in objects.list_metadata(self._bucket, prefix, behind):
            job_id, _, run = one.name.removeprefix(OPEN_FOLDER).removesuffix(".json").partition(".")
            numbers = (key.removeprefix(_DONE_SHARD) for key in one.metadata if key.startswith(_DONE_SHARD))
            done = frozenset(int(number) for number in numbers if number.isdecimal())
            queued = _queued(one.name, one.metadata.get(_QUEUED))
            yield OpenMarker(job_id, queued, int(run) if run.isdecimal() else 1, done)

    def read(self, job_id: str, run: int = 1) -> OpenJob | None:
        """What the marker of an open job says. Raises ValidationError."""
        blob = self.stored(job_id, run)
        return None if blob is None else OpenJob.model_validate_json(opened_text(blob))

    def mark_queued(self, job_id: str, queued: QueuedUpload | None, run: int = 1) -> None:
        """Have the marker say that the job is on a queue, or (None) on none. Without effect on a job that is closed."""
        text = None if queued is None else queued.model_dump_json(exclude_none=True)
        objects.set_metadata(self._bucket, marker_name(job_id, run), {_QUEUED: text})

    def mark_shard_done(self, job_id: str, number: int, run: int) -> None:
        """Have the marker say that a shard waits on no queue any more. Without effect on a run that is closed."""
        objects.set_metadata(self._bucket, marker_name(job_id, run), {f"{_DONE_SHARD}{number}": "done"})

    def is_open(self, job_id: str, run: int = 1) -> bool:
        """Whether a run's outcome still has to be published."""
        return objects.exists(self._bucket, marker_name(job_id, run), deadline_seconds=self._deadline_seconds)


def opened_text(blob: Blob) -> str:
    """An `OpenJob` as a marker says it, in JSON; empty where it does not."""
    return str((blob.metadata or {}).get(_OPENED, ""))


def _metadata(opened: OpenJob) -> dict[str, str]:
    return {_OPENED: opened.model_dump_json()}


def _queued(name: str, text: str | None) -> QueuedUpload | None:
    try:
        return None if text is None else QueuedUpload.model_validate_json(text)
    except ValidationError:
        _log.exception("unreadable object in the state bucket", extra={"fields": {"object": name}})
        return None
