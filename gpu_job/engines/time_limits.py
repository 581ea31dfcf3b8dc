"""Time limits of a model: one that does not come back from a call is taken for hung."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from gpu_job.audio.samples import seconds
from gpu_job.engines.task import Task

PREDICTED_FACTOR = 20.0
"""A step that takes so many times what the slowest one by now would have is taken for hung: on a loaded machine a batch
may well take a few times longer."""

LEAST_PREDICTED_SECONDS = 60.0
"""However fast the model: clocks drop, machines are busy, and memory is cleared up now and then."""

KNOWN_BATCHES = 3
"""Steps before one is predicted: the first ones compile and record kernels."""


@dataclass(frozen=True)
class TimeLimits:
    """How long a model may take over one call."""

    load_seconds: float | None = None
    """To load; None: as long as it takes, for a download may take long."""
    batch_seconds: float = 300.0
    """For each step of a batch, besides the time in which its audio plays: the slowest device known, two cores with the
    full model in fp32, is 11.8 times as fast as that (docs/benchmarks.md)."""

    def batch(self, tasks: Sequence[Task], pace: BatchPace | None = None) -> float:
        """Seconds that one step of this batch may take; `pace`: what earlier ones took."""
        audio = audio_seconds(tasks)
        limit = self.batch_seconds + audio
        predicted = pace.predicted_seconds(audio) if pace is not None else None
        if predicted is None:
            return limit
        return min(limit, max(LEAST_PREDICTED_SECONDS, PREDICTED_FACTOR * predicted))


class BatchPace:
    """How long the steps of batches took, by their audio: what the next one is predicted to take at most."""

    def __init__(self) -> None:
        self._slowest = 0.0
        """Seconds that a second of audio took in the slowest batch so far."""
        self._batches = 0

    def add(self, audio: float, spent: float) -> None:
        """A step of a batch ended. Both in seconds."""
        self._slowest = max(self._slowest, spent / audio) if audio > 0 else self._slowest
        self._batches += 1

    def predicted_seconds(self, audio: float) -> float | None:
        """Of a step of a batch with so much audio; None until KNOWN_BATCHES have run."""
        return self._slowest * audio if self._batches >= KNOWN_BATCHES else None


def audio_seconds(tasks: Sequence[Task]) -> float:
    """Of a batch, without padding."""
    return seconds(sum(len(task.chunk.samples) for task in tasks))


@contextmanager
def time_limit(limit_seconds: float | None, expired: Callable[[float], None]) -> Iterator[None]:
    """Call `expired` with the limit, on another thread, where the block is not left in time. It goes on all the same:
    nothing can stop a thread that hangs in a library."""
    if limit_seconds is None:
        yield
        return
    timer = threading.Timer(limit_seconds, expired, (limit_seconds,))
    timer.name, timer.daemon = "engine-time-limit", True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
