"""Recordings into the uploads bucket and out of it, and results, for the browser on this machine."""

from __future__ import annotations

import io
import mimetypes
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count
from pathlib import PurePosixPath
from threading import Lock
from typing import IO, cast

from flask import Response, abort, request
from google.cloud.storage import Bucket, Client
from werkzeug.wsgi import FileWrapper

from infra.emulators.cloud import STATE, UPLOADS
from shared import objects
from shared.media import Upload
from shared.messages import TerminalMessage
from shared.object_names import object_name
from shared.options.model import UploadOptions
from shared.state.jobs.store import JobStore

FREE_BYTES = 1 << 30
"""Room that must be left on the disk beside a recording, and a copy of it that is being transcribed."""

_COPIES = 2

MAX_NAME_CHARACTERS = 4096
"""Of a file's name as a browser sends it; Linux allows paths of as many bytes."""

_READ_BYTES = 1 << 20

RESULT_FILES: Mapping[str, str] = {
    "transcript.html": "text/html; charset=utf-8",
    "transcript.txt": "text/plain; charset=utf-8",
    "transcript.json": "application/json",
    "transcript.srt": "text/plain; charset=utf-8",
    "transcript.vtt": "text/vtt; charset=utf-8",
    "redacted.ogg": "audio/ogg",
}
"""Results that the page shows, with their types."""


@dataclass(frozen=True)
class BucketFiles:
    """Answers that come out of a laptop cloud's buckets. Where one cannot be given the request is aborted."""

    storage: Client
    options: UploadOptions
    """Of what is uploaded."""
    _lock: Lock = field(default_factory=Lock)
    _arriving: set[str] = field(default_factory=set)
    """Names of objects that are being uploaded."""

    def take_upload(self) -> Upload:
        """Stream the request's body into the uploads bucket, under the name in the address."""
        name, size = request.args.get("name", ""), request.content_length
        if not PurePosixPath(name).name or len(name) > MAX_NAME_CHARACTERS:
            abort(HTTPStatus.BAD_REQUEST, "The file has no name.")
        if size is None:
            abort(HTTPStatus.LENGTH_REQUIRED)
        if size == 0:
            abort(HTTPStatus.BAD_REQUEST, "The file is empty.")
        if shutil.disk_usage(tempfile.gettempdir()).free < _COPIES * size + FREE_BYTES:
            abort(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The disk has no room for {size} bytes.")
        bucket = self.storage.bucket(UPLOADS)
        with self._new_name(bucket, PurePosixPath(name.lstrip("/"))) as free:
            blob = bucket.blob(free)
            blob.metadata = self.options.metadata() or None
            # Where the browser goes away meanwhile this raises, and there is no object.
            blob.upload_from_file(_Body(request.stream), size=size, content_type=_media_type(name))
        return Upload(bucket=UPLOADS, name=str(blob.name), generation=int(blob.generation))

    def result(self, job_id: str, name: str) -> Response:
        """A file of a job's newest results."""
        outcome = self._newest_outcome(job_id) if name in RESULT_FILES else None
        uri = outcome.results.get(name) if outcome is not None else None
        stored = self._read(uri) if uri is not None else None
        if stored is None:
            abort(HTTPStatus.NOT_FOUND)
        return Response(stored.data, content_type=RESULT_FILES[name])

    def recording(self, job_id: str) -> Response:
        """What was uploaded, or the range of it that a player asks for."""
        job = JobStore(self.storage.bucket(STATE)).find(job_id)
        upload = job.record.upload if job is not None else None
        blob = self.storage.bucket(UPLOADS).get_blob(upload.name, generation=upload.generation) if upload else None
        if blob is None:
            abort(HTTPStatus.NOT_FOUND)
        # Whatever it is, a browser is to show it as nothing but a recording.
        headers = {"Content-Security-Policy": "default-src 'none'; sandbox", "Content-Disposition": "attachment"}
        body = FileWrapper(cast("IO[bytes]", blob.open("rb", chunk_size=_READ_BYTES)), _READ_BYTES)
        response = Response(body, content_type=_media_type(str(blob.name)), headers=headers, direct_passthrough=True)
        response.content_length = int(blob.size)
        return cast(
            "Response",
            response.make_conditional(request.environ, accept_ranges=True, complete_length=int(blob.size)),
        )

    @contextmanager
    def _new_name(self, bucket: Bucket, path: PurePosixPath) -> Iterator[str]:
        """A name that no object has, nor another upload that is on its way: files of several folders may have one name,
        and one that replaces another before that is read ends it. The second `a.mp3` is `a-2.mp3`."""
        with self._lock:
            names = (path if n == 1 else path.with_name(f"{path.stem}-{n}{path.suffix}") for n in count(1))
            free = next(
                name
                for name in map(object_name, names)
                if name not in self._arriving and not bucket.blob(name).exists()
            )
            self._arriving.add(free)
        try:
            yield free
        finally:
            with self._lock:
                self._arriving.discard(free)

    def _read(self, uri: str) -> objects.Versioned | None:
        bucket, name = objects.bucket_and_name(uri)
        return objects.read(self.storage.bucket(bucket), name)

    def _newest_outcome(self, job_id: str) -> TerminalMessage | None:
        jobs = JobStore(self.storage.bucket(STATE))
        job = jobs.find(job_id)
        return jobs.outcome(job_id, job.record.run) if job is not None else None


class _Body(io.RawIOBase):
    """A request's body as Google's client reads a file: it asks where it is, which streams of requests do not know."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._at = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._at += len(data)
        return data

    def tell(self) -> int:
        return self._at


def _media_type(name: str) -> str:
    """By the name's suffix; a recording is never a page or a script."""
    guessed = mimetypes.guess_type(name)[0] or ""
    return guessed if guessed.startswith(("audio/", "video/")) else "application/octet-stream"
