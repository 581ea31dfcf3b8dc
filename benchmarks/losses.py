"""Losses: sound, chunks and words that vanish at each stage of the pipeline, and how many of them nobody is told of.

The shipped recordings through `transcribe` with the tiny model, each stage wrapped at its seam so that it loses
something. A loss is silent where words are missing and the transcript has no gap.
"""

from __future__ import annotations

import atexit
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import imageio_ffmpeg
import kaldialign
import numpy as np

from benchmarks import lossy_decoder
from benchmarks.joins import plain
from benchmarks.report import Measurement
from benchmarks.transcription import TIMEOUT_SECONDS, tiny_engine
from dropscribe.local_media import inspected
from gpu_job.asr.tokens import Token
from gpu_job.assembly import assemble
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio import decode, decoder_stream
from gpu_job.audio.chunker import Chunk, Chunker
from gpu_job.audio.decoder.records import DecodingRequest
from gpu_job.audio.decoder_process import child
from gpu_job.audio.decoder_process.start import DecoderLimits, DecoderProcess, start_command
from gpu_job.audio.loudness import MeasuredAudio, levels
from gpu_job.audio.samples import SAMPLE_RATE, AudioBlock
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.task import Task
from gpu_job.pipeline import FileTranscription
from gpu_job.transcription.listener import BlockingListener
from gpu_job.transcription.setup import FileRequest, Pipeline, PipelineOptions
from gpu_job.vad.detector import SpeechDetector
from infra.recordings import recording
from shared.enums import Engine
from shared.errors import EngineFailed
from shared.media import Media
from shared.transcript.model import Transcript, Word

RECORDINGS = ("interview.m4a", "lecture.flac", "memo.wav", "podcast.mp3", "stream.mp4")
LONG, LONG_SECONDS = "long_unseen.opus", 100
"""Its head is long enough for several decoders and chunks."""
PLACES = (0.2, 0.6)
"""Where in the recording something is lost, as a share of its length."""
LOST_SECONDS = 3.0
NEAR_SECONDS = 2.0
"""A lost word is told of where a gap is no further away."""

Stored = dict[tuple[int, int, int], ChunkResult]


@dataclass(frozen=True)
class Recording:
    """A shipped recording and what becomes of it when nothing is lost."""

    path: Path
    media: Media
    words: Sequence[Word]
    results: Sequence[ChunkResult]


Loss = Callable[[Recording, float], AbstractContextManager[object]]
"""Loses something of a recording at about this second, inside."""


@dataclass
class Tally:
    """What became of the losses of one kind."""

    runs: int = 0
    words: int = 0
    """Missing in the transcripts."""
    untold: int = 0
    """Of these, far from every gap."""
    without_effect: int = 0
    """Runs without a missing word: what was lost was found and repaired, or held none."""
    with_gap: int = 0
    """Runs with missing words and a gap."""
    failed: int = 0
    """Runs that ended as failed, with the reason."""
    silent: int = 0
    """Runs with missing words and none."""

    def run(self, recording: Recording, stored: Stored | None = None) -> None:
        """One run of a recording."""
        try:
            transcript, _ = transcribed(recording.path, recording.media, stored)
        except EngineFailed:
            self.runs += 1
            self.failed += 1
        else:
            self.add(recording.words, transcript)

    def add(self, before: Sequence[Word], after: Transcript) -> None:
        """The words without the loss, and the transcript with it."""
        lost = _missing(before, after.words)
        gaps = after.coverage.gaps
        self.runs += 1
        self.words += len(lost)
        self.untold += sum(
            not any(gap.start - NEAR_SECONDS <= word.start <= gap.end + NEAR_SECONDS for gap in gaps) for word in lost
        )
        if not lost:
            self.without_effect += 1
        elif gaps:
            self.with_gap += 1
        else:
            self.silent += 1


def losses() -> Iterator[Measurement]:
    """Silent losses of each kind."""
    for name, loss in LOSSES.items():
        tally = Tally()
        for one in recordings():
            for share in PLACES:
                with loss(one, share * one.media.duration_seconds):
                    tally.run(one)
        yield _measurement(name, tally)
    for name, spoil in RESTORED.items():
        tally = Tally()
        for one in recordings():
            stored = {(result.channel, result.start, result.end): result for result in one.results}
            tally.run(one, spoil(stored))
        yield _measurement(name, tally)


def _measurement(name: str, tally: Tally) -> Measurement:
    told = f"{tally.with_gap} with a gap, {tally.failed} failed, {tally.without_effect} without a missing word"
    peer = f"{told}; {tally.words} words missing, {tally.untold} of them more than {NEAR_SECONDS:g} s from a gap"
    return Measurement(f"losses: {name}: silent", tally.silent, f"of {tally.runs}", peer, "0", tally.silent == 0)


