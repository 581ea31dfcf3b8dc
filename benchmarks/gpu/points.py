"""What the sweep over batches measures. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Sweep:
    """Which points are measured."""

    chunk_seconds: Sequence[int]
    growth: int = 2
    """Each batch is so many times as large as the one before, from 1 chunk on."""
    max_audio_seconds: float = 60_000.0
    """In one batch; memory is full before that on the cards of today."""
    runs: int = 3
    """Of the encoder alone, at most."""

    def batches(self, chunk_seconds: int) -> Iterator[int]:
        """Batch sizes, smallest first."""
        size = 1
        while size * chunk_seconds <= self.max_audio_seconds:
            yield size
            size *= self.growth


@dataclass(frozen=True)
class Point:
    """One batch of chunks of one length."""

    chunk_seconds: int
    chunks: int
    encoder_factor: float
    """Seconds of audio per second, by the encoder alone."""
    peak_bytes: int
    """Largest allocation of a whole batch, weights included; 0 on a CPU, where nobody counts."""

    @property
    def audio_seconds(self) -> int:
        """In the batch."""
        return self.chunk_seconds * self.chunks


@dataclass(frozen=True)
class Stopped:
    """A batch that did not fit; no larger one was tried."""

    chunk_seconds: int
    chunks: int
    reason: str
