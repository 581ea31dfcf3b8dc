"""Holes: silence that a decoder complained of before, and places where many codec frames were lost."""

from __future__ import annotations

from gpu_job.audio.damage import REFUSED, HoleFinder, united
from gpu_job.audio.samples import SAMPLE_RATE
from tests.support.sounds import noise, silence

COMPLAINT = b"[flac] invalid frame header"


def test_a_hole_is_silence_after_a_complaint() -> None:
    finder = HoleFinder(1000)
    parts = [noise(1, -20.0), silence(1), noise(0.5, -20.0), silence(0.5), silence(0.5), noise(1, -20.0)]
    for part, said in zip(parts, (b"", b"", COMPLAINT, b"", b"", b""), strict=True):
        finder.feed(part[:, None], said)
    begin = 1000 + int(2.5 * SAMPLE_RATE)
    assert finder.holes == [(begin, begin + SAMPLE_RATE)]


def test_silence_to_the_end_is_a_hole_only_where_the_file_goes_on() -> None:
    finder = HoleFinder(0)
    finder.feed(noise(1, -20.0)[:, None], COMPLAINT)
    finder.feed(silence(1)[:, None], b"")
    assert finder.holes == []
    finder.finish()
    assert finder.holes == [(SAMPLE_RATE, 2 * SAMPLE_RATE)]


def test_silence_long_after_a_complaint_and_short_drops_are_no_holes() -> None:
    finder = HoleFinder(0)
    finder.feed(noise(1, -20.0)[:, None], COMPLAINT)
    for part in (silence(0.02), noise(20, -20.0), silence(1), noise(1, -20.0)):
        finder.feed(part[:, None], b"")
    assert finder.holes == []


def test_holes_seen_from_both_sides_of_a_join_are_one() -> None:
    before, after = HoleFinder(0), HoleFinder(0)
    before.holes += [(50, 60), (10, 20), (30, 31)]
    after.holes += [(15, 30)]
    assert united([before, after]) == [(10, 31), (50, 60)]
    assert united([]) == []


def test_many_refused_frames_without_zeros_are_a_point() -> None:
    finder = HoleFinder(0)
    for said in (b"", 2 * REFUSED, 2 * REFUSED, b""):
        finder.feed(noise(1, -20.0)[:, None], said)
    assert united([finder, finder]) == [(SAMPLE_RATE, SAMPLE_RATE)]


def test_a_few_refused_frames_are_none_and_zeros_tell_better() -> None:
    few, zeros = HoleFinder(0), HoleFinder(0)
    few.feed(noise(20, -20.0)[:, None], REFUSED)
    few.feed(noise(1, -20.0)[:, None], 3 * REFUSED)
    assert united([few]) == []
    zeros.feed(noise(1, -20.0)[:, None], 9 * REFUSED)
    zeros.feed(silence(1)[:, None], b"")
    zeros.feed(noise(1, -20.0)[:, None], b"")
    assert united([zeros]) == [(SAMPLE_RATE, 2 * SAMPLE_RATE)]
