"""Runs of the engine alone: chunks through the real engine room, whose three stages overlap."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from gpu_job.asr.recognizer import Recognizer
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import seconds
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.chunk_queue import Task
from gpu_job.engines.local import LocalEngine


@dataclass(frozen=True)
class EngineRun:
    """What came of some chunks, and how long that took."""

    parts: list[ChunkResult]
    """In any order."""
    audio_seconds: float
    wall_seconds: float
    """From the first chunk handed in to the last part delivered; the model was loaded before."""

    @property
    def real_time_factor(self) -> float:
        """Seconds of audio per second."""
        return self.audio_seconds / self.wall_seconds

    @property
    def tokens_per_second(self) -> float:
        """Tokens that came out of a second of audio."""
        return sum(len(part.tokens) for part in self.parts) / self.audio_seconds


def through_engine_room(recognizer: Recognizer, chunks: Sequence[Chunk], timeout: float = 600.0) -> EngineRun:
    """Every chunk through a new engine room, all of them waiting from the start. Raises where one has no answer."""
    parts: list[ChunkResult] = []
    done = threading.Event()

    def deliver(part: ChunkResult) -> None:
        parts.append(part)
        if len(parts) == len(chunks):
            done.set()

    audio_seconds = seconds(sum(len(chunk.samples) for chunk in chunks))
    room = LocalEngine(
        recognizer.engine,
        recognizer.name,
        lambda: recognizer,
        audio_seconds,
        on_begin=lambda: None,
        on_batch=lambda tasks: None,
        on_delivered=lambda tasks: None,
        on_smaller=lambda recognizer: None,
    )
    chain = EngineChain([room])
    room.feeding(+1)
    for chunk in chunks:
        room.submit(Task("run", chunk, deliver), wait=False)
    room.feeding(-1)
    began = time.perf_counter()
    chain.start()
    finished = done.wait(timeout)
    wall_seconds = time.perf_counter() - began
    chain.stop()
    reasons = {part.failure for part in parts if part.failure} or ({room.failure.reason} if room.failure else set())
    if reasons or not finished:
        raise RuntimeError(f"{len(parts)} of {len(chunks)} chunks came back; {'; '.join(reasons) or 'time is up'}")
    return EngineRun(parts, audio_seconds, wall_seconds)
