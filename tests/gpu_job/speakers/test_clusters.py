"""Which pieces are one speaker's: groups of embeddings with known distances."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from gpu_job.speakers.clusters import NOBODY, Speakers, speakers_of
from gpu_job.speakers.networks import EMBEDDING_SIZE, FRAME_SECONDS, FRAMES, unit
from gpu_job.speakers.turns import turns_of
from gpu_job.speakers.windows import STEP, Piece, SpeakerWindow
from shared.options.speaker_count import SpeakerCount

Embedding = NDArray[np.float32]

ALONE = {0: 1, 1: 2, 2: 3}
"""Person of a window -> the place in SETS where only that one speaks."""
BOTH = 4
"""Where the first two do."""


def people(count: int, seed: int = 0) -> list[Embedding]:
    """Voices that have nothing in common."""
    random = np.random.default_rng(seed)
    return [unit(random.standard_normal(EMBEDDING_SIZE).astype(np.float32)) for _ in range(count)]


def near(person: Embedding, at: int, cosine: float = 0.8) -> Embedding:
    """The same person at another time, at about this cosine."""
    noise = unit(np.random.default_rng(at).standard_normal(EMBEDDING_SIZE).astype(np.float32))
    return unit(person * np.float32(cosine) + noise * np.float32((1 - cosine**2) ** 0.5))


def window(at: int, *said: tuple[int, float, Embedding]) -> SpeakerWindow:
    """Stretches one behind the other, from the window's middle half on: which of its people, for how long, and how."""
    sets = np.zeros(FRAMES, np.uint8)
    pieces = []
    first = 150
    for person, seconds, voice in said:
        stop = first + round(seconds / FRAME_SECONDS)
        sets[first:stop] = ALONE[person]
        pieces.append(Piece(first, stop, unit(voice)))
        first = stop
    return SpeakerWindow(at * STEP, sets, tuple(pieces))


def speakers_in(windows: list[SpeakerWindow], found: list[Speakers]) -> list[list[int]]:
    """Who says each piece of each window."""
    answers = []
    for one, speakers in zip(windows, found, strict=True):
        each = [speakers[piece.first : piece.stop][one.active[piece.first : piece.stop]] for piece in one.pieces]
        assert all(len(set(piece.tolist())) == 1 for piece in each)
        answers.append([int(piece[0]) for piece in each])
    return answers


def conversation(count: int, windows: int, cosine: float = 0.8) -> list[SpeakerWindow]:
    """One person a window, in turn."""
    known = people(count)
    return [window(at, (0, 2.0, near(known[at % count], at, cosine))) for at in range(windows)]


def in_turn(windows: list[SpeakerWindow], count: SpeakerCount) -> list[int]:
    """Of windows with one piece each, who says it."""
    return [speakers[0] for speakers in speakers_in(windows, speakers_of(windows, count))]


@pytest.mark.parametrize("cosine", [0.8, 0.76, 0.72])
@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_as_many_speakers_are_found_as_there_are_voices(count: int, cosine: float) -> None:
    """With much noise, many pieces of one voice have a cosine below the threshold; means of groups have not."""
    windows = 30 * count
    found = in_turn(conversation(count, windows, cosine), SpeakerCount())
    assert len(set(found)) == count
    assert found == [found[at % count] for at in range(windows)]


def test_a_known_number_wins_over_what_the_voices_say() -> None:
    windows = conversation(4, 40)
    for asked in (1, 2, 3, 4, 5):
        assert len(set(in_turn(windows, SpeakerCount(least=asked, most=asked)))) == asked
    assert len(set(in_turn(windows, SpeakerCount(least=2, most=5)))) == 4


