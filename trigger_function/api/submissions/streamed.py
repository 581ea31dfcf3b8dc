"""A recording that is written to its object as it comes, of which only a part is held in memory."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Self

import google_crc32c
from google.api_core.exceptions import PreconditionFailed, from_http_response
from google.cloud.storage import Blob
from google.cloud.storage.exceptions import InvalidResponse

from shared.media import Upload
from trigger_function.api.services import ApiServices
from trigger_function.api.submissions.new_upload import NewUpload, check_same_options, other_recording, uploads_bucket
from trigger_function.api.web.problems import Problem

HELD_BYTES = 4 << 20
"""Of a recording, before its object is begun: the fields of a form that follow a small file still count."""

CHUNK_BYTES = 8 << 20
"""Of one request to Cloud Storage, held until it is stored. Google recommends 8 MiB and more."""


class StreamedRecording:
    """An object in the uploads bucket, written in blocks; there is none until `finish()`.

    Cloud Storage compares the CRC32C of what it got with that of what was written.
    """

    def __init__(self, services: ApiServices, describe: Callable[[], NewUpload]) -> None:
        """`describe`: asked when the object is begun, and again at its end, when nothing may have changed."""
        self._services = services
        self._describe = describe
        self._held = bytearray()
        self._new: NewUpload | None = None
        self._blob: Blob | None = None
        self._writer: Any = None
        self._checksum = google_crc32c.Checksum()
        self.size = 0
        """Bytes so far."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None and not self._writer.closed:
            self._writer.terminate()

    def write(self, block: bytes) -> None:
        """Raises what the storage client raises, and what `describe` does."""
        self.size += len(block)
        self._checksum.update(block)
        if self._writer is None:
            self._held += block
            if len(self._held) <= HELD_BYTES:
                return
            self._new = self._describe()
            self._blob = self._new.blob(uploads_bucket(self._services))
            self._writer = self._blob.open(
                "wb", chunk_size=CHUNK_BYTES, content_type=self._new.content_type, if_generation_match=0
            )
            block = bytes(self._held)
            self._held.clear()
        try:
            self._writer.write(block)
        except InvalidResponse as error:
            raise _storage_error(error) from error

    def finish(self) -> Upload:
        """The object, written; where an earlier try of the same request has written it, that one's.

        Raises Problem where that was another recording, or fields that came late have changed the object.
        """
        new = self._describe()
        if self._new is not None and new != self._new:
            raise fields_after_file()
        bucket = uploads_bucket(self._services)
        try:
            if self._writer is None:
                blob = new.blob(bucket)
                blob.upload_from_file(
                    io.BytesIO(self._held), size=len(self._held), content_type=new.content_type, if_generation_match=0
                )
                generation = int(blob.generation)
            else:
                assert self._blob is not None
                try:
                    self._writer.close()
                except InvalidResponse as error:
                    raise _storage_error(error) from error
                self._blob.reload()
                generation = int(self._blob.generation)
        except PreconditionFailed:
            return self._earlier(new)
        return Upload(bucket=str(bucket.name), name=new.name, generation=generation)

    def _earlier(self, new: NewUpload) -> Upload:
        bucket = uploads_bucket(self._services)
        existing = bucket.get_blob(new.name)
        if existing is None:
            raise Problem(HTTPStatus.CONFLICT, "What an earlier try of this request had stored was deleted.")
        if existing.crc32c != base64.b64encode(self._checksum.digest()).decode():
            raise other_recording()
        check_same_options(existing, new)
        return Upload(bucket=str(bucket.name), name=new.name, generation=int(existing.generation))


def fields_after_file() -> Problem:
    """Of fields that came behind the recording, and would have changed the object that was written by then."""
    return Problem(
        HTTPStatus.BAD_REQUEST,
        f"In a form with a file of more than {HELD_BYTES} bytes, other fields have to come before the file.",
        "fields-after-file",
    )


def _storage_error(error: InvalidResponse) -> Exception:
    """As the client's other calls raise it."""
    raised: Exception = from_http_response(error.response)
    return raised
