"""Assembly: the words of an upload's chunks, in whatever order they come -> passages, gaps and coverage. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gpu_job.audio import seconds
from shared.transcript import Coverage, Gap, Passage, Word
from shared.vocabulary import Engine


@dataclass(frozen=True)
class Part:
    """What an engine made of one chunk. Word times in seconds from the start of the upload."""

    start: int
    """First sample of the chunk."""
    end: int
    engine: Engine
    words: tuple[Word, ...] = ()
    failure: str | None = None
    """Why there are no words."""


def part(start: int, end: int, engine: Engine, words: Sequence[Word]) -> Part:
    """Words timed from the chunk's start -> a part timed from the upload's start."""
    offset = seconds(start)
    moved = [word.model_copy(update={"start": word.start + offset, "end": word.end + offset}) for word in words]
    return Part(start, end, engine, tuple(moved))


@dataclass
class Assembly:
    """The parts of one upload as they arrive. Complete when as many came as were cut, and no more will be cut."""

    _parts: dict[int, Part] = field(default_factory=dict)
    _cut: int = 0
    _samples: int | None = None
    """Length of the upload, known when its last chunk was cut."""
    _holes: list[Gap] = field(default_factory=list)

    def expect(self) -> None:
        """One more chunk was cut."""
        self._cut += 1

    def add(self, arrived: Part) -> None:
        """A chunk's words; a second answer for the same chunk is ignored."""
        self._parts.setdefault(arrived.start, arrived)

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
        """What arrived so far, in time order."""
        return [self._parts[start] for start in sorted(self._parts)]

    def passages(self) -> list[Passage]:
        """The words in time order, with the engine that wrote them."""
        return [Passage(done.engine, done.words) for done in self.parts() if done.words]

    def coverage(self) -> Coverage:
        """Audio that was cut out for the engines, and how much of it has an answer."""
        parts = self.parts()
        failed = [Gap(start=seconds(p.start), end=seconds(p.end), reason=p.failure) for p in parts if p.failure]
        gaps = tuple(sorted([*failed, *self._holes], key=lambda gap: gap.start))
        missing = sum(gap.end - gap.start for gap in gaps)
        spoken = sum(seconds(p.end - p.start) for p in parts if not p.failure)
        return Coverage(speech_seconds=spoken + missing, covered_seconds=spoken, gaps=gaps, audited=False)
