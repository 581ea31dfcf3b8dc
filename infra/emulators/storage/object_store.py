"""The objects: what is known of them in memory under one lock, their bytes in files of one folder."""

from __future__ import annotations

import re
import threading
import time
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from infra.emulators.storage.content import BLOCK_BYTES, StagedContent
from infra.emulators.storage.errors import (
    BucketExistsError,
    BucketNotFoundError,
    InvalidRequestError,
    ObjectNotFoundError,
    StorageError,
)
from infra.emulators.storage.listing import page_of
from infra.emulators.storage.objects import StoredObject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from infra.emulators.storage.content import Content
    from infra.emulators.storage.listing import ListQuery, Page
    from infra.emulators.storage.objects import Attributes, ObjectKey, Preconditions, Target

_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket and its live objects by name."""

    name: str
    created: datetime
    objects: dict[str, StoredObject] = field(default_factory=dict)


class ObjectStore:
    """Buckets of objects; every method is atomic and raises a StorageError for what it refuses."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = root
        self._lock = threading.RLock()
        self._buckets: dict[str, Bucket] = {}
        self._last_generation = 0

    def create_bucket(self, name: str) -> Bucket:
        """Make an empty bucket."""
        if not _BUCKET_NAME.fullmatch(name):
            raise InvalidRequestError(f"Invalid bucket name: {name!r}")
        with self._lock:
            if name in self._buckets:
                raise BucketExistsError(
                    "Your previous request to create the named bucket succeeded and you already own it."
                )
            bucket = self._buckets[name] = Bucket(name, datetime.now(UTC))
            return bucket

    def bucket(self, name: str) -> Bucket:
        """The bucket of this name."""
        with self._lock:
            try:
                return self._buckets[name]
            except KeyError:
                raise BucketNotFoundError("The specified bucket does not exist.") from None

    def buckets(self) -> list[Bucket]:
        """All buckets, by name."""
        with self._lock:
            return sorted(self._buckets.values(), key=lambda bucket: bucket.name)

    def list_page(self, bucket: str, query: ListQuery) -> Page:
        """A page of a bucket's objects."""
        with self._lock:
            objects = list(self.bucket(bucket).objects.values())
        return page_of(objects, query)

    def get(self, target: Target) -> StoredObject:
        """What is known of an object."""
        with self._lock:
            stored = self._find(target)
            target.preconditions.require(stored, reading=True)
            return stored

    def open(self, target: Target) -> tuple[StoredObject, BinaryIO]:
        """An object and its open file, which stays readable when the object is replaced or deleted."""
        with self._lock:
            stored = self.get(target)
            return stored, stored.content.path.open("rb")

    def patch(self, target: Target, resource: Mapping[str, object]) -> StoredObject:
        """Merge the writable part of `resource` into an object; makes the next metageneration."""
        with self._lock:
            stored = self._find_writable(target)
            patched = replace(
                stored,
                metageneration=stored.metageneration + 1,
                attributes=stored.attributes.patched(resource),
                updated=datetime.now(UTC),
            )
            self._buckets[target.key.bucket].objects[target.key.name] = patched
            return patched

    def delete(self, target: Target) -> None:
        """Remove an object and its bytes."""
        with self._lock:
            stored = self._find_writable(target)
            del self._buckets[target.key.bucket].objects[target.key.name]
        stored.content.path.unlink()

    def stage(self) -> StagedContent:
        """A new file to write an object's bytes to."""
        return StagedContent(self._new_path())

    def check_put(self, key: ObjectKey, preconditions: Preconditions) -> None:
        """Raise what `put` would raise now."""
        key.check_name()
        with self._lock:
            preconditions.require(self.bucket(key.bucket).objects.get(key.name))

    def put(
        self, key: ObjectKey, attributes: Attributes, content: Content, preconditions: Preconditions
    ) -> StoredObject:
        """Make `content` the live generation of `key`; owns its file from here on and removes it when refusing."""
        with self._lock:
            try:
                self.check_put(key, preconditions)
            except StorageError:
                content.path.unlink()
                raise
            objects = self._buckets[key.bucket].objects
            replaced = objects.get(key.name)
            now = datetime.now(UTC)
            stored = StoredObject(key, self._next_generation(), 1, attributes, content, created=now, updated=now)
            objects[key.name] = stored
        if replaced:
            replaced.content.path.unlink()
        return stored

    def copy(
        self, source: Target, key: ObjectKey, changes: Mapping[str, object], preconditions: Preconditions
    ) -> StoredObject:
        """Make `key` a copy of `source` with `changes` merged in; the bytes are linked, as content never changes."""
        with self._lock:
            original = self._find_writable(source)
            attributes = original.attributes.patched(changes)
            content = replace(original.content, path=self._new_path())
            content.path.hardlink_to(original.content.path)
        return self.put(key, attributes, content, preconditions)

    def compose(
        self, sources: Sequence[Target], key: ObjectKey, attributes: Attributes, preconditions: Preconditions
    ) -> StoredObject:
        """Make `key` of the bytes of `sources`, one after the other."""
        with ExitStack() as files:
            parts = []
            with self._lock:
                for source in sources:
                    stored, file = self.open(source)
                    parts.append((stored, files.enter_context(file)))
            staged = files.enter_context(self.stage())
            for _, file in parts:
                for block in iter(partial(file.read, BLOCK_BYTES), b""):
                    staged.append(block)
            count = sum(stored.content.component_count or 1 for stored, _ in parts)
            content = replace(staged.seal({}), md5=None, component_count=count)
        return self.put(key, attributes, content, preconditions)

    def _find(self, target: Target) -> StoredObject:
        stored = self.bucket(target.key.bucket).objects.get(target.key.name)
        if stored is None or target.generation not in {None, stored.generation}:
            raise ObjectNotFoundError(f"No such object: {target.key.bucket}/{target.key.name}")
        return stored

    def _find_writable(self, target: Target) -> StoredObject:
        stored = self._find(target)
        target.preconditions.require(stored)
        return stored

    def _next_generation(self) -> int:
        self._last_generation = max(self._last_generation + 1, time.time_ns() // 1000)
        return self._last_generation

    def _new_path(self) -> Path:
        return self._root / uuid.uuid4().hex
