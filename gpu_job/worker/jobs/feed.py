"""Feeding a job: fetch its upload, decode, cut and submit it, all at once and in bounded memory."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

from google.cloud.storage import Client
from opentelemetry.context import get_current
from opentelemetry.trace import StatusCode

from gpu_job.audio.decoder_process.child import DecoderFailed
from gpu_job.fetch.upload import begin_fetch, consists_of
from gpu_job.worker.jobs.running_job import RunningJob
from shared.errors import BadMedia
from shared.telemetry import tracing


def feed(
    job: RunningJob, client: Client, fetch_timeout_seconds: float, max_unpacked_bytes: int, scratch: Path | None = None
) -> None:
    """Submit every chunk of the job's upload. `scratch`: the folder that it is fetched into; None: the system's.

    A large one is decoded while it is fetched; nothing is believed of it, nor kept for another attempt, before it was
    fetched to its end and has its checksum. Of one that a shard is fed a part of, only that is fetched; of one whose
    shards found all that there is to know, nothing but what none of them fetched, for the checksum.
    Raises Rejected, UploadNotReadable, BadMedia, EngineFailed, or the error of a service that may answer another time.
    """
    size, in_part = job.media.size_bytes, job.transcription.is_fed_in_part

    def is_upload(parts: Mapping[int, int]) -> bool:
        return consists_of(client, job.upload, size, parts, fetch_timeout_seconds, lambda: job.is_ended)

    if job.transcription.feed_stored(is_upload):
        return
    with tempfile.TemporaryDirectory(prefix="dropscribe-", dir=scratch) as folder:
        path = Path(folder) / "upload"
        fetching = tracing.start_span("fetch", get_current(), size_bytes=size)

        def fetched(error: BaseException | None) -> None:
            if error is None:
                job.unstored.file_is_checked()
            elif not (in_part and isinstance(error, InterruptedError)):
                fetching.set_status(StatusCode.ERROR, type(error).__name__)
            fetching.end()

        job.unstored.file_arrives()
        try:
            arriving = begin_fetch(
                client,
                job.upload,
                path,
                size,
                fetch_timeout_seconds,
                max_unpacked_bytes,
                fetched,
                on_demand=in_part,
            )
        except Exception as error:
            fetched(error)
            raise
        # With the waits for room in the queue of the engine, which is slower than the decoder.
        with arriving or nullcontext(), tracing.span("decode") as span:
            try:
                decoded_seconds = job.transcription.feed(path, arriving)
            except (BadMedia, DecoderFailed):
                if arriving is not None:
                    arriving.fetch_all()
                    # Or it is no word about the upload. An attempt that has ended says none.
                    arriving.wait_unless(lambda: job.is_ended)
                raise
            tracing.set_attributes(span, decoded_seconds=decoded_seconds)
