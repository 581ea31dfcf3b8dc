"""The objects: their records in memory under one lock, their bytes in one folder, a file each with a random name."""

from __future__ import annotations

import base64
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple

import google_crc32c

from infra.emulators.storage.errors import StorageError, invalid

BLOCK_BYTES = 64 * 1024  # what is held in memory of an object at a time
DEFAULT_CONTENT_TYPE = "application/octet-stream"
MAX_NAME_BYTES = 1024  # of UTF-8
MAX_LIST_ENTRIES = 1000


class ObjectKey(NamedTuple):
    """A bucket's name and an object's."""

    bucket: str
    name: str


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a writer may say about an object."""

    content_type: str = DEFAULT_CONTENT_TYPE
    content_encoding: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Content:
    """A finished file; `crc32c` is base64 of big-endian bytes, as in an object resource."""

    path: Path
    size: int
    crc32c: str


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One generation of an object."""

    key: ObjectKey
    generation: int
    """Microseconds since the epoch, strictly increasing over a store's life."""
    attributes: Attributes
    content: Content
    created: datetime
    metageneration: int = 1
    """Counts the changes of a generation's attributes."""


class Page(NamedTuple):
    """Objects in the order of their names' bytes."""

    objects: list[StoredObject]
    last_name: str | None
    """The next page begins behind it; None where this is the last one."""


class StagedFile:
    """A file still being written. `close` removes it, unless it was sealed before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("xb")
        self._crc32c = 0
        self._sealed = False
        self.size = 0

    def append(self, block: bytes) -> None:
        """Write `block` at the end."""
        self._file.write(block)
        self._crc32c = google_crc32c.extend(self._crc32c, block)
        self.size += len(block)

    def seal(self, expected_crc32c: str | None) -> Content:
        """Finish the file. Raises StorageError where its checksum is not the expected one."""
        crc32c = base64.b64encode(self._crc32c.to_bytes(4, "big")).decode("ascii")
        if expected_crc32c not in (None, crc32c):
            raise invalid(f'Provided CRC32C "{expected_crc32c}" does not match calculated CRC32C "{crc32c}".')
        self._file.close()
        self._sealed = True
        return Content(self._path, self.size, crc32c)

    def close(self) -> None:
        """Close the file, and remove it unless it was sealed; idempotent."""
        self._file.close()
        if not self._sealed:
            self._path.unlink(missing_ok=True)


class ObjectStore:
    """Buckets of objects; every method is atomic and raises StorageError for what it refuses.

    A `generation` that is given but not the live one is not found; a `generation_match` that does not hold is refused,
    and 0 asks for an object that does not exist.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = root
        self._lock = threading.RLock()
        self._buckets: dict[str, dict[str, StoredObject]] = {}
        self._last_generation = 0

    def create_bucket(self, name: str) -> None:
        """Make an empty bucket."""
        with self._lock:
            if name in self._buckets:
                raise StorageError(409, "BucketAlreadyOwnedByYou", "You already own this bucket.")
            self._buckets[name] = {}

    def check_bucket(self, name: str) -> None:
        """Raise StorageError unless there is one of this name."""
        self._bucket(name)

    def list_page(self, bucket: str, prefix: str, after: str, limit: int, start: str = "") -> Page:
        """Up to `limit` objects whose names begin with `prefix`, come behind `after` and not before `start`."""
        with self._lock:
            objects = [stored for stored in self._bucket(bucket).values() if stored.key.name.startswith(prefix)]
        names = [stored for stored in objects if stored.key.name > after and stored.key.name >= start]
        names.sort(key=lambda stored: stored.key.name)  # Python compares text as UTF-8's bytes compare
        limit = min(limit, MAX_LIST_ENTRIES)
        return Page(names[:limit], names[limit - 1].key.name if len(names) > limit else None)

    def get(self, key: ObjectKey, generation: int | None) -> StoredObject:
        """The live object."""
        with self._lock:
            stored = self._bucket(key.bucket).get(key.name)
            if stored is None or generation not in (None, stored.generation):
                raise StorageError(404, "NoSuchKey", f"No such object: {key.bucket}/{key.name}")
            return stored

    def update_metadata(self, key: ObjectKey, changes: Mapping[str, str | None]) -> StoredObject:
        """Set entries of the live object's custom metadata, and delete those that are None."""
        with self._lock:
            stored = self.get(key, None)
            merged = {**stored.attributes.metadata, **changes}
            metadata = {name: value for name, value in merged.items() if value is not None}
            attributes = replace(stored.attributes, metadata=metadata)
            stored = replace(stored, attributes=attributes, metageneration=stored.metageneration + 1)
            self._buckets[key.bucket][key.name] = stored
            return stored

    def open(self, key: ObjectKey, generation: int | None) -> tuple[StoredObject, BinaryIO]:
        """An object and its open file, which stays readable when the object is replaced or deleted."""
        with self._lock:
            stored = self.get(key, generation)
            return stored, stored.content.path.open("rb")

    def delete(self, key: ObjectKey, generation: int | None, generation_match: int | None) -> None:
        """Remove an object and its bytes."""
        with self._lock:
            stored = self.get(key, generation)
            _require(stored, generation_match)
            del self._buckets[key.bucket][key.name]
        stored.content.path.unlink()

    def stage(self) -> StagedFile:
        """A new file to write an object's bytes to."""
        return StagedFile(self._root / uuid.uuid4().hex)

    def check_put(self, key: ObjectKey, generation_match: int | None) -> None:
        """Raise what `put` would raise now."""
        _check_name(key.name)
        with self._lock:
            _require(self._bucket(key.bucket).get(key.name), generation_match)

    def put(
        self, key: ObjectKey, attributes: Attributes, content: Content, generation_match: int | None
    ) -> StoredObject:
        """Make `content` the live generation of `key`; owns its file from here on and removes it when refusing."""
        with self._lock:
            try:
                self.check_put(key, generation_match)
            except StorageError:
                content.path.unlink()
                raise
            self._last_generation = max(self._last_generation + 1, time.time_ns() // 1000)
            stored = StoredObject(key, self._last_generation, attributes, content, datetime.now(UTC))
            objects = self._buckets[key.bucket]
            replaced, objects[key.name] = objects.get(key.name), stored
        if replaced:
            replaced.content.path.unlink()
        return stored

    def _bucket(self, name: str) -> dict[str, StoredObject]:
        with self._lock:
            if name not in self._buckets:
                raise StorageError(404, "NoSuchBucket", "The specified bucket does not exist.")
            return self._buckets[name]


def _require(live: StoredObject | None, generation_match: int | None) -> None:
    if generation_match not in (None, live.generation if live else 0):
        raise StorageError(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")


def _check_name(name: str) -> None:
    """Raise StorageError unless Cloud Storage would let an object have this name."""
    try:
        size = len(name.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise invalid("Object names must be valid UTF-8.") from error
    if not 1 <= size <= MAX_NAME_BYTES:
        raise invalid(f"The object name is {size} bytes long, not 1 to {MAX_NAME_BYTES}.")
    if name in {".", ".."} or not {"\r", "\n"}.isdisjoint(name):
        raise invalid(f"Disallowed object name {name!r}.")
