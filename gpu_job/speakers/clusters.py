"""Which pieces of a recording are one speaker's: clusters by average cosine. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_job.speakers.networks import FRAMES, LOCAL_SPEAKERS, unit
from gpu_job.speakers.windows import Piece, SpeakerWindow
from shared.options.speaker_count import SpeakerCount

SAME_SPEAKER_COSINE = 0.6
"""Two groups of pieces whose mean cosine is higher are one speaker. CAM++ on pieces of 1 to 2 s gives one person's 0.53
or more in 95 % of the pairs, and two persons' 0.56 or less (docs/benchmarks.md, speakers)."""

SAME_MEAN_COSINE = 0.75
"""Two groups whose means have a higher cosine are one speaker, too: noise and echo lower the cosines of pieces, not
those of means. With it, any `SAME_SPEAKER_COSINE` of 0.55 to 0.65 finds the same speakers."""

_CLEAR_SECONDS = 1.0
"""A piece this long makes clusters; a shorter one only joins the nearest."""

_LEAST_SPEAKER_SECONDS = 4.0
"""Who says less in all is taken for one of the others, unless the number of speakers was given."""
_LEAST_SPEAKER_SHARE = 0.2
"""Of the one who says most: in a short recording, less is enough."""

_BLOCK = 1000
"""Groups that are compared each with each at once: 4 MB. Of more, the clusters of each block are compared."""

_UNRELATED = -2.0
"""Below every cosine."""

NOBODY = -1
"""In `Speakers`: nobody, or nobody knows who."""

Speakers = NDArray[np.int8]
"""Numbers of speakers: of frames, or [frames, LOCAL_SPEAKERS] of each person of a window."""


@dataclass(frozen=True, eq=False)
class _Group:
    """Pieces of one speaker. The mean cosine of two groups is the product of their means, which have no length 1."""

    mean: NDArray[np.float32]
    pieces: int
    seconds: float

    def joined(self, other: _Group) -> _Group:
        pieces = self.pieces + other.pieces
        mean = np.asarray((self.mean * self.pieces + other.mean * other.pieces) / pieces, np.float32)
        return _Group(mean, pieces, self.seconds + other.seconds)


def speakers_of(windows: Sequence[SpeakerWindow], count: SpeakerCount) -> list[Speakers]:
    """Windows in time order -> for each of them, whom its people are in each frame."""
    pieces = [piece for window in windows for piece in window.pieces]
    clear = [piece for piece in pieces if piece.seconds >= _CLEAR_SECONDS] or pieces
    means = [unit(group.mean) for group in _groups(clear, count)]
    if not means:
        return [np.full((FRAMES, LOCAL_SPEAKERS), NOBODY, np.int8) for _ in windows]
    voices = np.stack(means)
    alone = _speakers_alone(windows, voices)
    return [_speakers_in(window, voices, alone[window.first_frame :][:FRAMES]) for window in windows]


def _groups(pieces: Sequence[Piece], count: SpeakerCount) -> list[_Group]:
    groups = [_Group(piece.embedding, 1, piece.seconds) for piece in pieces]
    while len(groups) > _BLOCK:
        blocks = [groups[at : at + _BLOCK] for at in range(0, len(groups), _BLOCK)]
        fewer = [group for block in blocks for group in _merged(block, SpeakerCount())]
        if len(fewer) > 0.9 * len(groups):
            # Hardly any two are alike: what is said least is dropped rather than compared for hours.
            fewer = sorted(fewer, key=lambda group: -group.seconds)[:_BLOCK]
        groups = fewer
    groups = _merged(groups, count)
    if not count.is_known:
        longest = max((group.seconds for group in groups), default=0.0)
        least = min(_LEAST_SPEAKER_SECONDS, _LEAST_SPEAKER_SHARE * longest)
        groups = [group for group in groups if group.seconds >= least]
    return _merged_by_means(groups, count)


def _merged_by_means(groups: list[_Group], count: SpeakerCount) -> list[_Group]:
    groups = groups[:]
    while len(groups) > count.least:
        means = np.stack([unit(group.mean) for group in groups])
        alike = means @ means.T
        np.fill_diagonal(alike, _UNRELATED)
        one, other = sorted(divmod(int(alike.argmax()), len(groups)))
        if alike[one, other] <= SAME_MEAN_COSINE:
            break
        groups[one] = groups[one].joined(groups.pop(other))
    return groups


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
    return [group for group in groups if group.pieces]


def _speakers_alone(windows: Sequence[SpeakerWindow], means: NDArray[np.float32]) -> Speakers:
    """[frames of the recording] Who speaks where one speaks alone: whom each piece sounds most like."""
    last = max(window.first_frame for window in windows) + FRAMES
    speakers = np.full(last, NOBODY, np.int8)
    for window in windows:
        for piece in window.pieces:
            stretch = slice(window.first_frame + piece.first, window.first_frame + piece.stop)
            speakers[stretch] = (means @ piece.embedding).argmax()
    return speakers


def _speakers_in(window: SpeakerWindow, means: NDArray[np.float32], alone: Speakers) -> Speakers:
    """Each person of a window is whom they sound like where they speak alone, and elsewhere whom they are there.

    Who is hardly ever alone is somebody else than those who speak meanwhile, if there is somebody else.
    """
    active = window.active
    is_alone = active.sum(axis=1) == 1
    speakers = np.full(active.shape, NOBODY, np.int8)
    for person in range(LOCAL_SPEAKERS):
        speaks = np.nonzero(active[:, person])[0]
        known = speaks[is_alone[speaks] & (alone[speaks] != NOBODY)]
        if len(known):
            middles = (known[:-1] + known[1:]) / 2
            speakers[speaks, person] = alone[known[np.searchsorted(middles, speaks)]]
    for person, voice in enumerate(window.over_others):
        frames = active[:, person]
        if voice is not None and (speakers[frames, person] == NOBODY).all():
            others = set(np.unique(speakers[frames]).tolist()) - {NOBODY}
            free = [speaker for speaker in range(len(means)) if speaker not in others] or list(range(len(means)))
            speakers[frames, person] = free[int((means[free] @ voice).argmax())]
    return speakers
