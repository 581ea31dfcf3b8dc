"""Fetch one upload: exactly its generation, checked against its checksum, with gzip encoding unpacked as it comes."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import google_crc32c
from google.api_core.exceptions import GoogleAPICallError, RequestRangeNotSatisfiable
from google.cloud.storage import Blob, Client
from google.cloud.storage.exceptions import DataCorruption

from gpu_job.fetch.arrival import PART_BYTES
from gpu_job.fetch.arriving_file import ArrivingFile
from gpu_job.fetch.part_checksums import parts_of, whole_checksum
from shared import gzip_content
from shared.errors import BadMedia, Rejected
from shared.media import Upload
from shared.storage_errors import refusal_of


def fetch(client: Client, upload: Upload, path: Path, timeout: float, max_unpacked_bytes: int) -> None:
    """Fetch all of it, one part after the other. Raises as `begin_fetch` does."""
    begin_fetch(client, upload, path, 0, timeout, max_unpacked_bytes)


def begin_fetch(
    client: Client,
    upload: Upload,
    path: Path,
    size: int,
    timeout: float,
    max_unpacked_bytes: int,
    on_end: Callable[[BaseException | None], None] = lambda error: None,
    *,
    on_demand: bool = False,
) -> ArrivingFile | None:
    """Fetch an upload, and return when it can be read: None where it is complete, else the file that arrives.

    `size`: of its content, in bytes, as inspection found it; 0 to have all of it. What is no larger than a part, and
    what is gzip-encoded, is complete. `timeout`: seconds for the next bytes; broken connections are resumed by the
    client. `on_end`, `on_demand`: as of ArrivingFile; `on_end` is not called where this raises.
    Raises Rejected or UploadNotReadable where Cloud Storage will never give it, and the client's error where it may;
    BadMedia where the gzip encoding is damaged, Rejected where the content is larger than `max_unpacked_bytes`.
    """
    stored = _StoredObject(client, upload, timeout)
    first = stored.read(0, PART_BYTES)
    is_packed = gzip_content.is_gzip_encoded(stored.content_encoding) and first.startswith(gzip_content.MAGIC)
    if size > len(first) and not is_packed:
        return ArrivingFile(path, size, first, stored.read, stored.check, on_end, on_demand=on_demand)
    blocks = stored.blocks(first)
    with path.open("wb") as file:
        try:
            for piece in gzip_content.unpacked(blocks, max_unpacked_bytes) if is_packed else blocks:
                file.write(piece)
        except (BadMedia, Rejected):
            # No word about the upload, unless what came of it has its checksum.
            for _ in blocks:
                pass
            raise
    on_end(None)
    return None


def consists_of(
    client: Client,
    upload: Upload,
    size: int,
    parts: Mapping[int, int],
    timeout: float,
    is_over: Callable[[], bool] = lambda: False,
) -> bool:
    """Whether these are the CRC32C of parts of an upload, by that of the whole.

    `size`: of its content, in bytes. `parts`: by number; the others, which may be gigabytes, are read now, and not
    kept. `is_over`: whether nobody waits for the answer any more. False then, and where Cloud Storage has no CRC32C of
    the object. Raises as `begin_fetch` does.
    """
    stored, checksums = _StoredObject(client, upload, timeout), list[int]()
    for number in range(parts_of(size)):
        known = parts.get(number)
        if known is None and is_over():
            return False
        checksums.append(google_crc32c.value(stored.read(*_ends(number))) if known is None else known)
    return stored.crc32c() == _encoded(whole_checksum(checksums, size))


def _ends(part: int) -> tuple[int, int]:
    return part * PART_BYTES, (part + 1) * PART_BYTES


def _encoded(crc: int) -> str:
    """As Cloud Storage states it."""
    return base64.b64encode(crc.to_bytes(4, "big")).decode()


class _StoredObject:
    """One generation of an object."""

    def __init__(self, client: Client, upload: Upload, timeout: float) -> None:
        self.content_encoding: str | None = None
        """As the object states it; known after something was read."""
        self._crc32c: str | None = None
        self._client = client
        self._upload = upload
        self._timeout = timeout

    def read(self, start: int, end: int) -> bytes:
        """The bytes [start, end), as they are stored; fewer at the object's end."""
        blob = self._blob()
        try:
            # Raw: content that says it is gzip would otherwise be unpacked on the way, to any size.
            data = blob.download_as_bytes(
                start=start, end=end - 1, raw_download=True, checksum=None, timeout=self._timeout
            )
        except RequestRangeNotSatisfiable:
            return b""
        except GoogleAPICallError as error:
            if (refusal := refusal_of(error)) is not None:
                raise refusal from error
            raise
        self.content_encoding, self._crc32c = blob.content_encoding, blob.crc32c
        return bytes(data)

    def blocks(self, first: bytes) -> Iterator[bytes]:
        """All of it, part by part; `first`: the first part. Raises DataCorruption at the end."""
        block, at, crc = first, 0, 0
        while block:
            yield block
            crc = google_crc32c.extend(crc, block)
            at += len(block)
            block = self.read(at, at + PART_BYTES) if len(block) == PART_BYTES else b""
        self.check(crc)

    def check(self, crc: int) -> None:
        """Raises DataCorruption where the object has another CRC32C."""
        stated = self._crc32c if self._crc32c is not None or not crc else self.crc32c()
        found = _encoded(crc)
        if stated is not None and found != stated:
            raise DataCorruption(None, f"What arrived has the CRC32C {found}, and the object {stated}.")

    def crc32c(self) -> str | None:
        """As the object states it; None where it states none."""
        if self._crc32c is None:
            blob = self._blob()
            try:
                blob.reload(timeout=self._timeout)
            except GoogleAPICallError as error:
                if (refusal := refusal_of(error)) is not None:
                    raise refusal from error
                raise
            self._crc32c = blob.crc32c
        return self._crc32c

    def _blob(self) -> Blob:
        """One of its own: each answer's headers are kept in it."""
        upload = self._upload
        blob: Blob = self._client.bucket(upload.bucket).blob(upload.name, generation=upload.generation)
        return blob
