"""The worst stretches of a recording, no more of them than a limit. Pure."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from typing import NamedTuple

from gpu_job.audio.samples import SAMPLE_RATE, Samples

SILENCE = SAMPLE_RATE // 2
"""Samples between two stretches, so that no engine takes their words for one sentence's. It is sent, and paid."""


class Rank(NamedTuple):
    """By which stretches are chosen: the least comes first. No two stretches of a recording have the same."""

    confidence: float
    first: int
    """Sample of the upload."""
    channel: int


class Stretch(NamedTuple):
    """A stretch of one channel, and its audio."""

    rank: Rank
    samples: Samples

    @property
    def sent(self) -> int:
        """Samples that are sent for it."""
        return len(self.samples) + SILENCE

    @property
    def end(self) -> int:
        """Behind its last sample of the upload."""
        return self.rank.first + len(self.samples)


class WorstAudio:
    """Takes stretches in any order, and keeps the audio of those that fit.

    A stretch fits where it and all that are worse are no longer than the limit together; one that is longer by itself
    is left out. So those of a recording are the same whatever order they come in; and where the recording is taken in
    parts, they are those that fit among those of the parts.
    """

    def __init__(self, limit_seconds: float) -> None:
        self.limit = int(limit_seconds * SAMPLE_RATE)
        """In samples."""
        self.bound: Rank | None = None
        """The worst that does not fit; None: all do."""
        self._kept: list[Stretch] = []
        """In order of ranks."""
        self._sent = 0

    def add(self, one: Stretch) -> None:
        """A stretch; one that is kept already is taken once."""
        if one.sent > self.limit or self._is_beyond(one.rank):
            return
        if any(kept.rank == one.rank for kept in self._kept):
            return
        insort(self._kept, one, key=lambda kept: kept.rank)
        self._sent += one.sent
        while self._sent > self.limit:
            self.exclude(self._kept[-1].rank)

    def exclude(self, bound: Rank) -> None:
        """This stretch, another part's perhaps, does not fit, nor do those that are less bad."""
        self.bound = bound if self.bound is None else min(self.bound, bound)
        while self._kept and self._is_beyond(self._kept[-1].rank):
            self._sent -= self._kept.pop().sent

    @property
    def stretches(self) -> Sequence[Stretch]:
        """What is kept, the worst first."""
        return tuple(self._kept)

    def _is_beyond(self, rank: Rank) -> bool:
        return self.bound is not None and rank >= self.bound
