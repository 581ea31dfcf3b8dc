"""Runs of the engine alone: chunks through the real local engine, whose three stages overlap."""

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
from gpu_job.engines.local import LocalEngine
from gpu_job.engines.task import Task


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


def through_local_engine(recognizer: Recognizer, chunks: Sequence[Chunk], timeout: float = 600.0) -> EngineRun:
    """Every chunk through a new engine, all of them queued before it starts. Raises where one has no result."""
    parts: list[ChunkResult] = []
    done = threading.Event()

    def deliver(part: ChunkResult) -> None:
        parts.append(part)
        if len(parts) == len(chunks):
            done.set()

    audio_seconds = seconds(sum(len(chunk.samples) for chunk in chunks))
    chain = EngineChain()
    engine = LocalEngine(recognizer.engine, recognizer.name, lambda: recognizer, audio_seconds, chain)
    chain.add(engine)
    for chunk in chunks:
        engine.submit(Task("run", chunk, deliver), wait=False)
    began = time.perf_counter()
    chain.start()
    finished = done.wait(timeout)
    wall_seconds = time.perf_counter() - began
    chain.stop()
    reasons = {part.failure for part in parts if part.failure} or ({engine.failure.reason} if engine.failure else set())
    if reasons or not finished:
        raise RuntimeError(f"{len(parts)} of {len(chunks)} chunks came back; {'; '.join(reasons) or 'time is up'}")
    return EngineRun(parts, audio_seconds, wall_seconds)
