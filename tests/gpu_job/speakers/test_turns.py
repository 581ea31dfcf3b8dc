"""Turns, from windows that say who speaks in which frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from gpu_job.speakers.clusters import NOBODY, Speakers
from gpu_job.speakers.networks import FRAME_SECONDS, FRAMES, LOCAL_SPEAKERS, SETS
from gpu_job.speakers.turns import Block, Turn, drowned_frames, turns_of
from gpu_job.speakers.windows import STEP, SpeakerWindow

Truth = list[tuple[float, float, int]]
"""Start and end in seconds, and who speaks."""


def windows_of(truth: Truth, seconds: float) -> tuple[list[SpeakerWindow], list[Speakers]]:
    """What a perfect network says, each window's people in an order of its own."""
    windows, speakers = [], []
    for number, start in enumerate(range(0, max(1, int(seconds * 16000) - STEP), STEP)):
        times = start / 16000 + 0.03 + FRAME_SECONDS * np.arange(FRAMES)
        order = sorted({who for _, _, who in truth}, reverse=number % 2 == 1)[:LOCAL_SPEAKERS]
        active = np.zeros((FRAMES, LOCAL_SPEAKERS), bool)
        for begin, end, who in truth:
            active[(times >= begin) & (times < end), order.index(who)] = True
        windows.append(SpeakerWindow(start, _places(active), ()))
        people = np.array([*order, *[NOBODY] * (LOCAL_SPEAKERS - len(order))], np.int16)
        speakers.append(np.tile(people, (FRAMES, 1)))
    return windows, speakers


def _places(active: NDArray[np.bool_]) -> NDArray[np.uint8]:
    same = (active[:, np.newaxis, :] == SETS[np.newaxis]).all(axis=2)
    return np.asarray(same.argmax(axis=1), np.uint8)


def turns(truth: Truth, seconds: float) -> list[Turn]:
    return turns_of(*windows_of(truth, seconds), seconds)


def test_turns_are_where_they_are_within_a_frame_or_two() -> None:
    truth = [(0.5, 4.0, 0), (4.2, 11.0, 1), (12.0, 21.5, 0)]
    found = turns(truth, 25)
    assert [turn.speaker for turn in found] == [0, 1, 0]
    for turn, (start, end, _) in zip(found, truth, strict=True):
        assert (turn.start, turn.end) == pytest.approx((start, end), abs=0.04)


def test_two_who_speak_at_once_have_both_their_turns() -> None:
    found = turns([(1.0, 8.0, 0), (6.0, 14.0, 1)], 20)
    assert [(round(turn.start), round(turn.end), turn.speaker) for turn in found] == [(1, 8, 0), (6, 14, 1)]


def test_speakers_are_numbered_by_who_is_heard_first() -> None:
    assert [turn.speaker for turn in turns([(1.0, 5.0, 2), (6.0, 9.0, 0), (9.5, 14.0, 2)], 20)] == [0, 1, 0]


def test_a_breath_ends_no_turn_and_a_click_is_none() -> None:
    found = turns([(1.0, 3.0, 0), (3.2, 6.0, 0), (8.0, 8.1, 0)], 15)
    assert [(round(turn.start), round(turn.end)) for turn in found] == [(1, 6)]


def test_no_turn_ends_behind_the_recording() -> None:
    assert turns([(9.0, 30.0, 0)], 12.5)[0].end == 12.5


def test_a_turn_over_many_minutes_is_one() -> None:
    """Frames are decided in blocks of 5.6 minutes."""
    found = turns([(2.0, 700.0, 0), (701.0, 720.0, 1)], 725)
    assert [(round(turn.start), round(turn.end), turn.speaker) for turn in found] == [(2, 700, 0), (701, 720, 1)]


def test_who_is_not_known_has_no_turn() -> None:
    windows, speakers = windows_of([(1.0, 5.0, 0)], 10)
    assert turns_of(windows, [np.full_like(each, NOBODY) for each in speakers], 10) == []
    assert turns_of([], [], 0) == []


FIRST, SECOND, BOTH, PAUSE = (1, 0), (0, 1), (1, 1), (0, 0)


def drowned(*stretches: tuple[tuple[int, int], float], alone: tuple[float, float] = (0, 0)) -> list[list[int]]:
    """Stretches of 50 frames: who of two speaks, and how loud it is (power) -> who is drowned in each."""
    active = np.repeat(np.array([who for who, _ in stretches], bool), 50, axis=0)
    powers = np.repeat(np.array([power for _, power in stretches], np.float32), 50)
    likely = np.tile(np.array(alone, np.float32), (len(active), 1))
    found = drowned_frames(Block(0, active, powers, likely))
    assert all((found[at : at + 50] == found[at]).all() for at in range(0, len(found), 50))
    return [np.nonzero(found[at])[0].tolist() for at in range(0, len(found), 50)]


def test_the_softer_of_two_at_once_is_known_by_how_loud_they_are_alone() -> None:
    assert drowned((FIRST, 2.0), (BOTH, 3.0), (SECOND, 1.0)) == [[], [1], []]
    assert drowned((FIRST, 1.0), (BOTH, 3.0), (SECOND, 2.0)) == [[], [0], []]


def test_who_speaks_only_while_another_does_has_what_is_louder_then() -> None:
    assert drowned((FIRST, 1.0), (BOTH, 4.0), (FIRST, 1.0)) == [[], [0], []]
    assert drowned((FIRST, 1.0), (BOTH, 1.2), (FIRST, 1.0)) == [[], [1], []]


def test_of_two_as_loud_the_one_who_is_likelier_alone_is_louder() -> None:
    as_loud = ((FIRST, 1.0), (BOTH, 2.0), (SECOND, 1.0))
    assert drowned(*as_loud, alone=(-1, -4)) == [[], [1], []]
    assert drowned(*as_loud, alone=(-4, -1)) == [[], [0], []]
    assert drowned(*as_loud) == [[], [], []]


def test_of_two_who_are_never_alone_nobody_is_louder() -> None:
    assert drowned((PAUSE, 0.0), (BOTH, 2.0), (PAUSE, 0.0)) == [[], [], []]


def test_a_turn_says_where_it_is_drowned() -> None:
    windows, speakers = windows_of([(1.0, 8.0, 0), (6.0, 14.0, 1)], 20)
    loud = [replace(window, levels=np.where(_seconds(window) < 8, -20, -30).astype(np.int8)) for window in windows]
    first, second = turns_of(loud, speakers, 20)
    assert first.drowned == ()
    ((start, end),) = second.drowned
    assert (start, end) == pytest.approx((6, 8), abs=0.05)


def _seconds(window: SpeakerWindow) -> NDArray[np.floating]:
    return window.start / 16000 + 0.03 + FRAME_SECONDS * np.arange(FRAMES)
