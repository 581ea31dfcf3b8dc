"""Damage: zeros after a decoder's error message, and places where many codec frames were lost."""

from __future__ import annotations

from gpu_job.audio.damage import PACKET_ERROR, DamageDetector, merge_damage
from gpu_job.audio.samples import SAMPLE_RATE
from tests.support.sounds import noise, silence

ERROR = b"[flac] invalid frame header"


def test_damage_is_silence_after_an_error() -> None:
    detector = DamageDetector(1000)
    parts = [noise(1, -20.0), silence(1), noise(0.5, -20.0), silence(0.5), silence(0.5), noise(1, -20.0)]
    for part, stderr in zip(parts, (b"", b"", ERROR, b"", b"", b""), strict=True):
        detector.feed(part[:, None], stderr)
    begin = 1000 + int(2.5 * SAMPLE_RATE)
    assert detector.spans == [(begin, begin + SAMPLE_RATE)]


def test_silence_to_the_end_is_damage_only_where_the_file_goes_on() -> None:
    detector = DamageDetector(0)
    detector.feed(noise(1, -20.0)[:, None], ERROR)
    detector.feed(silence(1)[:, None], b"")
    assert detector.spans == []
    detector.finish()
    assert detector.spans == [(SAMPLE_RATE, 2 * SAMPLE_RATE)]


def test_silence_long_after_an_error_and_short_drops_are_no_damage() -> None:
    detector = DamageDetector(0)
    detector.feed(noise(1, -20.0)[:, None], ERROR)
    for part in (silence(0.02), noise(20, -20.0), silence(1), noise(1, -20.0)):
        detector.feed(part[:, None], b"")
    assert detector.spans == []


def test_damage_seen_from_both_sides_of_a_join_are_one() -> None:
    before, after = DamageDetector(0), DamageDetector(0)
    before.spans += [(50, 60), (10, 20), (30, 31)]
    after.spans += [(15, 30)]
    assert merge_damage([before, after]) == [(10, 31), (50, 60)]
    assert merge_damage([]) == []


def test_many_refused_frames_without_zeros_are_a_point() -> None:
    detector = DamageDetector(0)
    for stderr in (b"", 2 * PACKET_ERROR, 2 * PACKET_ERROR, b""):
        detector.feed(noise(1, -20.0)[:, None], stderr)
    assert merge_damage([detector, detector]) == [(SAMPLE_RATE, SAMPLE_RATE)]


def test_a_few_refused_frames_are_none_and_zeros_are_more_exact() -> None:
    few, zeros = DamageDetector(0), DamageDetector(0)
    few.feed(noise(20, -20.0)[:, None], PACKET_ERROR)
    few.feed(noise(1, -20.0)[:, None], 3 * PACKET_ERROR)
    assert merge_damage([few]) == []
    zeros.feed(noise(1, -20.0)[:, None], 9 * PACKET_ERROR)
    zeros.feed(silence(1)[:, None], b"")
    zeros.feed(noise(1, -20.0)[:, None], b"")
    assert merge_damage([zeros]) == [(SAMPLE_RATE, 2 * SAMPLE_RATE)]
