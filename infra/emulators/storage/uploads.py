"""The two ways in which Google's client writes an object: in one multipart body, or in chunks (resumable)."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from werkzeug.http import parse_options_header

from infra.emulators.storage.errors import StorageError, invalid, not_supported
from infra.emulators.storage.object_store import (
    DEFAULT_CONTENT_TYPE,
    Attributes,
    Content,
    ObjectKey,
    StagedFile,
    StoredObject,
)
from infra.emulators.storage.parsing import json_object

_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(?:\d+|\*)|\*)/(?:(\d+)|\*)")
_CONTENT_TYPE = re.compile(rb"content-type:\s*([^\r\n]+)", re.IGNORECASE)
_KNOWN_FIELDS = {"name", "bucket", "contentType", "contentEncoding", "metadata", "crc32c"}


class NewObject(NamedTuple):
    """What a writer says about the object it is about to write."""

    key: ObjectKey
    attributes: Attributes
    crc32c: str | None


def new_object(bucket: str, resource: dict[str, Any], content_type: str | None) -> NewObject:
    """Read an object resource; `content_type` is what the bytes came with, and gives way to the resource's."""
    if unknown := sorted(set(resource) - _KNOWN_FIELDS):
        raise not_supported(", ".join(unknown))
    name, metadata = resource.get("name", ""), resource.get("metadata") or {}
    if not isinstance(name, str) or not isinstance(metadata, dict):
        raise invalid("name must be a string, metadata an object.")
    if not all(isinstance(value, str) for value in metadata.values()):
        raise invalid("Values of metadata must be strings.")
    content_type = resource.get("contentType") or content_type or DEFAULT_CONTENT_TYPE
    attributes = Attributes(content_type, resource.get("contentEncoding"), metadata)
    return NewObject(ObjectKey(bucket, name), attributes, resource.get("crc32c"))


def metadata_changes(resource: dict[str, Any]) -> dict[str, str | None]:
    """Read a patch of an object resource, which may change custom metadata alone; None: the entry is deleted."""
    if set(resource) != {"metadata"}:
        raise not_supported(f"a patch of {', '.join(sorted(resource)) or 'nothing'}")
    changes: dict[str, str | None] = resource["metadata"] or {}
    if not all(value is None or isinstance(value, str) for value in changes.values()):
        raise invalid("Values of metadata must be strings.")
    return changes


def split_multipart(body: bytes, content_type: str) -> tuple[dict[str, Any], str | None, bytes]:
    """A multipart/related body: the object resource, the content type of the media, and the media."""
    boundary = parse_options_header(content_type)[1].get("boundary")
    if not boundary:
        raise invalid("The multipart body has no boundary.")
    delimiter = b"--" + boundary.encode("latin-1")
    # The media may hold what looks like a boundary: only the last one counts.
    parts, found, _ = body.rpartition(b"\r\n" + delimiter + b"--")
    try:
        _, resource, media = parts.split(delimiter + b"\r\n", 2)
        header, data = media.split(b"\r\n\r\n", 1)
        resource = resource.split(b"\r\n\r\n", 1)[1]
    except (ValueError, IndexError) as error:
        raise invalid("The multipart body is malformed.") from error
    if not found:
        raise invalid("The multipart body is cut short.")
    stated = _CONTENT_TYPE.search(header)
    return json_object(resource), stated[1].decode("latin-1") if stated else None, data


class ResumableUpload:
    """One upload: takes one request at a time until all bytes are here, then repeats what became of them.

    `put` is called once, with all bytes.
    """

    def __init__(self, new: NewObject, staged: StagedFile, put: Callable[[Content], StoredObject]) -> None:
        self.key = new.key
        self._crc32c = new.crc32c
        self._staged = staged
        self._put = put
        self._outcome: StoredObject | StorageError | None = None
        self._lock = threading.Lock()

    @property
    def received(self) -> int:
        """How many bytes from the start are here."""
        return self._staged.size

    def receive(
        self, content_range: str | None, length: int | None, blocks: Iterable[bytes], crc32c: str | None
    ) -> StoredObject | None:
        """Keep those bytes that are new; the object once all are here, which may be refused, and None before.

        `content_range` is the request's header: `bytes 0-9/10`, `bytes 0-9/*`, or `bytes */10` to ask how far the
        upload is; without one the body, of `length` bytes, is all. When `blocks` raises, what came before is kept.
        """
        first, total = _parse_content_range(content_range) if content_range else (0, length)
        with self._lock:
            if self._outcome is None:
                if first is not None:
                    self._append(first, blocks)
                if self.received == total:
                    self._outcome = self._finish(crc32c or self._crc32c)
            if isinstance(self._outcome, StorageError):
                raise self._outcome
            return self._outcome

    def abandon(self) -> None:
        """Give up: what was received is removed, unless it became an object."""
        with self._lock:
            self._staged.close()

    def _append(self, first: int, blocks: Iterable[bytes]) -> None:
        known = self.received - first
        if known < 0:
            raise invalid(f"The upload offset is {first} byte(s), and {self.received} byte(s) have been uploaded.")
        for block in blocks:
            self._staged.append(block[known:])
            known = max(0, known - len(block))

    def _finish(self, crc32c: str | None) -> StoredObject | StorageError:
        try:
            return self._put(self._staged.seal(crc32c))
        except StorageError as refusal:
            return refusal
        finally:
            self._staged.close()


def _parse_content_range(header: str) -> tuple[int | None, int | None]:
    """Where the body begins, None without one, and how large the object will be, None where that is not known yet."""
    match = _CONTENT_RANGE.fullmatch(header)
    if match is None:
        raise invalid("Failed to parse Content-Range header.")
    return (None if match[1] is None else int(match[1]), None if match[2] is None else int(match[2]))
