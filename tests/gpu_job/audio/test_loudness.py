"""Levels: how loud each 10 ms is, whatever is slower than speech."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_job.audio.loudness import FRAME, LevelMeter, SecondLoudness, levels, loudest, quietest, runs_below
from gpu_job.audio.samples import Samples
from tests.support.sounds import blocks, noise, silence, tone


def test_digital_silence_has_the_lowest_level() -> None:
    assert levels(silence(1)).tolist() == [-100.0] * 100


@pytest.mark.parametrize("hertz", [1000.0, 3000.0, 7000.0])
def test_a_tone_of_speech_has_its_own_level(hertz: float) -> None:
    assert levels(tone(1, -20.0, hertz)) == pytest.approx(-20.0, abs=0.5)


def test_noise_has_its_own_level() -> None:
    assert np.median(levels(noise(5, -40.0))) == pytest.approx(-40.0, abs=0.5)


def test_hum_loses_most_and_an_offset_all() -> None:
    assert levels(tone(1, -20.0, 50.0)).max() < -33
    assert levels(np.full(16_000, 0.3, np.float32)).max() < -60
    assert levels(noise(5, -50.0) + np.float32(0.5)) == pytest.approx(levels(noise(5, -50.0)), abs=0.5)


def test_a_rest_shorter_than_a_frame_has_no_level() -> None:
    assert len(levels(noise(1, -20.0)[: 2 * FRAME + 7])) == 2


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 40_000), max_size=6))
def test_a_stream_has_the_samples_and_levels_of_the_whole(lengths: list[int]) -> None:
    sound = np.concatenate([noise(2.37, -40), silence(1.111), tone(1.5, -20)])
    measured = list(LevelMeter().of_stream(blocks(sound, lengths)))
    padded = np.pad(sound, (0, -len(sound) % FRAME))
    assert np.array_equal(np.concatenate([each.samples for each in measured]), padded)
    assert np.array_equal(np.concatenate([each.levels for each in measured]), levels(padded))


def note(seconds: float, db: float) -> Samples:
    """Of which the filter against hum leaves all."""
    return tone(seconds, db, 1600.0)


def by_second(sound: Samples) -> SecondLoudness:
    loudness = SecondLoudness()
    for measured in LevelMeter().of_stream(blocks(sound, [5_000, 100_000])):
        loudness.add(measured)
    return loudness


def test_each_second_is_as_loud_as_its_mean_power() -> None:
    half_as_long = np.concatenate([note(0.5, -20), silence(0.5)])
    loudness = by_second(np.concatenate([silence(1), note(2, -20), half_as_long, note(0.3, -30)]))
    assert loudness.decibels.tolist() == [-100, -20, -20, -23, -30]


def test_nothing_is_louder_than_full_scale() -> None:
    assert by_second(np.sign(tone(1, -3, 4_000.0))).decibels.tolist() == [0]


def test_of_several_channels_the_loudest_counts() -> None:
    first, second = np.concatenate([note(1, -40), note(1, -10)]), np.concatenate([silence(1), note(1, -20)])
    assert loudest([by_second(first), by_second(second)]) == (-40, -10)
    assert loudest([by_second(silence(0))]) == ()


def test_runs_are_found_at_both_ends_and_between() -> None:
    level = np.array([-80] * 3 + [-20] * 2 + [-80] + [-20] + [-80] * 2, np.float32)
    assert runs_below(level, -50.0, shortest=0.02) == [(0, 3), (7, 9)]
    assert runs_below(level, -50.0, shortest=0.0) == [(0, 3), (5, 6), (7, 9)]


def test_the_quietest_stretch_is_sought_in_its_range() -> None:
    level = np.full(100, -20, np.float32)
    level[10:14], level[50:54] = -90, -60
    assert quietest(level, 20, 80, 4) == 52
    assert quietest(level, 0, 100, 4) == 12
