"""Which pieces of a recording are one speaker's: clusters by average cosine. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_job.speakers.networks import FRAMES, LOCAL_SPEAKERS, unit
from gpu_job.speakers.windows import Piece, SpeakerWindow
from shared.options.speaker_count import SpeakerCount

SAME_SPEAKER_COSINE = 0.63
"""Two groups of pieces whose mean cosine is higher are one speaker. CAM++ on pieces of 2 s gives two persons' 0.61 or
less in 99 % of the pairs, on the phone 0.66, and one person's 0.77 in the mean, in a room 0.65: what one person says
may be several groups."""

SAME_VOICE = 0.82
"""Two groups of as much speech are one speaker, too, from this share on of what their mean cosine would be if they were
one's, known by the mean cosines inside of each: noise, echo and a phone lower or raise all of them alike. Halves of
what one person says have 0.90 or more, two persons 0.71 or less in 95 % of the pairs, on the phone 0.76
(docs/benchmarks.md)."""

_ODD_PART = 0.03
"""So much less is enough each time that one group has half as much speech as the other: the few pieces that sound least
like their speaker, short or disturbed ones, are a group of their own, at 0.70 to 0.78."""

_USUAL_COSINE = 0.65
"""Inside of a group, where no group has more than one piece."""
_USUAL_PAIRS = 6
"""So many pairs of a group's pieces weigh as much as the mean of all groups."""

_CLEAR_SECONDS = 1.0
"""A piece this long makes clusters; a shorter one only joins the nearest."""

_LEAST_SPEAKER_SECONDS = 4.0
"""Who says less in all, short pieces too, is taken for one of the others, unless the number of speakers was given."""
_LEAST_SPEAKER_SHARE = 0.2
"""Of the one who says most: in a short recording, less is enough."""

_VOICE_COSINE = 0.6
"""A doubtful piece is that of the speaker whose mean has at least this cosine to it, or nobody's. A person's own mean
has about 0.8; white noise, chords and clicks have up to 0.58 to the nearest of 48 voices."""

_BLOCK = 1000
"""Groups that are compared each with each at once: 4 MB. Of more, the clusters of each block are compared."""

_MOST_COMPARED = 300
"""Groups whose voices are compared: of more, none that is a single short piece. In a short recording such pieces are
all that some people say."""

_UNRELATED = -2.0
"""Below every cosine."""

NOBODY = -1
"""In `Speakers`: nobody, or nobody knows who."""

_NO_VOICE = -2
"""It sounds like nobody who speaks in the recording."""

Speakers = NDArray[np.int16]
"""Numbers of speakers: of frames, or [frames, LOCAL_SPEAKERS] of each person of a window. A day of radio has more than
the 127 that a byte holds."""


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
    pieces = [piece for window in windows for piece in window.pieces if not piece.is_doubtful]
    clear = [piece for piece in pieces if piece.seconds >= _CLEAR_SECONDS] or pieces
    means = [unit(group.mean) for group in _groups(clear, pieces, count)]
    if not means:
        return [np.full((FRAMES, LOCAL_SPEAKERS), NOBODY, np.int16) for _ in windows]
    voices = np.stack(means)
    alone = _speakers_alone(windows, voices)
    return [_speakers_in(window, voices, alone[window.first_frame :][:FRAMES]) for window in windows]


def _groups(clear: Sequence[Piece], pieces: Sequence[Piece], count: SpeakerCount) -> list[_Group]:
    """`clear`: those of the pieces that make clusters."""
    groups = [_Group(piece.embedding, 1, piece.seconds) for piece in clear]
    while len(groups) > _BLOCK:
        blocks = [groups[at : at + _BLOCK] for at in range(0, len(groups), _BLOCK)]
        fewer = [group for block in blocks for group in _merged(block, SpeakerCount())]
        if len(fewer) > 0.9 * len(groups):
            # Hardly any two are alike: what is said least is dropped rather than compared for hours.
            fewer = sorted(fewer, key=lambda group: -group.seconds)[:_BLOCK]
        groups = fewer
    found = _found(_merged(groups, SpeakerCount()), pieces, count)
    # Who hardly speaks counts only where there are said to be more than are found without them.
    return found if len(found) >= count.least else _merged_by_voices(_merged(groups, count), count)


def _found(groups: Sequence[_Group], pieces: Sequence[Piece], count: SpeakerCount) -> list[_Group]:
    # What one person says in an echo may be many small groups, which only together are a speaker's.
    least = _least_seconds(groups)
    compared = [group for group in groups if group.pieces > 1 or group.seconds >= least]
    single = sorted((group for group in groups if group not in compared), key=lambda group: -group.seconds)
    compared += single[: max(0, _MOST_COMPARED - len(compared))]
    return _merged_by_voices(_who_says_enough(_merged_by_voices(compared, SpeakerCount()), pieces), count)


def _who_says_enough(groups: Sequence[_Group], pieces: Sequence[Piece]) -> list[_Group]:
    """Without those who say too little, one after the other: each piece is counted for whom it sounds most like. Of a
    voice in an echo or under others, only a few pieces may be alike enough for a group, and the rest is theirs, too."""
    left = list(groups)
    least = _least_seconds(left)
    nearest = _nearest(left, pieces)
    seconds = np.array([piece.seconds for piece in pieces])
    while len(left) > 1:
        said = np.bincount(nearest, weights=seconds, minlength=len(left))
        softest = int(said.argmin())
        if said[softest] >= least:
            break
        left.pop(softest)
        free = np.nonzero(nearest == softest)[0].tolist()
        nearest[nearest > softest] -= 1
        nearest[free] = _nearest(left, [pieces[at] for at in free])
    return left


