"""Cloud Storage, reduced to the writes that decide who was first, and to one read-modify-write loop over them.

Google's own client does the work. It repeats a write whose answer was lost, and then meets its own object as 412
(precondition failed); so what stands there decides who wrote it, not the status.
"""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage import Bucket
from google.cloud.storage.retry import DEFAULT_RETRY
from pydantic import BaseModel, ValidationError

from shared.errors import StateConflict

_log = logging.getLogger(__name__)

UPDATE_ATTEMPTS = 6
"""Writes of one update against other processes' writes."""

FIRST_BACKOFF_SECONDS = 0.1
"""Longest wait after the first lost write; it doubles with each further one. The wait itself is random."""

MAX_BACKOFF_SECONDS = 2.0

_WRITE_ID = "dropscribe-write"
"""Custom metadata of what `replace` writes, by which a writer knows its own object among others of equal content."""


@dataclass(frozen=True)
class Versioned:
    """Bytes of an object with the generation they were read at."""

    data: bytes
    generation: int


def bucket_and_name(uri: str) -> tuple[str, str]:
    """`gs://BUCKET/NAME` -> both; the name is empty where there is none."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    return bucket, name


def _within(deadline_seconds: float | None) -> dict[str, Any]:
    """Options of the client's calls: one try may take so long, and none begins later than that. None: the client's own
    limits, 60 s a try and 120 s in all."""
    if deadline_seconds is None:
        return {}
    return {"timeout": deadline_seconds, "retry": DEFAULT_RETRY.with_timeout(deadline_seconds)}


def read(bucket: Bucket, name: str, *, deadline_seconds: float | None = None) -> Versioned | None:
    """The object's newest content, or None where there is none."""
    blob = bucket.blob(name)
    try:
        data = blob.download_as_bytes(**_within(deadline_seconds))
    except NotFound:
        return None
    return Versioned(data, int(blob.generation))


def create_once(
    bucket: Bucket,
    name: str,
    data: bytes,
    content_type: str = "application/json",
    metadata: Mapping[str, str] | None = None,
    *,
    deadline_seconds: float | None = None,
) -> Versioned:
    """Write the object unless it exists; the answer is what stands there now, ours or an earlier writer's."""
    blob = bucket.blob(name)
    if metadata:
        blob.metadata = dict(metadata)
    try:
        blob.upload_from_string(data, content_type=content_type, if_generation_match=0, **_within(deadline_seconds))
    except PreconditionFailed:
        existing = read(bucket, name, deadline_seconds=deadline_seconds)
        if existing is None:
            raise StateConflict(f"{name} appeared and vanished while it was written") from None
        return existing
    return Versioned(data, int(blob.generation))


def replace(
    bucket: Bucket,
    name: str,
    data: bytes,
    generation: int,
    *,
    metadata: Mapping[str, str] | None = None,
    deadline_seconds: float | None = None,
) -> Versioned:
    """Write the object if it still has `generation` (0: does not exist); otherwise raise StateConflict."""
    blob, write_id = bucket.blob(name), uuid.uuid4().hex
    blob.metadata = {**(metadata or {}), _WRITE_ID: write_id}
    try:
        blob.upload_from_string(
            data, content_type="application/json", if_generation_match=generation, **_within(deadline_seconds)
        )
    except PreconditionFailed:
        blob = bucket.get_blob(name, **_within(deadline_seconds))
        if blob is None or (blob.metadata or {}).get(_WRITE_ID) != write_id:
            raise StateConflict(f"{name} was changed by another process") from None
    return Versioned(data, int(blob.generation))


def write(
    bucket: Bucket,
    name: str,
    data: bytes,
    *,
    metadata: Mapping[str, str] | None = None,
    deadline_seconds: float | None = None,
) -> None:
    """Write the object, whatever stands there: for what only one process writes."""
    blob = bucket.blob(name)
    if metadata:
        blob.metadata = dict(metadata)
    blob.upload_from_string(data, content_type="application/json", **_within(deadline_seconds))


