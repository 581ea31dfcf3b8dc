"""Levels: how loud each 10 ms is, whatever is slower than speech."""

from __future__ import annotations

import numpy as np
import pytest

from gpu_job.audio.loudness import FRAME, levels, quietest, runs_below
from tests.support.sounds import noise, silence, tone


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


def test_runs_are_found_at_both_ends_and_between() -> None:
    level = np.array([-80] * 3 + [-20] * 2 + [-80] + [-20] + [-80] * 2, np.float32)
    assert runs_below(level, -50.0, shortest=0.02) == [(0, 3), (7, 9)]
    assert runs_below(level, -50.0, shortest=0.0) == [(0, 3), (5, 6), (7, 9)]


def test_the_quietest_stretch_is_sought_in_its_range() -> None:
    level = np.full(100, -20, np.float32)
    level[10:14], level[50:54] = -90, -60
    assert quietest(level, 20, 80, 4) == 52
    assert quietest(level, 0, 100, 4) == 12
