"""Sound whose every second can be recognized: what was recorded is known by construction, whatever decodes it.

A session is a sequence of tones, CELLS of them a second, drawn so that no other second of any session has more than
MAX_COMMON tones in the same order. The tones pass codecs made for 8 kHz speech; each stands alone, as such codecs
distort two at once.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from gpu_job.audio.samples import SAMPLE_RATE, Samples

CELLS = 5
"""Tones a second."""

TONES_HZ = tuple(range(450, 3000, 180))
"""Fifteen, within what telephone codecs carry (300 to 3,400 Hz)."""

SESSIONS = "ABCD"
"""Sessions differ in their sequence of tones."""

SESSION_SECONDS = 48
"""Longest session."""

MAX_COMMON = 3
"""Cells that two different seconds may share, position by position, whatever their place in the cells' grid."""

LEVEL = 0.3
"""Peak of a tone."""

RAMP_SECONDS = 0.004
"""A tone begins and ends without a click."""

_HOP_SECONDS = 0.01
_WINDOW = 800
"""Samples of a spectrum's window: 50 ms, in which tones 180 Hz apart do not leak into each other."""
_FLOOR = 2e-4
"""Peak of the quietest tone that counts as heard: -74 dBFS; one of 64 mixed channels has -46."""
_AS_LOUD_AS = 0.25
"""Of several tones at once, those count that have this share of the loudest one's amplitude."""
_TONAL = 0.25
"""Share of the power that must be in the tones: in noise there are all tones."""
_HOPS_PER_CELL = round(1 / CELLS / _HOP_SECONDS)

FOUND = 0.7
"""Share of a second's hops with the right tone from which the second counts as found at a place."""

CELL_FOUND = 0.5
"""The same for each of its cells."""


@dataclass(frozen=True)
class Found:
    """Where a cell of a session was found, in seconds of the decoded audio."""

    cell: int
    at: float


@cache
def sequence(session: str) -> tuple[int, ...]:
    """The session's tones by cell, as indices into TONES_HZ."""
    return _sequences()[session]


@cache
def _sequences() -> dict[str, tuple[int, ...]]:
    draw = random.Random(9)
    drawn: dict[str, list[int]] = {}
    windows: list[tuple[int, ...]] = []
    for session in SESSIONS:
        tones: list[int] = []
        while len(tones) < SESSION_SECONDS * CELLS:
            tone = draw.randrange(len(TONES_HZ))
            last = (*tones[1 - CELLS :], tone)
            if tones and tone == tones[-1]:
                continue
            if len(last) == CELLS:
                if any(sum(a == b for a, b in zip(last, other, strict=True)) > MAX_COMMON for other in windows):
                    if draw.random() < 0.05:  # no tone may fit: take some back
                        removed = min(len(tones), CELLS)
                        del tones[-removed:]
                        del windows[len(windows) - removed :]
                    continue
                windows.append(last)
            tones.append(tone)
        drawn[session] = tones
    return {session: tuple(tones) for session, tones in drawn.items()}


def session_sound(session: str, first: float, last: float, rate: int) -> NDArray[np.float32]:
    """Seconds [first, last) of a session at `rate` Hz, shape [T]; both at whole cells."""
    tones = sequence(session)[round(first * CELLS) : round(last * CELLS)]
    edges = [round(number * rate / CELLS) for number in range(len(tones) + 1)]
    sound = np.zeros(edges[-1], np.float32)
    ramp = max(1, round(RAMP_SECONDS * rate))
    for tone, start, end in zip(tones, edges, edges[1:], strict=False):
        time = np.arange(end - start)
        envelope = np.minimum(1.0, np.minimum(time + 1, end - start - time) / ramp)
        sound[start:end] = LEVEL * envelope * np.sin(2 * np.pi * TONES_HZ[tone] / rate * time)
    return sound