def write_and_delete(bucket: Bucket, name: str, metadata: Mapping[str, str], source: str) -> bool:
    """Write the object, whatever stands there, and delete another one, with one call. It has the other one's content,
    and of the metadata those given. False, and without effect, where there is no other one.

    Where Cloud Storage answers that it failed, none of it may have happened, or all, or the object is there and the
    other one, too: it is to be done again.
    """
    blob = bucket.blob(name)
    blob.metadata, blob.content_type = dict(metadata), "application/json"
    try:
        # Done twice it is the same, so the client may repeat it: an answer that was lost makes it False.
        blob.compose([bucket.blob(source)], delete_source_objects=True, retry=DEFAULT_RETRY)
    except NotFound:
        return False
    return True


def exists(bucket: Bucket, name: str, *, deadline_seconds: float | None = None) -> bool:
    """Whether there is such an object."""
    return bool(bucket.blob(name).exists(**_within(deadline_seconds)))


def set_metadata(bucket: Bucket, name: str, metadata: Mapping[str, str | None]) -> bool:
    """Set entries of an object's custom metadata, and delete those that are None; False where there is no object."""
    blob = bucket.blob(name)
    blob.metadata = dict(metadata)
    try:
        blob.patch(retry=DEFAULT_RETRY)
    except NotFound:
        return False
    return True


@dataclass(frozen=True)
class Listed:
    """An object as a listing has it."""

    name: str
    generation: int
    metadata: Mapping[str, str]
    """Its custom metadata."""


def list_metadata(bucket: Bucket, prefix: str, after: str = "") -> Iterator[Listed]:
    """The objects whose names begin so, 1,000 of them with a call. `after`: a name that all of them come behind."""
    fields = "items(name,generation,metadata),nextPageToken"
    for blob in bucket.list_blobs(prefix=prefix, start_offset=after or None, fields=fields):
        if blob.name == after:
            continue
        yield Listed(str(blob.name), int(blob.generation), blob.metadata or {})


def delete(bucket: Bucket, name: str, generation: int | None = None) -> bool:
    """Delete the object (only `generation`, where given); False where it was gone or has changed."""
    try:
        bucket.blob(name).delete(if_generation_match=generation)
    except (NotFound, PreconditionFailed):
        return False
    return True


Model = TypeVar("Model", bound=BaseModel)


def read_json(
    bucket: Bucket,
    name: str,
    default: Model,
    *,
    replace_unreadable: bool = False,
    deadline_seconds: float | None = None,
) -> Model:
    """The object's content; `default` where there is no object.

    Content that is no such model counts as `default` with `replace_unreadable`, and is logged; without, it raises
    ValidationError.
    """
    stored = read(bucket, name, deadline_seconds=deadline_seconds)
    return _parsed(stored, name, default, replace_unreadable=replace_unreadable)


def update_json(
    bucket: Bucket,
    name: str,
    default: Model,
    change: Callable[[Model], Model | None],
    *,
    attempts: int = UPDATE_ATTEMPTS,
    replace_unreadable: bool = False,
) -> Model:
    """Read the object as `read_json` does, write what `change` makes of it, and return what stands then.

    Where `change` returns None, or what stands there already, nothing is written. Where another process wrote in
    between, everything is done again, `change` included, after a random and growing wait. Raises StateConflict where
    others were faster `attempts` times, and what `change` raises.
    """
    for attempt in range(attempts):
        if attempt:
            time.sleep(random.uniform(0, min(FIRST_BACKOFF_SECONDS * 2 ** (attempt - 1), MAX_BACKOFF_SECONDS)))
        stored = read(bucket, name)
        before = _parsed(stored, name, default, replace_unreadable=replace_unreadable)
        after = change(before)
        if after is None or after == before:
            return before
        try:
            replace(bucket, name, after.model_dump_json().encode(), stored.generation if stored else 0)
        except StateConflict:
            continue
        return after
    raise StateConflict(f"{name} was changed by other processes {attempts} times in a row")


def _parsed(stored: Versioned | None, name: str, default: Model, *, replace_unreadable: bool) -> Model:
    if stored is None:
        return default
    try:
        return type(default).model_validate_json(stored.data)
    except ValidationError:
        if not replace_unreadable:
            raise
        _log.exception("unreadable object in the state bucket", extra={"fields": {"object": name}})
        return default
