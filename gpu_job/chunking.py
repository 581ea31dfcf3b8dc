"""Cuts: a stream of samples -> chunks of up to CHUNK_SECONDS, each cut in a pause, long silences left out.

Where to cut is decided in two tiers over 10 ms levels: in the widest pause of the allowed window, and where nobody
pauses, at the quietest 100 ms. Neighbouring chunks never overlap, so no word is heard twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_job.audio import SAMPLE_RATE, Samples

FRAME = SAMPLE_RATE // 100
"""Samples in one level frame: 10 ms."""

SILENCE_DB = -100.0
"""Level of digital silence, in dB below full scale."""


@dataclass(frozen=True)
class Cutting:
    """Where a chunk may end. Times in seconds, levels in dB."""

    max_seconds: float = 20.0
    min_share: float = 0.5
    """A chunk of continuous speech ends no earlier than at this share of `max_seconds`."""
    quiet_above_floor_db: float = 6.0
    """Frames less than this above the local noise floor are a pause."""
    min_contrast_db: float = 12.0
    """Where loud and quiet frames differ by less, there is no telling pauses from soft speech."""
    min_pause_seconds: float = 0.12
    """Shorter pauses lie inside words: the closure of a `t` takes up to 100 ms."""
    long_pause_seconds: float = 1.0
    """A pause this long ends a chunk wherever it stands, and its middle is left out where it is inaudible."""
    audible_db: float = -50.0
    """Nothing as loud as this is left out, even where it is the quietest of its surroundings: it may be soft speech."""
    padding_seconds: float = 0.3
    """Kept of a long pause on either side: soft onsets and fading ends."""
    valley_seconds: float = 0.1
    """Width over which the quietest place is sought where nobody pauses."""


@dataclass(frozen=True)
class Chunk:
    """A stretch of audio that the model sees at once."""

    start: int
    """First sample, counted from the start of the upload."""
    samples: Samples

    @property
    def end(self) -> int:
        """One past the last sample."""
        return self.start + len(self.samples)


@dataclass(frozen=True)
class Cut:
    """One chunk's place, in frames of the window that was looked at; the next look starts at `resume`.

    Silence to be left out is a cut whose chunk is empty.
    """

    end: int
    resume: int


def levels(samples: Samples) -> NDArray[np.float32]:
    """RMS level of each whole 10 ms frame -> [frames], in dB below full scale, at least SILENCE_DB."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    power = np.einsum("ij,ij->i", frames, frames) / FRAME
    decibel: NDArray[np.float32] = 10.0 * np.log10(np.maximum(power, 10.0 ** (SILENCE_DB / 10 - 1)))
    return np.maximum(decibel, np.float32(SILENCE_DB))


def pauses(level: NDArray[np.float32], rules: Cutting) -> list[tuple[int, int]]:
    """Runs of quiet frames, as [start, end) in frames, at least `min_pause_seconds` long."""
    if len(level) == 0:
        return []
    floor, loud = np.percentile(level, (10, 95))
    # Digital silence is a pause beyond doubt, however little of the window is not.
    if floor > SILENCE_DB and loud - floor < rules.min_contrast_db:
        return []
    quiet = level < floor + rules.quiet_above_floor_db
    edges = np.flatnonzero(np.diff(quiet.astype(np.int8), prepend=0, append=0))
    runs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    shortest = rules.min_pause_seconds * 100
    return [(start, end) for start, end in runs if end - start >= shortest]


def next_cut(level: NDArray[np.float32], rules: Cutting, *, last: bool) -> Cut | None:
    """The next cut of a window, None where it takes more frames to tell.

    `level`: [frames], at least one; `last`: no more frames will come.
    """
    longest, padding = int(rules.max_seconds * 100), int(rules.padding_seconds * 100)
    found = pauses(level, rules)
    if found and found[0][0] == 0:
        _, onset = found.pop(0)
        if level[:onset].max() < rules.audible_db:
            if onset == len(level) and last:
                return Cut(0, onset)
            if onset > padding:
                return Cut(0, onset - padding)
    for begin, end in found:
        if begin < longest and end - begin >= rules.long_pause_seconds * 100:
            stop = min(longest, begin + padding)
            silent = level[begin:end].max() < rules.audible_db
            return Cut(stop, max(stop, end - padding) if silent else stop)
    if len(level) <= longest:
        return Cut(len(level), len(level)) if last else None
    first = int(longest * rules.min_share)
    middles = [((begin + end) // 2, end - begin) for begin, end in found]
    allowed = [(middle, width) for middle, width in middles if first <= middle <= longest]
    middle = max(allowed, key=lambda pause: pause[1])[0] if allowed else _valley(level, first, longest, rules)
    return Cut(middle, middle)


def _valley(level: NDArray[np.float32], first: int, last: int, rules: Cutting) -> int:
    width = max(1, int(rules.valley_seconds * 100))
    smooth = np.convolve(level[first:last], np.ones(width) / width, mode="valid")
    return first + int(np.argmin(smooth)) + width // 2


def chunks(blocks: Iterable[Samples], rules: Cutting) -> Iterator[Chunk]:
    """A stream of sample blocks of any length -> chunks, as soon as each is certain. Holds one window in memory."""
    origin = 0
    # A window longer than a chunk lets the noise floor settle and a pause behind the last cut be seen whole. Its length
    # is fixed: where cuts fall must not depend on how the stream came in blocks, or checkpoints would not fit.
    look = int((rules.max_seconds + rules.long_pause_seconds) * 150) * FRAME
    window = np.zeros(0, np.float32)
    waiting: list[Samples] = []
    for block in blocks:
        waiting.append(block)
        if len(window) + sum(map(len, waiting)) < look:
            continue
        window = np.concatenate((window, *waiting))
        waiting.clear()
        while len(window) >= look and (cut := next_cut(levels(window[:look]), rules, last=False)):
            if cut.end:
                yield _chunk(window, origin, cut)
            origin, window = origin + cut.resume * FRAME, window[cut.resume * FRAME :]
    window = np.concatenate((window, *waiting))
    # A rest shorter than a frame has no level of its own; fill it up so that its samples are heard.
    window = np.concatenate((window, np.zeros(-len(window) % FRAME, np.float32)))
    while len(window) and (cut := next_cut(levels(window), rules, last=True)):
        if cut.end:
            yield _chunk(window, origin, cut)
        origin, window = origin + cut.resume * FRAME, window[cut.resume * FRAME :]


def _chunk(window: Samples, origin: int, cut: Cut) -> Chunk:
    # A copy, so that a waiting chunk does not keep its whole window alive.
    return Chunk(origin, window[: cut.end * FRAME].copy())
