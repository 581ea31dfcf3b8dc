"""The clock: every frame has a place, none is dropped, and what a wrong timestamp may do is bounded."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_job.audio.decoder.clock import BACKWARD_SECONDS, TOLERANCE_SECONDS, Clock, ClockRules, Placed

FRAME = 0.02


def placed(
    clock: Clock[int], starts: list[float | None], *, complaints: frozenset[int] = frozenset()
) -> list[Placed[int]]:
    """What becomes of frames of 20 ms, numbered from 0, with these timestamps."""
    found = []
    for number, start in enumerate(starts):
        found += clock.place(number, start, FRAME, complaint=number in complaints)
    return [*found, *clock.flush()]


def steady(count: int, begin: float = 0.0) -> list[float | None]:
    return [begin + number * FRAME for number in range(count)]


def test_frames_that_follow_each_other_are_appended() -> None:
    clock = Clock[int](ClockRules())
    assert placed(clock, steady(50)) == [Placed(number, None, False) for number in range(50)]
    assert clock.position == pytest.approx(1.0)


def test_a_pause_becomes_silence() -> None:
    clock = Clock[int](ClockRules())
    found = placed(clock, [*steady(5), *steady(5, 900.0)])
    assert [(each.item, each.start) for each in found if each.start is not None] == [(5, 900.0)]
    assert not any(each.is_lost for each in found)
    assert clock.position == pytest.approx(900.1)


def test_where_there_can_be_no_pause_or_something_was_wrong_sound_is_lost() -> None:
    numbered = placed(Clock[int](ClockRules(has_pauses=False)), [*steady(5), *steady(5, 1.0)])
    damaged = placed(Clock[int](ClockRules()), [*steady(5), *steady(5, 1.0)], complaints=frozenset({5}))
    for found in (numbered, damaged):
        assert [each.item for each in found if each.is_lost] == [5]
        assert found[5].start == 1.0


def test_a_clock_that_begins_again_goes_on_where_the_output_stands() -> None:
    clock = Clock[int](ClockRules())
    found = placed(clock, [*steady(100), *steady(100)])
    assert all(each.start is None and not each.is_lost for each in found)
    assert clock.position == pytest.approx(4.0)
    # Its pauses count from there.
    assert clock.place(200, 3.0, FRAME, complaint=False) == []
    assert [each.start for each in clock.flush()] == pytest.approx([5.0])


def test_small_steps_back_are_made_up_for_by_the_next_pause() -> None:
    clock = Clock[int](ClockRules())
    found = placed(clock, [*steady(50), *steady(50, 0.5), *steady(10, 3.0)])
    assert found[100].start == 3.0
    assert clock.position == pytest.approx(3.2)


def test_one_wrong_timestamp_moves_nothing() -> None:
    for wrong in (500.0, -500.0):
        clock = Clock[int](ClockRules())
        found = placed(clock, [*steady(100), wrong, *steady(99, 101 * FRAME)])
        assert [each.item for each in found] == list(range(200))
        assert all(each.start is None for each in found)
        assert clock.position == pytest.approx(4.0)


def test_long_jumps_of_a_programme_clock_are_no_pauses() -> None:
    clock = Clock[int](ClockRules(discontinuity_seconds=10.0))
    found = placed(clock, [*steady(50), *steady(50, 36_000.0), *steady(50, 36_006.0)])
    assert {each.item: each.start for each in found if each.start is not None} == pytest.approx({100: 7.0})


def test_a_pause_beyond_any_length_is_none() -> None:
    clock = Clock[int](ClockRules(longest_seconds=3600.0))
    placed(clock, [*steady(50), *steady(50, 1e9)])
    assert clock.position == pytest.approx(2.0)


def test_late_starts_are_silence_and_unrelated_clocks_are_not() -> None:
    assert Clock[int](ClockRules()).place(0, 5000.0, FRAME, complaint=False)[0].start == 5000.0
    programme = ClockRules(discontinuity_seconds=10.0)
    assert Clock[int](programme).place(0, 15.0, FRAME, complaint=False)[0].start == 15.0
    assert Clock[int](programme).place(0, 36_000.0, FRAME, complaint=False)[0].start is None


def test_frames_without_timestamps_follow_each_other() -> None:
    clock = Clock[int](ClockRules())
    found = placed(clock, [0.0, None, None, 0.06, 9.0, None])
    assert [each.start for each in found] == [None, None, None, None, 9.0, None]


def test_another_recording_begins_where_the_one_before_ended() -> None:
    clock = Clock[int](ClockRules())
    placed(clock, steady(50, 0.0))
    clock.begin_recording(1.0)
    found = placed(clock, [*steady(50), *steady(5, 2.0)])
    assert found[50].start == pytest.approx(3.0)


TIMES = st.lists(st.none() | st.floats(-1e6, 1e6), max_size=60)
RULES = st.builds(
    ClockRules,
    has_pauses=st.booleans(),
    discontinuity_seconds=st.sampled_from([10.0, math.inf]),
    longest_seconds=st.sampled_from([100.0, math.inf]),
)


@given(TIMES, RULES)
def test_whatever_the_timestamps_every_frame_is_placed_once_in_order_and_later_than_the_one_before(
    starts: list[float | None], rules: ClockRules
) -> None:
    found = placed(Clock[int](rules), starts)
    assert [each.item for each in found] == list(range(len(starts)))
    position = 0.0
    for number, each in enumerate(found):
        if each.start is not None:
            jump = each.start - position
            assert jump >= TOLERANCE_SECONDS - 1e-6 or number == 0
            assert each.start <= rules.longest_seconds
            position = each.start
        position += FRAME


@given(st.lists(st.floats(0.1, 100.0), max_size=10))
def test_the_clock_of_the_file_is_kept_over_any_pauses(pauses: list[float]) -> None:
    clock, at, starts = Clock[int](ClockRules()), 0.0, []
    for pause in pauses:
        starts += steady(5, at)
        at += 5 * FRAME + pause
    placed(clock, [*starts, *steady(2, at)])
    assert clock.position == pytest.approx(at + 2 * FRAME, abs=len(pauses) * 1e-6 + TOLERANCE_SECONDS)
    assert BACKWARD_SECONDS > TOLERANCE_SECONDS


@given(
    st.lists(st.one_of(st.none(), st.floats(-3, 3), st.integers(0, 40).map(lambda number: number * FRAME)), max_size=40)
)
def test_a_frame_that_follows_has_the_place_that_it_would_be_given(starts: list[float | None]) -> None:
    expected, clock = placed(Clock[int](ClockRules()), starts), Clock[int](ClockRules())
    found: list[Placed[int]] = []
    for number, start in enumerate(starts):
        if start is not None and clock.follows(start, FRAME):
            found.append(Placed(number, None, False))
        else:
            found += clock.place(number, start, FRAME, complaint=False)
    assert [*found, *clock.flush()] == expected