def _nearest(groups: Sequence[_Group], pieces: Sequence[Piece]) -> NDArray[np.int64]:
    """[pieces] Which of the groups each sounds most like."""
    nearest = np.zeros(len(pieces), np.int64)
    if groups:
        means = np.stack([unit(group.mean) for group in groups])
        for at in range(0, len(pieces), _BLOCK):
            heard = np.stack([piece.embedding for piece in pieces[at : at + _BLOCK]])
            nearest[at : at + _BLOCK] = (heard @ means.T).argmax(axis=1)
    return nearest


def _least_seconds(groups: Sequence[_Group]) -> float:
    longest = max((group.seconds for group in groups), default=0.0)
    return min(_LEAST_SPEAKER_SECONDS, _LEAST_SPEAKER_SHARE * longest)


def _merged_by_voices(groups: list[_Group], count: SpeakerCount) -> list[_Group]:
    """The two whose voices are most alike become one, again and again, while they are alike or there are too many."""
    groups = groups[:]
    if len(groups) <= count.least:
        return groups
    means = np.stack([group.mean for group in groups])
    cosines = means @ means.T
    while len(groups) > count.least:
        above = _voices_alike(groups, cosines) - _same_voice(groups)
        np.fill_diagonal(above, _UNRELATED)
        one, other = sorted(divmod(int(above.argmax()), len(groups)))
        if above[one, other] <= 0 and (count.most is None or len(groups) <= count.most):
            break
        share = np.float32(groups[one].pieces / (groups[one].pieces + groups[other].pieces))
        # As means are joined, so are their products: of 300 groups, all of them anew each time takes 20 times as long.
        cosines[one] = cosines[one] * share + cosines[other] * (1 - share)
        cosines[:, one] = cosines[:, one] * share + cosines[:, other] * (1 - share)
        cosines = np.delete(np.delete(cosines, other, axis=0), other, axis=1)
        groups[one] = groups[one].joined(groups.pop(other))
    return groups


def _same_voice(groups: Sequence[_Group]) -> NDArray[np.float32]:
    """[groups, groups] From which share on two groups are one speaker."""
    halvings = np.log2(np.array([group.seconds for group in groups], np.float32))
    return np.asarray(SAME_VOICE - _ODD_PART * np.abs(halvings - halvings[:, np.newaxis]), np.float32)


def _voices_alike(groups: Sequence[_Group], cosines: NDArray[np.float32]) -> NDArray[np.float32]:
    """[groups, groups] Mean cosine of two groups, as a share of what it is inside of them. `cosines`: the mean ones."""
    pieces = np.array([group.pieces for group in groups], np.float32)
    # Of the n x n cosines that the square of a mean is the mean of, n are a piece's with itself: 1.
    pairs = pieces * (pieces - 1)
    sums = np.diagonal(cosines) * pieces**2 - pieces
    usual = sums.sum() / pairs.sum() if pairs.any() else _USUAL_COSINE
    inside = np.maximum((sums + usual * _USUAL_PAIRS) / (pairs + _USUAL_PAIRS), 0.05)
    lengths = np.asarray(1 / np.sqrt(inside), np.float32)
    return np.asarray(cosines * lengths * lengths[:, np.newaxis], np.float32)


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
    """[frames of the recording] Who speaks where one speaks alone: whom each piece sounds most like, or `_NO_VOICE`."""
    last = max(window.first_frame for window in windows) + FRAMES
    speakers = np.full(last, NOBODY, np.int16)
    for window in windows:
        for piece in window.pieces:
            stretch = slice(window.first_frame + piece.first, window.first_frame + piece.stop)
            alike = means @ piece.embedding
            is_voice = not piece.is_doubtful or alike.max() >= _VOICE_COSINE
            speakers[stretch] = alike.argmax() if is_voice else _NO_VOICE
    return speakers


def _speakers_in(window: SpeakerWindow, means: NDArray[np.float32], alone: Speakers) -> Speakers:
    """Each person of a window is whom they sound like where they speak alone, and elsewhere whom they are there.

    Who is hardly ever alone is somebody else than those who speak meanwhile, if there is somebody else.
    """
    active = window.active
    is_alone = active.sum(axis=1) == 1
    speakers = np.full(active.shape, NOBODY, np.int16)
    for person in range(LOCAL_SPEAKERS):
        speaks = np.nonzero(active[:, person])[0]
        known = speaks[is_alone[speaks] & (alone[speaks] >= 0)]
        if len(known):
            middles = (known[:-1] + known[1:]) / 2
            speakers[speaks, person] = alone[known[np.searchsorted(middles, speaks)]]
    for person, voice in enumerate(window.over_others):
        frames = active[:, person]
        if voice is not None and (speakers[frames, person] == NOBODY).all():
            others = set(np.unique(speakers[frames]).tolist()) - {NOBODY}
            free = [speaker for speaker in range(len(means)) if speaker not in others] or list(range(len(means)))
            speakers[frames, person] = free[int((means[free] @ voice).argmax())]
    speakers[alone == _NO_VOICE] = NOBODY
    return speakers
