"""One channel of a file on its way to the engine: measured once, cut into chunks, and noted where it sounds."""

from __future__ import annotations

from collections.abc import Iterator

from gpu_job.audio.audible import AudibleAudio
from gpu_job.audio.chunker import Chunk, Chunker
from gpu_job.audio.cuts import CutRules
from gpu_job.audio.loudness import LevelMeter, MeasuredAudio, SecondLoudness
from gpu_job.audio.samples import Samples


class ChannelAudio:
    """Takes blocks of samples of any length, gives chunks as soon as each is certain."""

    def __init__(self, rules: CutRules, begin: int = 0) -> None:
        """`begin`: as of Chunker."""
        self._meter = LevelMeter()
        self._chunker = Chunker(rules, begin)
        self.audible = AudibleAudio(rules.audible_db)
        """Where it sounds, as far as it was measured."""
        self.loudness = SecondLoudness()
        """How loud each second is, as far as it was measured."""

    @property
    def position(self) -> int:
        """The sample from which on nothing is cut yet: no later chunk begins before it."""
        return self._chunker.position

    def add(self, samples: Samples) -> Iterator[Chunk]:
        """The next samples -> the chunks that are certain now. To be exhausted before the next call."""
        return self._take(self._meter.add(samples))

    def end(self) -> Iterator[Chunk]:
        """No more samples come -> the last chunks."""
        yield from self._take(self._meter.end())
        yield from self._chunker.end()

    def _take(self, measured: MeasuredAudio) -> Iterator[Chunk]:
        self.audible.add(measured)
        self.loudness.add(measured)
        return self._chunker.add(measured)