def test_one_person_of_a_window_who_is_two_by_the_voice_is_two_speakers() -> None:
    """The segmentation takes two alike voices for one at times."""
    one, other = people(2)
    windows = [window(at, (0, 2.0, near(one, at)), (1, 2.0, near(other, at + 100))) for at in range(5)]
    windows.append(window(5, (0, 2.0, near(one, 50)), (0, 2.0, near(other, 51))))
    found = speakers_in(windows, speakers_of(windows, SpeakerCount()))
    assert found == [found[0]] * 6
    assert set(found[0]) == {0, 1}


def test_who_speaks_over_another_is_whom_they_are_alone_next() -> None:
    one, other = people(2)
    both = window(0, (0, 2.0, one), (1, 2.0, other))
    border = both.pieces[0].stop
    both.sets[border - 30 : border] = BOTH
    speakers = speakers_of([both], SpeakerCount())[0]
    first, second = speakers[both.pieces[0].first, 0], speakers[both.pieces[1].stop - 1, 1]
    assert {int(first), int(second)} == {0, 1}
    assert (speakers[border - 30 : border, :2] == [first, second]).all()


def test_who_is_never_alone_in_a_window_is_known_by_what_they_say_over_others() -> None:
    one, other = people(2)
    windows = [window(at, (at % 2, 2.0, near((one, other)[at % 2], at))) for at in range(8)]
    last = window(8, (0, 2.0, near(one, 8)))
    last.sets[200:240] = BOTH
    # The voice that is mixed of both sounds most like the louder one, who is known already.
    mixed = unit(one * np.float32(0.8) + other * np.float32(0.5))
    last = SpeakerWindow(last.start, last.sets, last.pieces, (None, mixed, None))
    found = speakers_of([*windows, last], SpeakerCount())
    alone = int(found[8][160, 0])
    assert (found[8][200:240, 0] == alone).all()
    assert (found[8][200:240, 1] == 1 - alone).all()


def test_a_voice_too_short_to_know_joins_the_nearest_and_makes_no_speaker() -> None:
    one, other = people(2)
    windows = [window(at, (0, 2.0, near(one, at))) for at in range(9)] + [window(9, (0, 0.5, other))]
    assert set(in_turn(windows, SpeakerCount())) == {0}


def test_who_hardly_says_anything_is_taken_for_another_unless_the_number_is_known() -> None:
    one, other = people(2)
    windows = [window(at, (0, 2.0, near(one, at))) for at in range(20)] + [window(20, (0, 1.2, other))]
    assert len(set(in_turn(windows, SpeakerCount()))) == 1
    assert len(set(in_turn(windows, SpeakerCount(least=2, most=2)))) == 2


def test_nobody_is_found_where_nobody_speaks() -> None:
    assert all((speakers == NOBODY).all() for speakers in speakers_of([window(0), window(1)], SpeakerCount()))
    assert speakers_of([], SpeakerCount()) == []


def test_many_hours_are_clustered_in_blocks_to_the_same_speakers() -> None:
    found = in_turn(conversation(3, 2500), SpeakerCount())
    assert len(set(found)) == 3
    assert all(before != after for before, after in pairwise(found))


def test_a_day_of_radio_may_have_more_people_than_a_byte_can_number() -> None:
    voices = people(200)
    windows = [window(at, (0, 4.5, voice)) for at, voice in enumerate(voices)]
    found = speakers_in(windows, speakers_of(windows, SpeakerCount()))
    assert sorted(number for (number,) in found) == list(range(200))
    assert len({turn.speaker for turn in turns_of(windows, speakers_of(windows, SpeakerCount()), 1010.0)}) == 200


def test_what_one_person_says_in_hundreds_of_groups_is_one_speakers() -> None:
    (person,) = people(1)
    # At a mean cosine of 0.53, below that of one speaker: only what they have in common says that they are.
    windows = [window(at, (0, 4.5, near(person, at, 0.73))) for at in range(600)]
    assert speakers_in(windows, speakers_of(windows, SpeakerCount())) == [[0]] * 600


