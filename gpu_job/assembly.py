"""Assembly: the parts of an upload, in whatever order they come -> passages, gaps and coverage. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import merge
from itertools import accumulate, groupby
from typing import NamedTuple

from gpu_job.audio import seconds
from gpu_job.chunking import Chunk
from gpu_job.merging import Stretch, kept
from gpu_job.tokens import Token, words_of
from shared.transcript import Coverage, Gap, Passage, Word
from shared.vocabulary import Engine


@dataclass(frozen=True)
class Part:
    """What an engine made of one chunk. Token times in seconds from the start of the upload."""

    start: int
    """First sample of the chunk."""
    end: int
    engine: Engine
    tokens: tuple[Token, ...] = ()
    failure: str | None = None
    """Why there are no words."""
    channel: int = 0


def part(chunk: Chunk, engine: Engine, tokens: Iterable[Token], channel: int = 0) -> Part:
    """Tokens timed from the chunk's start -> a part timed from the upload's start."""
    offset = seconds(chunk.start)
    return Part(chunk.start, chunk.end, engine, tuple(token.later(offset) for token in tokens), channel=channel)


class Heard(NamedTuple):
    """A word with its place in the order of words, and who heard it."""

    clock: float
    word: Word
    engine: Engine


@dataclass
class Assembly:
    """The parts of one upload as they arrive. Complete when as many came as were cut, and no more will be cut."""

    split: bool = False
    """Whether each channel was heard alone, as one speaker."""
    _parts: dict[tuple[int, int], Part] = field(default_factory=dict)
    """By channel and first sample."""
    _cut: int = 0
    _samples: int | None = None
    """Length of the upload, known when its last chunk was cut."""
    _holes: list[Gap] = field(default_factory=list)

    def expect(self) -> None:
        """One more chunk was cut."""
        self._cut += 1

    def add(self, arrived: Part) -> None:
        """A chunk's words; a second answer for the same chunk is ignored."""
        self._parts.setdefault((arrived.channel, arrived.start), arrived)

    def end(self, samples: int) -> None:
        """The last chunk was cut; the upload has so many samples."""
        self._samples = samples

    def hole(self, gap: Gap) -> None:
        """A stretch of audio that could not be read."""
        self._holes.append(gap)

    @property
    def is_complete(self) -> bool:
        """Whether every chunk has its answer."""
        return self._samples is not None and len(self._parts) == self._cut

    @property
    def duration(self) -> float:
        """Seconds of audio decoded. Only of an upload whose end was reached."""
        return seconds(self._samples or 0)

    def parts(self) -> list[Part]:
        """What arrived so far, by channel and time."""
        return [self._parts[place] for place in sorted(self._parts)]

    def passages(self) -> list[Passage]:
        """The words of all channels in time order, with the engine that wrote them."""
        channels = groupby(self.parts(), key=lambda done: done.channel)
        heard = merge(
            *(_heard(list(parts), channel if self.split else None) for channel, parts in channels),
            key=lambda one: one.clock,
        )
        return [
            Passage(engine, [one.word for one in words]) for engine, words in groupby(heard, key=lambda one: one.engine)
        ]

    def coverage(self) -> Coverage:
        """Audio that was cut out for the engines, and how much of it has an answer."""
        parts = self.parts()
        failed = [Gap(start=seconds(p.start), end=seconds(p.end), reason=p.failure) for p in parts if p.failure]
        gaps = tuple(sorted([*failed, *self._holes], key=lambda gap: gap.start))
        missing = sum(gap.end - gap.start for gap in gaps)
        spoken = sum(seconds(p.end - p.start) for p in parts if not p.failure)
        return Coverage(speech_seconds=spoken + missing, covered_seconds=spoken, gaps=gaps, audited=False)


def _heard(parts: Sequence[Part], speaker: int | None) -> list[Heard]:
    """The parts of one channel in time order -> its words. Where parts overlap, what both heard counts once."""
    stays = kept([Stretch(seconds(one.start), seconds(one.end), one.tokens) for one in parts])
    found = [
        (word, one.engine)
        for one, stay in zip(parts, stays, strict=True)
        for word in words_of(one.tokens[stay], speaker)
    ]
    # The order of tokens is right even where, at a seam, times run backwards a little.
    clocks = accumulate((word.start for word, _ in found), max)
    return [Heard(clock, word, engine) for clock, (word, engine) in zip(clocks, found, strict=True)]
