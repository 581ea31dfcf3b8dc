"""Which voices of different windows are one speaker: clusters by average cosine. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_job.speakers.networks import unit
from gpu_job.speakers.windows import SpeakerWindow, Voice
from shared.options.speaker_count import SpeakerCount

SAME_SPEAKER_COSINE = 0.6
"""Two groups of voices whose mean cosine is higher are one speaker. CAM++ on windows of a recording gives one person's
voices 0.65 or more in 95 % of the pairs, and two persons' 0.62 or less (docs/benchmarks.md, speakers)."""

_CLEAR_SECONDS = 1.0
"""A voice that is alone for this long makes clusters; a shorter one only joins the nearest."""

_LEAST_SPEAKER_SECONDS = 4.0
"""Who says less in all is taken for one of the others, unless the number of speakers was given."""
_LEAST_SPEAKER_SHARE = 0.2
"""Of the one who says most: in a short recording, less is enough."""

_BLOCK = 1000
"""Voices that are compared each with each at once: 4 MB. Of more, the clusters of each block are compared."""

_UNRELATED = -2.0
"""Below every cosine."""


@dataclass(frozen=True, eq=False)
class _Group:
    """Voices of one speaker. The mean cosine of two groups is the product of their means, which have no length 1."""

    mean: NDArray[np.float32]
    voices: int
    seconds: float

    def joined(self, other: _Group) -> _Group:
        voices = self.voices + other.voices
        mean = np.asarray((self.mean * self.voices + other.mean * other.voices) / voices, np.float32)
        return _Group(mean, voices, self.seconds + other.seconds)


def speakers_of(windows: Sequence[SpeakerWindow], count: SpeakerCount) -> list[tuple[int | None, ...]]:
    """Windows in time order -> for each of them, the speaker of each of its three people; None: nobody knows."""
    clear = [voice for window in windows for voice in window.voices if voice and voice.alone_seconds >= _CLEAR_SECONDS]
    voices = clear or [voice for window in windows for voice in window.voices if voice]
    means = [unit(group.mean) for group in _groups(voices, count)]
    return [_speakers_in(window, means) for window in windows]


def _groups(voices: Sequence[Voice], count: SpeakerCount) -> list[_Group]:
    groups = [_Group(voice.embedding, 1, voice.alone_seconds) for voice in voices]
    while len(groups) > _BLOCK:
        blocks = [groups[at : at + _BLOCK] for at in range(0, len(groups), _BLOCK)]
        fewer = [group for block in blocks for group in _merged(block, SpeakerCount())]
        if len(fewer) > 0.9 * len(groups):
            # Hardly any two are alike: what is said least is dropped rather than compared for hours.
            fewer = sorted(fewer, key=lambda group: -group.seconds)[:_BLOCK]
        groups = fewer
    if count.is_known:
        return _merged(groups, count)
    groups = _merged(groups, count)
    longest = max((group.seconds for group in groups), default=0.0)
    least = min(_LEAST_SPEAKER_SECONDS, _LEAST_SPEAKER_SHARE * longest)
    return [group for group in groups if group.seconds >= least]


def _merged(groups: list[_Group], count: SpeakerCount) -> list[_Group]:
    """Average linkage: the two most alike become one, again and again, while they are alike or there are too many."""
    groups = list(groups)
    if not groups:
        return groups
    means = np.stack([group.mean for group in groups])
    alike = means @ means.T
    np.fill_diagonal(alike, _UNRELATED)
    best = alike.argmax(axis=1)
    left = len(groups)
    rows = np.arange(len(groups))
    while left > count.least:
        closeness = alike[rows, best]
        one = int(closeness.argmax())
        if closeness[one] <= (_UNRELATED if count.most and left > count.most else SAME_SPEAKER_COSINE):
            break
        other = int(best[one])
        groups[one] = groups[one].joined(groups[other])
        means[one], means[other] = groups[one].mean, 0.0
        row = means @ groups[one].mean
        row[alike[one] == _UNRELATED] = _UNRELATED
        row[other] = _UNRELATED
        alike[one], alike[:, one] = row, row
        alike[other], alike[:, other] = _UNRELATED, _UNRELATED
        changed = (best == one) | (best == other)
        changed[one] = True
        best[changed] = alike[changed].argmax(axis=1)
        nearer = row > alike[rows, best]
        best[nearer] = one
        groups[other] = _Group(groups[other].mean, 0, 0.0)
        left -= 1
    return [group for group in groups if group.voices]


def _speakers_in(window: SpeakerWindow, means: Sequence[NDArray[np.float32]]) -> tuple[int | None, ...]:
    """Each person of a window -> the speaker they sound most like; two people are two speakers if possible."""
    speakers: list[int | None] = [None] * len(window.voices)
    cosines = {
        (one, speaker): float(voice.embedding @ mean)
        for one, voice in enumerate(window.voices)
        if voice
        for speaker, mean in enumerate(means)
    }
    taken: set[int] = set()
    people = {one for one, _ in cosines}
    for one, speaker in sorted(cosines, key=lambda pair: -cosines[pair]):
        if speakers[one] is None and (speaker not in taken or len(taken) == len(means)):
            speakers[one] = speaker
            taken.add(speaker)
            people.discard(one)
    for one in people:
        speakers[one] = max(range(len(means)), key=lambda speaker: cosines[one, speaker])
    return tuple(speakers)
