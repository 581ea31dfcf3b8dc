"""Preparing an upload: fetch it, decode it, cut it, and feed the engine, all at once and in bounded memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from google.api_core.exceptions import NotFound
from google.cloud.storage import Client

from gpu_job.assembly import Part
from gpu_job.audio import SAMPLE_RATE, Samples
from gpu_job.chunking import Cutting, chunks
from gpu_job.decoding import DecoderLimits, decode
from gpu_job.engine_room import EngineRoom, Task
from gpu_job.work import Work
from shared.failures import Rejected
from shared.transcript import Gap
from shared.upload import Upload

SHORT_BY_SECONDS, SHORT_BY_SHARE = 2.0, 0.01
"""A file may end this much before its header says; headers round, and encoders pad."""


@dataclass(frozen=True)
class Recipe:
    """How uploads are prepared."""

    cutting: Cutting
    decoder: DecoderLimits
    fetch_timeout_seconds: float


def prepare(work: Work, client: Client, room: EngineRoom, recipe: Recipe, deliver: Callable[[Part], None]) -> None:
    """Feed every chunk of the upload to the engine. Raises Rejected, BadMedia, EngineFailed, or a storage error."""
    with tempfile.TemporaryDirectory(prefix="dropscribe-") as folder:
        path = Path(folder) / "upload"
        fetch(client, work.upload, path, recipe.fetch_timeout_seconds)
        decoded = 0

        def counted() -> Iterator[Samples]:
            nonlocal decoded
            for block in decode(path, recipe.decoder):
                decoded += len(block)
                yield block

        for chunk in chunks(counted(), recipe.cutting):
            if work.cut(chunk.start, chunk.end):
                room.submit(Task(work.id, chunk, deliver))
    hole = missing_end(work, decoded / SAMPLE_RATE)
    with work.lock:
        if hole is not None:
            work.assembly.hole(hole)
        work.assembly.end(decoded)


def fetch(client: Client, upload: Upload, path: Path, timeout: float) -> None:
    """Download exactly this generation; the client checks the content's checksum. Raises Rejected where it is gone."""
    blob = client.bucket(upload.bucket).blob(upload.name, generation=upload.generation)
    try:
        blob.download_to_filename(str(path), timeout=timeout)
    except NotFound:
        raise Rejected("The file was deleted or replaced before it could be transcribed.") from None


def missing_end(work: Work, decoded_seconds: float) -> Gap | None:
    """The stretch that the header promised and the decoder did not find."""
    stated = work.media.duration_seconds
    if work.media.duration_is_estimate:
        return None
    if stated - decoded_seconds <= max(SHORT_BY_SECONDS, SHORT_BY_SHARE * stated):
        return None
    return Gap(start=decoded_seconds, end=stated, reason="The file says there is audio here, but it cannot be read.")
