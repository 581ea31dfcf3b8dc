"""Cloud Storage, reduced to the writes that decide who was first. Google's own client does the work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage import Bucket

from shared.errors import StateConflict


@dataclass(frozen=True)
class Versioned:
    """Bytes of an object with the generation they were read at."""

    data: bytes
    generation: int


def bucket_and_name(uri: str) -> tuple[str, str]:
    """`gs://BUCKET/NAME` -> both; the name is empty where there is none."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    return bucket, name


def read(bucket: Bucket, name: str) -> Versioned | None:
    """The object's newest content, or None where there is none."""
    blob = bucket.blob(name)
    try:
        data = blob.download_as_bytes()
    except NotFound:
        return None
    return Versioned(data, int(blob.generation))


def create_once(
    bucket: Bucket,
    name: str,
    data: bytes,
    content_type: str = "application/json",
    metadata: Mapping[str, str] | None = None,
) -> Versioned:
    """Write the object unless it exists; the answer is what stands there now, ours or an earlier writer's.

    A lost answer makes the client write again and see its own object as 412, so content decides, not the status.
    """
    blob = bucket.blob(name)
    if metadata:
        blob.metadata = dict(metadata)
    try:
        blob.upload_from_string(data, content_type=content_type, if_generation_match=0)
    except PreconditionFailed:
        existing = read(bucket, name)
        if existing is None:
            raise StateConflict(f"{name} appeared and vanished while it was written") from None
        return existing
    return Versioned(data, int(blob.generation))


def replace(bucket: Bucket, name: str, data: bytes, generation: int) -> Versioned:
    """Write the object if it still has `generation` (0: does not exist); otherwise raise StateConflict."""
    blob = bucket.blob(name)
    try:
        blob.upload_from_string(data, content_type="application/json", if_generation_match=generation)
    except PreconditionFailed:
        existing = read(bucket, name)
        if existing is not None and existing.data == data:
            return existing
        raise StateConflict(f"{name} was changed by another process") from None
    return Versioned(data, int(blob.generation))


def delete(bucket: Bucket, name: str, generation: int | None = None) -> bool:
    """Delete the object (only `generation`, where given); False where it was gone or has changed."""
    try:
        bucket.blob(name).delete(if_generation_match=generation)
    except (NotFound, PreconditionFailed):
        return False
    return True
