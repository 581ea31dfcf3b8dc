"""Find channels that would cancel each other out in a mix, and the sign with which each belongs into it. Pure.

Recorders that take a balanced microphone cable for two channels make such files, and dubbing does. Turning a channel
over, rather than leaving one out, keeps what only one of them has: (L - R) / 2 of `hum + A` and `B - hum` has A and B.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_job.audio.samples import SAMPLE_RATE, Samples

OPPOSITE_CORRELATION = -0.2
"""Two channels whose correlation, with their signs, is below this are in opposite phase. So are a voice in both and
music 14 dB louder in one. A quarter second of independent speakers is above it 98 times of 100, and a channel that is
turned over needlessly costs a ramp of 20 ms."""

FLOOR_RMS = 1e-4
"""A channel below this (-80 dB) keeps its sign: hum of one 16-bit step (-90 dB) decides nothing."""

LONG_MEAN_PAIRS, SHORT_MEAN_PAIRS = 21, 3
"""Compared is the difference of two moving means, in pairs of frames: 150 to 1,500 Hz, where voices are strong. Mains
hum, which a balanced cable picks up in phase while the voice is in opposite phase, is 33 dB down; without high
frequencies, a copy that comes 0.5 ms late is still known as one."""

MIN_FRAMES = SAMPLE_RATE // 20
"""Fewer frames tell nothing."""


Stretches = NDArray[np.float32]
"""Shape [stretches, channels, frames]."""


class ChannelPhase:
    """The signs of a stream's channels, kept until something speaks clearly against them."""

    def __init__(self, channels: int) -> None:
        self._signs = np.ones(channels, np.float32)

    @property
    def kept(self) -> NDArray[np.float32]:
        """The signs as of now, shape [channels]."""
        return self._signs

    def signs(self, stretches: Stretches) -> NDArray[np.float32]:
        """+1 or -1 for each channel, shape [stretches, channels], of stretches [stretches, channels, frames]."""
        if stretches.shape[2] < MIN_FRAMES:
            return np.repeat(self._signs[np.newaxis], len(stretches), axis=0)
        signs = []
        for correlation, power in zip(*_correlations(stretches), strict=True):
            if (correlation * np.outer(self._signs, self._signs)).min() < OPPOSITE_CORRELATION:
                self._signs = _turned_over(correlation, power, self._signs)
            signs.append(self._signs)
        return np.array(signs)


def _correlations(stretches: Stretches) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """[stretches, channels, channels]: of each two channels, 0 where one is below the floor; and each one's power."""
    even = stretches.shape[2] // 2 * 2
    sums = (stretches[:, :, 0:even:2] + stretches[:, :, 1:even:2]).cumsum(axis=2)
    long = (sums[:, :, LONG_MEAN_PAIRS:] - sums[:, :, :-LONG_MEAN_PAIRS]) / LONG_MEAN_PAIRS
    short = (sums[:, :, SHORT_MEAN_PAIRS:] - sums[:, :, :-SHORT_MEAN_PAIRS]) / SHORT_MEAN_PAIRS
    first = (LONG_MEAN_PAIRS - SHORT_MEAN_PAIRS) // 2
    sound = short[:, :, first : first + long.shape[2]] - long
    products = sound @ sound.transpose(0, 2, 1) / (4 * sound.shape[2])
    power = np.diagonal(products, axis1=1, axis2=2)
    scale = np.where(power > FLOOR_RMS**2, 1 / np.sqrt(np.maximum(power, FLOOR_RMS**2)), 0)
    return products * scale[:, :, np.newaxis] * scale[:, np.newaxis, :], power


def _turned_over(correlation: NDArray[np.float32], power: Samples, before: Samples) -> Samples:
    """The new signs: from the loudest channel on, each is compared with the one that it resembles most.

    With the one, not with the mix of all, in which a loud channel would hide two quiet ones that cancel each other out.
    """
    signs, likeness = before.copy(), np.abs(correlation)
    number = int(power.argmax())
    closest = np.full(len(signs), number)
    left: NDArray[np.bool_] = np.ones(len(signs), np.bool_)
    for _ in range(len(signs) - 1):
        left[number] = False
        nearer = likeness[number] > likeness[np.arange(len(signs)), closest]
        closest[nearer] = number
        number = int(np.where(left, likeness[np.arange(len(signs)), closest], -1).argmax())
        other = closest[number]
        if correlation[number, other] * signs[number] * signs[other] < OPPOSITE_CORRELATION:
            signs[number] = -signs[number]
    return signs
