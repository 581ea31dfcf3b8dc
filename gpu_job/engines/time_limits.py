"""Time limits of a model: one that does not come back from a call is taken for hung."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from gpu_job.audio.samples import seconds
from gpu_job.engines.task import Task


@dataclass(frozen=True)
class TimeLimits:
    """How long a model may take over one call."""

    load_seconds: float | None = None
    """To load; None: as long as it takes, for a download may take long."""
    batch_seconds: float = 300.0
    """For each step of a batch, besides the time in which its audio plays: the slowest device known, two cores with the
    full model in fp32, is 11.8 times as fast as that (docs/benchmarks.md)."""

    def batch(self, tasks: Sequence[Task]) -> float:
        """Seconds that one step of this batch may take."""
        return self.batch_seconds + seconds(sum(len(task.chunk.samples) for task in tasks))


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
