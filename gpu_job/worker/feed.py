"""Preparing an upload: fetch it, decode it, cut it, and feed the engine, all at once and in bounded memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from google.api_core.exceptions import NotFound
from google.cloud.storage import Client
from numpy.typing import NDArray

from gpu_job.audio.chunker import Chunk, Chunker
from gpu_job.audio.cuts import CutRules
from gpu_job.audio.decode import decode, decode_channels
from gpu_job.audio.ffmpeg import DecoderDied, DecoderLimits
from gpu_job.audio.parallel import Parallel
from gpu_job.audio.samples import seconds
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.chunk_queue import Task
from gpu_job.worker.running_job import RunningJob
from shared.errors import EngineFailed, Rejected
from shared.media import Upload
from shared.telemetry import tracing
from shared.transcript.model import Gap, missing_end


@dataclass(frozen=True)
class Recipe:
    """How uploads are prepared."""

    cutting: CutRules
    decoder: DecoderLimits
    fetch_timeout_seconds: float
    parallel: Parallel = field(default_factory=Parallel)


def prepare(work: RunningJob, client: Client, engines: EngineChain, recipe: Recipe) -> None:
    """Feed every chunk of the upload to the engine. Raises Rejected, BadMedia, EngineFailed, or a storage error."""
    with tempfile.TemporaryDirectory(prefix="dropscribe-") as folder:
        path = Path(folder) / "upload"
        with tracing.span("fetch", size_bytes=work.media.size_bytes):
            fetch(client, work.upload, path, recipe.fetch_timeout_seconds)
        # With the waits for room before the engine, which is slower than the decoder.
        with tracing.span("decode") as span:
            decoded = _feed(work, path, engines, recipe)
            tracing.set_attributes(span, decoded_seconds=seconds(decoded))
    work.end(decoded)


def _feed(work: RunningJob, path: Path, engines: EngineChain, recipe: Recipe) -> int:
    """Decode, cut and submit; the answer is the samples decoded. What could not be read becomes a hole."""
    chunkers = [Chunker(recipe.cutting) for _ in work.audits]
    decoded = 0
    try:
        for block in _decoded(work, path, recipe):
            if work.has_ended:
                # No chunk may tell: an upload that is silent, or was heard before, hands none in.
                raise EngineFailed("The upload was handed over.")
            decoded += block.shape[1]
            for channel, (chunker, samples) in enumerate(zip(chunkers, block, strict=True)):
                _submit(work, channel, chunker.add(samples), engines)
    except DecoderDied as error:
        if decoded == 0:
            raise
        # What came until then keeps its words; the rest of the file is a gap that says why.
        work.hole(_broken_off(work, seconds(decoded), error))
    else:
        if (hole := missing_end(work.media, seconds(decoded))) is not None:
            work.hole(hole)
    for channel, chunker in enumerate(chunkers):
        _submit(work, channel, chunker.end(), engines)
    return decoded


def _submit(work: RunningJob, channel: int, chunks: Iterable[Chunk], engines: EngineChain) -> None:
    stays = not work.may_leave
    for chunk in chunks:
        if work.cut(channel, chunk):
            engines.submit(Task(work.id, chunk, work.arrive, channel, stays, span=work.span))


def _decoded(work: RunningJob, path: Path, recipe: Recipe) -> Iterator[NDArray[np.float32]]:
    """Blocks of shape [channels heard alone, T]."""
    if work.split:
        yield from decode_channels(path, recipe.decoder, media=work.media, parallel=recipe.parallel, on_hole=work.hole)
        return
    for block in decode(path, recipe.decoder, media=work.media, parallel=recipe.parallel, on_hole=work.hole):
        yield block[np.newaxis]


def fetch(client: Client, upload: Upload, path: Path, timeout: float) -> None:
    """Download exactly this generation; the client checks the content's checksum. Raises Rejected where it is gone."""
    blob = client.bucket(upload.bucket).blob(upload.name, generation=upload.generation)
    try:
        # Raw: content that says it is gzip would otherwise be unpacked on the way, to any size.
        blob.download_to_filename(str(path), timeout=timeout, raw_download=True)
    except NotFound:
        raise Rejected("The file was deleted or replaced before it could be transcribed.") from None


def _broken_off(work: RunningJob, decoded_seconds: float, error: DecoderDied) -> Gap:
    """The stretch behind a dead decoder's last sample, to the end that the header states."""
    return Gap(start=decoded_seconds, end=max(decoded_seconds, work.media.duration_seconds), reason=error.reason)
