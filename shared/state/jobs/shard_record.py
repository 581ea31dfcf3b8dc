"""The record of a shard: what it begins with, and what a listing of all of a job's shards shows of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from google.cloud.storage import Bucket
from pydantic import BaseModel, ConfigDict, ValidationError

from shared import objects
from shared.clock import now
from shared.costs.shard_plan import Shard, shards_folder
from shared.state.jobs.record import JobRecord, JobState

_log = logging.getLogger(__name__)

_STATE, _PROGRESS = "state", "progress"
"""Entries of the custom metadata of a shard's record."""


class BegunShard(BaseModel):
    """Of a shard's record, what a listing of all of them shows."""

    model_config = ConfigDict(frozen=True)

    state: JobState
    lease_until: datetime
    decoded_seconds: float = 0.0
    transcribed_seconds: float = 0.0
    x_real_time: float | None = None
    progress_at: datetime | None = None


def first_shard_record(record: JobRecord, shard: Shard, **fields: Any) -> JobRecord:
    """What the record of a shard begins with. `record`: its upload's; `fields`: what differs."""
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
    return JobRecord.model_validate({**dict(first), **fields})


def shard_states(bucket: Bucket, record: JobRecord) -> dict[int, JobState]:
    """How far each shard is that has a record, by one listing. `record`: their upload's. One whose metadata does not
    say it is read, and left out where it cannot be."""
    found = ((number, _state(bucket, one)) for number, one in _listed(bucket, record))
    return {number: state for number, state in found if state is not None}


def _state(bucket: Bucket, one: objects.Listed) -> JobState | None:
    with suppress(KeyError, ValueError):
        return JobState(one.metadata[_STATE])
    stored = objects.read(bucket, one.name)
    try:
        return None if stored is None else JobRecord.model_validate_json(stored.data).state
    except ValidationError:
        _log.exception("unreadable object in the state bucket", extra={"fields": {"object": one.name}})
        return None


def begun_shards(bucket: Bucket, record: JobRecord) -> dict[int, BegunShard]:
    """The shards that a worker has begun, by number, by one listing. `record`: their upload's."""
    found = ((number, _begun_shard(one.name, one.metadata.get(_PROGRESS))) for number, one in _listed(bucket, record))
    return {number: begun for number, begun in found if begun is not None}


def _listed(bucket: Bucket, record: JobRecord) -> Iterator[tuple[int, objects.Listed]]:
    """The records of a job's shards, by number."""
    folder = f"jobs/{shards_folder(record.upload.job_id, record.run)}/"
    for one in objects.list_metadata(bucket, folder):
        number, _, name = one.name.removeprefix(folder).partition("/")
        if number.isdecimal() and name == "record.json":
            yield int(number), one


def record_metadata(record: JobRecord) -> dict[str, str]:
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