@cache
def recordings() -> tuple[Recording, ...]:
    """With their words when nothing is lost."""
    folder = tempfile.TemporaryDirectory(prefix="losses-")
    atexit.register(folder.cleanup)
    head = Path(folder.name) / LONG
    cut = ["-v", "error", "-i", str(recording(LONG).path), "-t", str(LONG_SECONDS), "-c", "copy", str(head)]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), *cut], check=True)
    found = []
    for path in (*(recording(name).path for name in RECORDINGS), head):
        media = inspected(path)
        transcript, results = transcribed(path, media)
        found.append(Recording(path, media, transcript.words, results))
    return tuple(found)


def transcribed(path: Path, media: Media, stored: Stored | None = None) -> tuple[Transcript, list[ChunkResult]]:
    """As `gpu_job.transcribe`, with what an earlier attempt stored."""
    listener = BlockingListener()
    engines = tiny_engine()
    with ThreadPoolExecutor(1) as threads:
        shared = Pipeline(engines, PipelineOptions(), SpeechDetector(), threads)
        file = FileTranscription(shared, path.name, listener, FileRequest(media, stored=stored or {}))
        file.feed(path)
        listener.wait(engines, TIMEOUT_SECONDS, on_poll=file.fail_lost_chunks)
    return file.assemble(path.name, path.name), file.results()


def _missing(before: Sequence[Word], after: Sequence[Word]) -> list[Word]:
    """The words that are gone or have become others."""
    left, right = [plain(word.text) for word in before], [plain(word.text) for word in after]
    missing, at = [], 0
    for one, other in kaldialign.align(left, right, "*"):
        if one != "*":
            if one != other:
                missing.append(before[at])
            at += 1
    return missing


# What is lost in the decoder's process.


@contextmanager
def _lossy_decoder(stage: str, _: Recording, place: float) -> Iterator[None]:
    def start(request: DecodingRequest, limits: DecoderLimits) -> DecoderProcess:
        module = [sys.executable, "-m", "benchmarks.lossy_decoder"]
        return start_command([*module, stage, str(place), str(LOST_SECONDS), request.to_json()], limits)

    with patch.object(child, "start", start):
        yield


# What is lost between the decoder and the engine.


@contextmanager
def _window_left_out(_: Recording, place: float) -> Iterator[None]:
    join = vars(decoder_stream)["join_windows"]

    def lossy(plan: Sequence[Any], start: Callable[..., Any], children: int) -> Iterator[AudioBlock]:
        yield from join([*plan[:1], *plan[2:]], start, children)

    with patch.object(decoder_stream, "join_windows", lossy):
        yield


@contextmanager
def _block_lost(owner: Any, name: str, _: Recording, place: float) -> Iterator[None]:
    """A stream of blocks loses what lies at a place."""
    real = vars(owner)[name]

    def lossy(*arguments: Any, **options: Any) -> Iterator[Any]:
        position = 0
        for block in real(*arguments, **options):
            at = position / SAMPLE_RATE
            position += len(block.samples if isinstance(block, AudioBlock) else block)
            if not place <= at < place + LOST_SECONDS:
                yield block

    with patch.object(owner, name, lossy):
        yield


@contextmanager
def _samples_zeroed(_: Recording, place: float) -> Iterator[None]:
    """The chunker takes silence for sound."""
    add = Chunker.add
    position: dict[int, int] = {}

    def lossy(chunker: Chunker, measured: MeasuredAudio) -> Iterator[Chunk]:
        at = position.get(id(chunker), 0)
        position[id(chunker)] = at + len(measured.samples)
        is_lost = place <= at / SAMPLE_RATE < place + LOST_SECONDS
        silence = np.zeros_like(measured.samples)
        return add(chunker, MeasuredAudio(silence, levels(silence)) if is_lost else measured)

    with patch.object(Chunker, "add", lossy):
        yield


