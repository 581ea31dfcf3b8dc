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
from gpu_job.decoding import DecoderDied, DecoderLimits, decode
from gpu_job.waiting_room import Task, WaitingRoom
from gpu_job.work import Work
from shared.failures import Rejected
from shared.transcript import Gap, missing_end
from shared.upload import Upload


@dataclass(frozen=True)
class Recipe:
    """How uploads are prepared."""

    cutting: Cutting
    decoder: DecoderLimits
    fetch_timeout_seconds: float


def prepare(work: Work, client: Client, room: WaitingRoom, recipe: Recipe, deliver: Callable[[Part], None]) -> None:
    """Feed every chunk of the upload to the engine. Raises Rejected, BadMedia, EngineFailed, or a storage error."""
    with tempfile.TemporaryDirectory(prefix="dropscribe-") as folder:
        path = Path(folder) / "upload"
        fetch(client, work.upload, path, recipe.fetch_timeout_seconds)
        decoded = 0
        broken: DecoderDied | None = None

        def counted() -> Iterator[Samples]:
            nonlocal decoded, broken
            try:
                for block in decode(path, recipe.decoder):
                    decoded += len(block)
                    yield block
            except DecoderDied as error:
                if decoded == 0:
                    raise
                # What came until then keeps its words; the rest of the file is a gap that says why.
                broken = error

        for chunk in chunks(counted(), recipe.cutting):
            if work.cut(chunk.start, chunk.end):
                room.submit(Task(work.id, chunk, deliver))
    hole = broken_off(work, decoded / SAMPLE_RATE, broken) if broken else missing_end(work.media, decoded / SAMPLE_RATE)
    with work.lock:
        if hole is not None:
            work.assembly.hole(hole)
        work.assembly.end(decoded)


def fetch(client: Client, upload: Upload, path: Path, timeout: float) -> None:
    """Download exactly this generation; the client checks the content's checksum. Raises Rejected where it is gone."""
    blob = client.bucket(upload.bucket).blob(upload.name, generation=upload.generation)
    try:
        # Raw: content that says it is gzip would otherwise be unpacked on the way, to any size.
        blob.download_to_filename(str(path), timeout=timeout, raw_download=True)
    except NotFound:
        raise Rejected("The file was deleted or replaced before it could be transcribed.") from None


def broken_off(work: Work, decoded_seconds: float, error: DecoderDied) -> Gap:
    """The stretch behind a dead decoder's last sample, to the end that the header states."""
    return Gap(start=decoded_seconds, end=max(decoded_seconds, work.media.duration_seconds), reason=error.reason)
