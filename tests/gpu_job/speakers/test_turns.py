"""Turns, from windows that say who speaks in which frame."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gpu_job.speakers.clusters import NOBODY, Speakers
from gpu_job.speakers.networks import FRAME_SECONDS, FRAMES, LOCAL_SPEAKERS, SETS
from gpu_job.speakers.turns import Turn, turns_of
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
        people = np.array([*order, *[NOBODY] * (LOCAL_SPEAKERS - len(order))], np.int8)
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