@dataclass(frozen=True)
class Heard:
    """Which tones are to be heard at each hop of decoded audio."""

    cells: NDArray[np.float64]
    """Shape [hops, tones]: share of the cell that begins at this hop in which the tone is heard."""

    def find(self, session: str, cells: range) -> list[Found]:
        """Those of the cells that are in the audio, with their places."""
        tones = sequence(session)
        hop_of: dict[int, int] = {}
        for first in range(cells.start, cells.stop - CELLS + 1):
            place = self._place(tones[first : first + CELLS])
            if place is None:
                continue
            here = {first + number: place + number * _HOPS_PER_CELL for number in range(CELLS)}
            here = {cell: hop for cell, hop in here.items() if self._is_heard(tones, cell, hop)}
            if len(here) > MAX_COMMON:
                hop_of = here | hop_of
        # Where a second is there in part, its cells stand beside those of the whole ones.
        for order, step in ((cells, 1), (reversed(cells), -1)):
            for cell in order:
                hop = hop_of.get(cell - step)
                if cell not in hop_of and hop is not None and self._is_heard(tones, cell, hop + step * _HOPS_PER_CELL):
                    hop_of[cell] = hop + step * _HOPS_PER_CELL
        return [Found(cell, hop * _HOP_SECONDS) for cell, hop in sorted(hop_of.items())]

    def _is_heard(self, tones: tuple[int, ...], cell: int, hop: int) -> bool:
        return 0 <= hop < len(self.cells) and bool(self.cells[hop, tones[cell]] >= CELL_FOUND)

    def _place(self, second: tuple[int, ...]) -> int | None:
        """The hop at which this second is found best."""
        hops = len(self.cells) - (CELLS - 1) * _HOPS_PER_CELL
        if hops <= 0:
            return None
        score = np.zeros(hops)
        for number, tone in enumerate(second):
            start = number * _HOPS_PER_CELL
            score += self.cells[start : start + hops, tone]
        best = float(score.max())
        if best < FOUND * CELLS:
            return None
        # The middle of the best places: spectra are the same for some hops.
        top = np.flatnonzero(score >= best - 1e-9)
        run = top[: int(np.argmax(np.diff(top, append=top[-1] + 2) > 1)) + 1]
        return int(run[(len(run) - 1) // 2])


def heard(samples: Samples) -> Heard:
    """The tones in decoded audio of shape [T] at 16 kHz."""
    hop = round(_HOP_SECONDS * SAMPLE_RATE)
    # A hop's window lies around it, so that a cell is heard from its first hop on.
    padded = np.pad(samples.astype(np.float32), (_WINDOW // 2, _WINDOW // 2 + _HOPS_PER_CELL * hop))
    count = max(0, (len(padded) - _WINDOW) // hop)
    time = np.arange(_WINDOW) / SAMPLE_RATE
    weights = np.hanning(_WINDOW)
    basis = (np.exp(-2j * np.pi * np.outer(time, TONES_HZ)) * weights[:, None] * 2 / weights.sum()).astype(np.complex64)
    levels = np.zeros((count, len(TONES_HZ)), np.float32)
    powers, shares = np.zeros((count, 1), np.float32), (weights / weights.sum()).astype(np.float32)
    step = 4096
    for first in range(0, count, step):
        last = min(count, first + step)
        part = padded[first * hop : (last - 1) * hop + _WINDOW]
        if not part.any():
            continue
        windows = np.lib.stride_tricks.sliding_window_view(part, _WINDOW)[::hop]
        levels[first:last] = np.abs(windows @ basis)
        powers[first:last, 0] = np.square(windows) @ shares
    loudest = levels.max(axis=1, initial=0.0, keepdims=True)
    is_on = (levels >= _AS_LOUD_AS * loudest) & (levels >= _FLOOR)
    is_on &= (is_on * np.square(levels) / 2).sum(axis=1, keepdims=True) >= _TONAL * powers
    sums = np.cumsum(np.pad(is_on, ((1, _HOPS_PER_CELL), (0, 0))), axis=0, dtype=np.float64)
    return Heard((sums[_HOPS_PER_CELL:] - sums[:-_HOPS_PER_CELL]) / _HOPS_PER_CELL)
