"""Cut a stream of samples into chunks of up to CHUNK_SECONDS, each where `gpu_job.audio.cuts` says."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from gpu_job.audio.cuts import Cut, CutRules, next_cut
from gpu_job.audio.loudness import FRAME, LevelMeter, Levels, MeasuredAudio, levels
from gpu_job.audio.samples import SAMPLE_RATE, Samples

LOOKAHEAD_SECONDS = 10
"""Audio looked at behind the longest chunk: lets the noise floor settle, and a pause behind the cut be seen whole."""


DIGEST_BYTES = 16
"""24 hours are some 4,000 chunks."""


@dataclass(frozen=True)
class Chunk:
    """A stretch of audio that the model sees at once. Without a pause it starts before the previous one's end."""

    start: int
    """First sample, counted from the start of the upload."""
    samples: Samples
    speech_share: float = 1.0
    """Part of it that may be speech, by its levels: a rough estimate, by which batches are filled."""
    known_levels: Levels | None = field(default=None, repr=False)
    """Its loudness, where the chunker has computed it."""

    @property
    def end(self) -> int:
        """One past the last sample."""
        return self.start + len(self.samples)

    def digest(self) -> str:
        """Of its samples: the same only for the same ones, to the last bit; and for those turned over, which sound the
        same: of a mix, its polarity depends on what came long before (`gpu_job.audio.mix.channel_phase`)."""
        turned = self.samples * np.float32(self.polarity) + np.float32(0)  # there are two zeros
        return hashlib.blake2b(turned.data, digest_size=DIGEST_BYTES).hexdigest()

    @property
    def polarity(self) -> int:
        """-1 where its first sample that is not 0 is less, else 1: tells two chunks of one digest apart."""
        first = self.samples[np.argmax(self.samples != 0)] if len(self.samples) else 0.0
        return -1 if first < 0 else 1

    @cached_property
    def levels(self) -> Levels:
        """Its loudness, [frames of 10 ms] in dB below full scale."""
        return levels(self.samples) if self.known_levels is None else self.known_levels


class Chunker:
    """Takes audio as it is measured, gives chunks as soon as each is certain. Holds one window in memory."""

    def __init__(self, rules: CutRules, begin: int = 0) -> None:
        """`begin`: which sample of the upload comes first, at a whole second."""
        self._rules = rules
        # The window's length is fixed: where cuts fall must not depend on how the stream came in blocks, or
        # checkpoints would not fit.
        self._window_frames = int(rules.max_seconds + LOOKAHEAD_SECONDS) * SAMPLE_RATE // FRAME
        self._window = _Window(begin)

    @property
    def position(self) -> int:
        """The sample from which on nothing is cut yet: no later chunk begins before it."""
        return self._window.start

    def add(self, measured: MeasuredAudio) -> Iterator[Chunk]:
        """The next samples -> the chunks that are certain now. To be exhausted before the next call."""
        window, size = self._window, self._window_frames
        window.add(measured)
        while window.frames >= size and (cut := next_cut(window.level[:size], self._rules, last=False)):
            yield from window.cut(cut, self._rules.still_above_floor_db)

    def end(self) -> Iterator[Chunk]:
        """No more samples come -> the last chunks."""
        window = self._window
        while window.frames and (cut := next_cut(window.level, self._rules, last=True)):
            yield from window.cut(cut, self._rules.still_above_floor_db)


class _Window:
    """The samples not yet cut, and their levels."""

    def __init__(self, start: int) -> None:
        self.frames = 0
        self.start = start
        """Its first sample."""
        self._levels: list[Levels] = []
        self._blocks: deque[Samples] = deque()
        """Whole frames; the first starts at `start`."""

    @property
    def level(self) -> Levels:
        """[frames]."""
        level: Levels = np.concatenate(self._levels)
        self._levels[:] = [level]
        return level

    def add(self, measured: MeasuredAudio) -> None:
        """Take in what came."""
        if len(measured.samples):
            self._blocks.append(measured.samples)
            self._levels.append(measured.levels)
            self.frames += len(measured.levels)

    def cut(self, cut: Cut, above_floor_db: float) -> Iterator[Chunk]:
        """Give out the cut's chunk, unless it is silence, and forget what lies before `resume`.

        Frames more than `above_floor_db` above the noise floor may be speech.
        """
        if cut.end:
            # A copy, so that a waiting chunk does not keep its whole blocks alive.
            level = self.level
            loud = np.count_nonzero(level[: cut.end] > np.percentile(level, 10) + above_floor_db)
            own = level[: cut.end].copy()
            yield Chunk(self.start, self._first(cut.end * FRAME), loud / cut.end, own)
        self._drop(cut.resume)

    def _first(self, samples: int) -> Samples:
        parts, missing = [], samples
        for block in self._blocks:
            parts.append(block[:missing])
            missing -= len(parts[-1])
            if not missing:
                break
        return np.concatenate(parts)

    def _drop(self, frames: int) -> None:
        self._levels[:] = [self.level[frames:]]
        self.frames -= frames
        samples = frames * FRAME
        self.start += samples
        while samples and samples >= len(self._blocks[0]):
            samples -= len(self._blocks.popleft())
        if samples:
            self._blocks[0] = self._blocks[0][samples:]


def chunks(blocks: Iterable[Samples], rules: CutRules) -> Iterator[Chunk]:
    """A whole stream of sample blocks -> its chunks."""
    chunker = Chunker(rules)
    for measured in LevelMeter().of_stream(blocks):
        yield from chunker.add(measured)
    yield from chunker.end()