@pytest.mark.parametrize(("pieces", "speakers"), [(4, 1), (40, 2)])
def test_a_few_odd_pieces_are_their_speakers_and_as_many_as_the_others_are_somebodys(
    pieces: int, speakers: int
) -> None:
    """Two voices whose means have three quarters of the cosine that they would have if they were one's."""
    one, odd = np.linalg.qr(np.stack(people(2)).T)[0].T
    other = unit(one * np.float32(0.75) + odd * np.float32(1 - 0.75**2) ** np.float32(0.5))
    windows = [window(at, (0, 2.0, near(one, at, 0.84))) for at in range(40)]
    windows += [window(at, (0, 2.0, near(other, at, 0.84))) for at in range(40, 40 + pieces)]
    found = in_turn(windows, SpeakerCount())
    assert found == [found[0]] * 40 + [found[-1]] * pieces
    assert len(set(found)) == speakers


def test_who_says_enough_in_single_pieces_that_are_hardly_alike_is_somebody() -> None:
    """In a short recording, and in an echo: each piece is a group, and shorter than what makes a speaker."""
    one, other = people(2)
    windows = [window(at, (0, 2.0, near(one, at))) for at in range(8)]
    windows += [window(at, (0, 1.2, near(other, at, 0.73))) for at in range(8, 12)]
    found = in_turn(windows, SpeakerCount())
    assert found == [found[0]] * 8 + [found[-1]] * 4
    assert len(set(found)) == 2


def test_a_speakers_short_pieces_count_for_what_they_say() -> None:
    one, other = people(2)
    windows = [window(at, (0, 2.0, near(one, at))) for at in range(10)]
    windows += [window(at, (0, 1.5, near(other, at))) for at in (10, 11)]
    windows += [window(at, (0, 0.8, near(other, at))) for at in range(12, 15)]
    found = in_turn(windows, SpeakerCount())
    assert found == [found[0]] * 10 + [found[-1]] * 5
    assert len(set(found)) == 2


def test_two_people_whom_a_phone_makes_alike_are_two() -> None:
    """Their means have a cosine of 0.77: the network hears the line in all voices."""
    line, one, other = np.linalg.qr(np.stack(people(3)).T)[0].T
    voices = [unit(line * np.float32(0.77**0.5) + voice * np.float32(0.23**0.5)) for voice in (one, other)]
    windows = [window(at, (0, 2.0, near(voices[at % 2], at, 0.84))) for at in range(40)]
    found = in_turn(windows, SpeakerCount())
    assert found == [found[0], found[1]] * 20
    assert found[0] != found[1]


@pytest.mark.parametrize("cosine", [0.3, 0.9])
def test_what_may_be_noise_is_somebodys_only_if_it_sounds_like_them(cosine: float) -> None:
    one, other, noise = people(3)
    windows = [window(at, (0, 2.0, near((one, other)[at % 2], at))) for at in range(10)]
    voice = unit(one * np.float32(cosine) + noise * np.float32((1 - cosine**2) ** 0.5))
    doubtful = [window(at, (0, 2.0, voice)) for at in range(10, 20)]
    doubtful = [
        SpeakerWindow(each.start, each.sets, tuple(replace(piece, is_doubtful=True) for piece in each.pieces))
        for each in doubtful
    ]
    found = in_turn([*windows, *doubtful], SpeakerCount())
    assert set(found[:10]) == {0, 1}
    assert set(found[10:]) == ({found[0]} if cosine > 0.5 else {NOBODY})


def test_of_a_known_number_none_is_a_single_piece_that_sounds_like_nobody() -> None:
    one, other, stray = people(3)
    windows = [window(at, (0, 2.0, near((one, other)[at % 2], at))) for at in range(20)]
    windows.append(window(20, (0, 1.2, stray)))
    found = in_turn(windows, SpeakerCount(least=2, most=2))
    assert found[:20] == [found[0], found[1]] * 10
    assert found[0] != found[1]
