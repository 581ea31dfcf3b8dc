"""Feeding a job: fetch its upload, then decode, cut and submit it, all at once and in bounded memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

from google.api_core.exceptions import GoogleAPICallError
from google.cloud.storage import Client

from gpu_job.worker.running_job import RunningJob
from shared import gzip_content
from shared.media import Upload
from shared.storage_errors import refusal_of
from shared.telemetry import tracing

READ_BYTES = 2**16
"""Of a gzip-encoded upload, at a time."""


def feed(
    job: RunningJob, client: Client, fetch_timeout_seconds: float, max_unpacked_bytes: int, scratch: Path | None = None
) -> None:
    """Submit every chunk of the job's upload. `scratch`: the folder that it is fetched into; None: the system's.

    Raises Rejected, UploadNotReadable, BadMedia, EngineFailed, or the error of a service that may answer another time.
    """
    with tempfile.TemporaryDirectory(prefix="dropscribe-", dir=scratch) as folder:
        path = Path(folder) / "upload"
        with tracing.span("fetch", size_bytes=job.media.size_bytes):
            fetch(client, job.upload, path, fetch_timeout_seconds, max_unpacked_bytes)
        # With the waits for room in the queue of the engine, which is slower than the decoder.
        with tracing.span("decode") as span:
            decoded_seconds = job.transcription.feed(path)
            tracing.set_attributes(span, decoded_seconds=decoded_seconds)


def fetch(client: Client, upload: Upload, path: Path, timeout: float, max_unpacked_bytes: int) -> None:
    """Download exactly this generation; the client checks the content's checksum. Gzip encoding is unpacked.

    Raises Rejected or UploadNotReadable where Cloud Storage will never give it, and the client's error where it may;
    BadMedia where the encoding is damaged, Rejected where the content is larger than `max_unpacked_bytes`.
    """
    blob = client.bucket(upload.bucket).blob(upload.name, generation=upload.generation)
    try:
        # Raw: content that says it is gzip would otherwise be unpacked on the way, to any size.
        blob.download_to_filename(str(path), timeout=timeout, raw_download=True)
    except GoogleAPICallError as error:
        if (refusal := refusal_of(error)) is not None:
            raise refusal from error
        raise
    if gzip_content.is_gzip_encoded(blob.content_encoding):
        _unpack(path, max_unpacked_bytes)


def _unpack(path: Path, max_bytes: int) -> None:
    """Put the unpacked content in the file's place; a file that is no gzip, whatever its metadata says, stays."""
    packed = path.with_suffix(".gz")
    path.rename(packed)
    with packed.open("rb") as file:
        if file.read(len(gzip_content.MAGIC)) != gzip_content.MAGIC:
            packed.rename(path)
            return
        file.seek(0)
        with path.open("wb") as out:
            for piece in gzip_content.unpacked(iter(lambda: file.read(READ_BYTES), b""), max_bytes):
                out.write(piece)
    packed.unlink()
