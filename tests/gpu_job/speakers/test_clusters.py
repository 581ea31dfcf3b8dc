"""Which voices are one speaker: groups of embeddings with known distances."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from gpu_job.speakers.clusters import speakers_of
from gpu_job.speakers.networks import EMBEDDING_SIZE, FRAMES, unit
from gpu_job.speakers.windows import STEP, SpeakerWindow, Voice
from shared.options.speaker_count import SpeakerCount

Embedding = NDArray[np.float32]


def voice(embedding: Embedding, seconds: float = 3.0) -> Voice:
    return Voice(unit(embedding), seconds)


def people(count: int, seed: int = 0) -> list[Embedding]:
    """Voices that have nothing in common."""
    random = np.random.default_rng(seed)
    return [unit(random.standard_normal(EMBEDDING_SIZE).astype(np.float32)) for _ in range(count)]


def near(person: Embedding, at: int) -> Embedding:
    """The same person in another window, at a cosine of about 0.8."""
    noise = unit(np.random.default_rng(at).standard_normal(EMBEDDING_SIZE).astype(np.float32))
    return unit(person * np.float32(0.8) + noise * np.float32(0.6))


def window(at: int, *voices: Voice | None) -> SpeakerWindow:
    return SpeakerWindow(at * STEP, np.zeros(FRAMES, np.uint8), (*voices, *[None] * (3 - len(voices))))


def conversation(count: int, windows: int) -> list[SpeakerWindow]:
    """One person a window, in turn."""
    known = people(count)
    return [window(at, voice(near(known[at % count], at))) for at in range(windows)]


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_as_many_speakers_are_found_as_there_are_voices(count: int) -> None:
    found = [speakers[0] for speakers in speakers_of(conversation(count, 60), SpeakerCount())]
    assert len(set(found)) == count
    assert found == [found[at % count] for at in range(60)]


def test_a_known_number_wins_over_what_the_voices_say() -> None:
    windows = conversation(4, 40)
    for asked in (1, 2, 3, 4, 5):
        found = speakers_of(windows, SpeakerCount(least=asked, most=asked))
        assert len({speakers[0] for speakers in found}) == asked
    assert len({speakers[0] for speakers in speakers_of(windows, SpeakerCount(least=2, most=5))}) == 4


def test_two_people_of_one_window_are_two_speakers_however_alike() -> None:
    one, other = people(2)
    windows = [window(0, voice(one)), window(1, voice(other)), window(2, voice(near(one, 1)), voice(near(one, 2)))]
    both = speakers_of(windows, SpeakerCount())[2]
    assert set(both[:2]) == {0, 1}


def test_more_people_in_a_window_than_speakers_share_them() -> None:
    (one,) = people(1)
    found = speakers_of([window(0, voice(one), voice(near(one, 1)), voice(near(one, 2)))], SpeakerCount(most=1))
    assert found == [(0, 0, 0)]


def test_a_voice_too_short_to_know_joins_the_nearest_and_makes_no_speaker() -> None:
    one, other = people(2)
    windows = [window(at, voice(near(one, at))) for at in range(9)] + [window(9, voice(other, 0.5))]
    assert {speakers[0] for speakers in speakers_of(windows, SpeakerCount())} == {0}


def test_who_hardly_says_anything_is_taken_for_another_unless_the_number_is_known() -> None:
    one, other = people(2)
    windows = [window(at, voice(near(one, at))) for at in range(20)] + [window(20, voice(other, 1.2))]
    assert len({speakers[0] for speakers in speakers_of(windows, SpeakerCount())}) == 1
    assert len({speakers[0] for speakers in speakers_of(windows, SpeakerCount(least=2, most=2))}) == 2


def test_nobody_is_found_where_nobody_speaks() -> None:
    assert speakers_of([window(0), window(1)], SpeakerCount()) == [(None, None, None)] * 2
    assert speakers_of([], SpeakerCount()) == []


def test_many_hours_are_clustered_in_blocks_to_the_same_speakers() -> None:
    windows = conversation(3, 2500)
    found = [speakers[0] for speakers in speakers_of(windows, SpeakerCount())]
    assert len(set(found)) == 3
    assert all(before != after for before, after in pairwise(found))