@contextmanager
def _chunk_not_cut(_: Recording, place: float) -> Iterator[None]:
    add, end = Chunker.add, Chunker.end

    def kept(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        return (chunk for chunk in chunks if not _holds(chunk, place))

    with (
        patch.object(Chunker, "add", lambda chunker, measured: kept(add(chunker, measured))),
        patch.object(Chunker, "end", lambda chunker: kept(end(chunker))),
    ):
        yield


@contextmanager
def _chunk_not_queued(_: Recording, place: float) -> Iterator[None]:
    submit = EngineChain.submit

    def lossy(chain: EngineChain, task: Task) -> None:
        if task.urgent or not _holds(task.chunk, place):
            submit(chain, task)

    with patch.object(EngineChain, "submit", lossy):
        yield


def _holds(chunk: Chunk, place: float) -> bool:
    return chunk.start <= place * SAMPLE_RATE < chunk.end


# What is lost in the engine and behind it.


@contextmanager
def _result(change: Callable[[ChunkResult], ChunkResult], _: Recording, place: float) -> Iterator[None]:
    """The engine's first result for the chunk at a place is another; for the audit it works."""
    complete = Task.complete

    def lossy(task: Task, engine: Engine, tokens: Sequence[Token]) -> None:
        if not task.urgent and _holds(task.chunk, place):
            deliver = task.deliver
            task = replace(task, deliver=lambda result: deliver(change(result)))
        complete(task, engine, tokens)

    with patch.object(Task, "complete", lossy):
        yield


def _empty(result: ChunkResult) -> ChunkResult:
    return replace(result, tokens=())


def _first_half(result: ChunkResult) -> ChunkResult:
    return replace(result, tokens=result.tokens[: len(result.tokens) // 2])


def _every_second(result: ChunkResult) -> ChunkResult:
    return replace(result, tokens=result.tokens[::2])


def _shorter(result: ChunkResult) -> ChunkResult:
    middle = (result.start + result.end) // 2
    tokens = tuple(token for token in result.tokens if token.end * SAMPLE_RATE < middle)
    return replace(result, end=middle, tokens=tokens)


def _elsewhere(result: ChunkResult) -> ChunkResult:
    return replace(result, start=result.start + SAMPLE_RATE, end=result.end + SAMPLE_RATE)


@contextmanager
def _deaf(_: Recording, place: float) -> Iterator[None]:
    """The engine recognizes nothing in the chunk at a place, nor when the audit asks again."""
    complete = Task.complete

    def lossy(task: Task, engine: Engine, tokens: Sequence[Token]) -> None:
        start = task.chunk.start / SAMPLE_RATE
        kept = [token for token in tokens if not place <= start + token.start < place + LOST_SECONDS]
        complete(task, engine, kept)

    with patch.object(Task, "complete", lossy):
        yield


@contextmanager
def _slice_dropped(count: int, _: Recording, place: float) -> Iterator[None]:
    """The merge drops so many tokens of the chunk at a place."""
    real = vars(assemble)["kept_slices"]

    def lossy(chunks: Sequence[Any]) -> list[slice]:
        return [
            slice(kept.start, max(kept.start, kept.stop - count)) if one.start <= place < one.end else kept
            for one, kept in zip(chunks, real(chunks), strict=True)
        ]

    with patch.object(assemble, "kept_slices", lossy):
        yield


@contextmanager
def _passage_dropped(_: Recording, place: float) -> Iterator[None]:
    """Words of some seconds are lost when channels and engines are put in order."""
    real = vars(assemble)["words_of"]

    def lossy(tokens: Any, speaker: int | None = None) -> list[Word]:
        return [word for word in real(tokens, speaker) if not place <= word.start < place + LOST_SECONDS]

    with patch.object(assemble, "words_of", lossy):
        yield


LOSSES: dict[str, Loss] = {
    "none": lambda _, place: nullcontext(),
    "demux, packets": partial(_lossy_decoder, lossy_decoder.DEMUX),
    "decode, frames": partial(_lossy_decoder, lossy_decoder.DECODE),
    "decode, records in the pipe": partial(_lossy_decoder, lossy_decoder.OUTPUT),
    "join, a window": _window_left_out,
    "join, blocks": partial(_block_lost, decoder_stream, "join_windows"),
    "mix, blocks": partial(_block_lost, decode, "mix_down"),
    "chunker, samples": _samples_zeroed,
    "chunker, a chunk": _chunk_not_cut,
    "queue, a chunk": _chunk_not_queued,
    "engine, all of a chunk's tokens": partial(_result, _empty),
    "engine, half of a chunk's tokens": partial(_result, _first_half),
    "engine, every second token": partial(_result, _every_second),
    "engine, a shorter result": partial(_result, _shorter),
    "engine, a result for another range": partial(_result, _elsewhere),
    "engine, words of 3 s, again and again": _deaf,
    "merge, a chunk's last token": partial(_slice_dropped, 1),
    "merge, a chunk's last five tokens": partial(_slice_dropped, 5),
    "merge, words of 3 s": _passage_dropped,
}
"""By stage."""


def _stored_without(stored: Stored) -> Stored:
    return dict(list(stored.items())[1:])


def _stored_changed(change: Callable[[ChunkResult], ChunkResult], stored: Stored) -> Stored:
    place, result = next(iter(stored.items()))
    return {**stored, place: change(result)}


RESTORED: dict[str, Callable[[Stored], Stored]] = {
    "restore, nothing": lambda stored: stored,
    "restore, a result": _stored_without,
    "restore, a result's tokens": partial(_stored_changed, _empty),
    "restore, half of them": partial(_stored_changed, _first_half),
    "restore, a result of another range": partial(_stored_changed, _elsewhere),
}
"""What is wrong with the results that an earlier attempt stored."""
