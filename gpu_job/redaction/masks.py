"""Which samples are masked, and with what. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_job.audio.samples import SAMPLE_RATE
from shared.redaction.kinds import AudioMasking
from shared.transcript.editing.redaction import RedactedWords
from shared.transcript.model import Gap

BEEP_HERTZ = 1000.0
BEEP_AMPLITUDE = 0.1
"""-20 dB below full scale: as loud as speech."""


@dataclass(frozen=True, order=True)
class Mask:
    """Seconds of one channel, or of all of them."""

    start: float
    end: float
    channel: int | None = None
    """None: all."""


def masks_of(
    redacted: Iterable[RedactedWords], gaps: Iterable[Gap], margin_seconds: float, channels: int
) -> list[Mask]:
    """Redacted words with a margin before and behind them; and gaps, in which nobody knows what is said.

    `channels`: of which each was transcribed by itself, a word's speaker is its channel.
    """
    words = [
        Mask(max(0.0, one.start - margin_seconds), one.end + margin_seconds, one.speaker if channels > 1 else None)
        for one in redacted
    ]
    return merged([*words, *(Mask(gap.start, gap.end) for gap in gaps)])


def merged(masks: Iterable[Mask]) -> list[Mask]:
    """Of each channel those that touch as one; in order of their starts."""
    by_channel: dict[int | None, list[Mask]] = {}
    for mask in sorted(masks, key=lambda one: (one.start, one.end)):
        own = by_channel.setdefault(mask.channel, [])
        if own and mask.start <= own[-1].end:
            own[-1] = Mask(own[-1].start, max(own[-1].end, mask.end), mask.channel)
        else:
            own.append(mask)
    return sorted((mask for own in by_channel.values() for mask in own), key=lambda one: (one.start, one.end))


def total_seconds(masks: Iterable[Mask], duration: float) -> float:
    """Time in which at least one channel is masked."""
    anywhere = merged(Mask(mask.start, min(mask.end, duration)) for mask in masks if mask.start < duration)
    return sum(mask.end - mask.start for mask in anywhere)


class Masking:
    """Masks blocks of a recording, one after the other."""

    def __init__(self, masks: Sequence[Mask], with_what: AudioMasking) -> None:
        self._with_what = with_what
        channels = {one.channel for one in masks}
        self._all = {channel: [one for one in masks if one.channel == channel] for channel in channels}
        self._starts = {channel: [one.start for one in own] for channel, own in self._all.items()}
        self._at = 0

    def apply(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """The next block, [channels, T], with its masked samples replaced."""
        masked = block.copy()
        first, self._at = self._at, self._at + block.shape[1]
        for channel, own in self._all.items():
            # Masks of one channel do not overlap, so only one may begin before the block and reach into it.
            number = max(0, bisect_right(self._starts[channel], first / SAMPLE_RATE) - 1)
            for mask in own[number:]:
                begin, end = int(mask.start * SAMPLE_RATE), int(np.ceil(mask.end * SAMPLE_RATE))
                if begin >= self._at:
                    break
                inside = slice(max(begin, first) - first, max(min(end, self._at) - first, 0))
                rows = slice(None) if channel is None else slice(channel, channel + 1)
                masked[rows, inside] = self._sound(first + inside.start, first + inside.stop)
        return masked

    def _sound(self, first: int, last: int) -> NDArray[np.float32]:
        count = max(0, last - first)
        if self._with_what is AudioMasking.MUTE:
            return np.zeros((1, count), np.float32)
        phase = 2 * np.pi * BEEP_HERTZ / SAMPLE_RATE * np.arange(first, first + count)
        beep: NDArray[np.float32] = (BEEP_AMPLITUDE * np.sin(phase)).astype(np.float32)[np.newaxis]
        return beep
