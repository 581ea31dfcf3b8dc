"""Cuts: nothing audible is lost, nothing is heard twice, and chunks end in pauses."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from itertools import pairwise, repeat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_job.audio import SAMPLE_RATE, Samples
from gpu_job.chunking import Chunk, Cutting, chunks
from gpu_job.levels import FRAME, levels
from tests.gpu_job.sounds import blocks, noise, silence, tone, tone_of

RULES = Cutting(max_seconds=8.0)
Stretch = tuple[int, float | None]
"""Samples, and their level in dB; None is digital silence."""

BURSTS = st.tuples(st.integers(1, 12 * SAMPLE_RATE), st.floats(RULES.audible_db + 1, -3.0))
SILENCES = st.tuples(st.integers(1, 12 * SAMPLE_RATE), st.none() | st.floats(-95.0, RULES.audible_db - 1))
MIXTURES = st.lists(st.one_of(BURSTS, SILENCES), max_size=12)


def sound(stretches: Sequence[Stretch]) -> Samples:
    parts = [np.zeros(length, np.float32) if db is None else tone_of(length, db) for length, db in stretches]
    return np.concatenate([np.zeros(0, np.float32), *parts])


def cut(samples: Samples, rules: Cutting = RULES) -> list[Chunk]:
    return list(chunks([samples], rules))


def heard(found: Sequence[Chunk], length: int) -> np.ndarray:
    """How many chunks each sample lies in."""
    counts = np.zeros(length + FRAME, np.int64)
    for chunk in found:
        counts[chunk.start : chunk.end] += 1
    return counts[:length]


@settings(max_examples=150, deadline=None)
@given(MIXTURES)
def test_every_audible_frame_is_in_exactly_one_chunk(stretches: list[Stretch]) -> None:
    samples = sound(stretches)
    found = cut(samples)
    counts = heard(found, len(samples))
    assert counts.max(initial=0) <= 1
    audible = np.repeat(levels(samples) >= RULES.audible_db, FRAME)
    assert counts[: len(audible)][audible].all()
    for chunk in found:
        assert 0 < len(chunk.samples) <= RULES.max_seconds * SAMPLE_RATE
        inside = samples[chunk.start : chunk.end]
        assert np.array_equal(chunk.samples[: len(inside)], inside)
        assert not chunk.samples[len(inside) :].any()
    assert all(before.end <= after.start for before, after in pairwise(found))


@settings(max_examples=30, deadline=None)
@given(MIXTURES, st.lists(st.integers(0, 20 * SAMPLE_RATE), max_size=8))
def test_how_the_stream_is_split_changes_nothing(stretches: list[Stretch], lengths: list[int]) -> None:
    samples = sound(stretches)
    whole = [(chunk.start, chunk.end) for chunk in cut(samples)]
    assert [(chunk.start, chunk.end) for chunk in chunks(blocks(samples, lengths), RULES)] == whole


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0.3, 3.0), st.floats(0.15, 6.0)), min_size=1, max_size=15), st.integers(0, 99))
def test_only_long_pauses_are_left_out(phrases: list[tuple[float, float]], seed: int) -> None:
    parts = [part for speech, pause in phrases for part in (tone(speech, -20.0), silence(pause))]
    samples = np.concatenate(parts)
    samples = samples + noise(len(samples) / SAMPLE_RATE + 1, -70.0, seed)[: len(samples)]
    found = cut(samples)
    for before, after in pairwise(found):
        assert after.start == before.end or not (levels(samples[before.end : after.start]) > -60).any()
    # Nothing within the padding of a burst is left out, so that soft onsets and fading ends are heard.
    counts = heard(found, len(samples))
    at, margin = 0, int(RULES.padding_seconds * SAMPLE_RATE) - FRAME
    for speech, pause in phrases:
        end = at + int(speech * SAMPLE_RATE)
        assert counts[max(0, at - margin) : end].all()
        at = end + int(pause * SAMPLE_RATE)


@pytest.mark.parametrize(
    "samples", [np.zeros(0, np.float32), silence(100), noise(0.2, -120.0), noise(100, -130.0)], ids=len
)
def test_nothing_makes_no_chunks(samples: Samples) -> None:
    assert cut(samples) == []


@pytest.mark.parametrize("length", [1, FRAME - 1, FRAME, FRAME + 1])
def test_a_sound_shorter_than_a_frame_is_heard(length: int) -> None:
    (chunk,) = cut(np.full(length, 0.5, np.float32))
    assert chunk.start == 0
    assert np.count_nonzero(chunk.samples) == length


def test_one_word_in_a_long_silence_is_found() -> None:
    """So short that it does not count in any share of the window."""
    samples = np.concatenate([silence(100), tone(0.4, -20.0), silence(100)])
    (chunk,) = cut(samples)
    assert chunk.start <= 100 * SAMPLE_RATE < 100.4 * SAMPLE_RATE <= chunk.end
    assert len(chunk.samples) <= 1.1 * SAMPLE_RATE


def test_soft_speech_without_pauses_beside_loud_speech_is_kept() -> None:
    samples = np.tile(np.concatenate([tone(5, -15.0), tone(4, -45.0)]), 6)
    assert heard(cut(samples), len(samples)).all()


def test_even_noise_is_kept_for_it_may_be_soft_speech() -> None:
    samples = noise(60, -45.0)
    assert heard(cut(samples), len(samples)).all()


def test_cuts_fall_in_pauses() -> None:
    phrases = [part for _ in range(60) for part in (tone(0.9, -20.0), silence(0.25))]
    samples = np.concatenate(phrases) + noise(len(phrases) * 0.575 + 1, -70.0)[: int(69 * SAMPLE_RATE)]
    found = cut(samples)
    level = levels(samples)
    assert len(found) > 60 * 1.15 / RULES.max_seconds - 1
    assert all(level[before.end // FRAME - 3 : before.end // FRAME + 3].max() < -60 for before in found[:-1])
    assert all(len(chunk.samples) >= RULES.max_seconds * RULES.min_share * SAMPLE_RATE for chunk in found[:-1])


def test_speech_without_pauses_is_cut_at_its_quietest_place() -> None:
    samples = tone(30, -20.0)
    valley = slice(int(6.0 * SAMPLE_RATE), int(6.1 * SAMPLE_RATE))
    samples[valley] *= 0.5
    first = cut(samples)[0]
    assert valley.start <= first.end <= valley.stop


def test_the_widest_pause_is_taken() -> None:
    samples = noise(40, -20.0)
    for at, width in ((5.0, 0.4), (6.0, 0.8), (7.0, 0.4)):
        samples[int(at * SAMPLE_RATE) : int((at + width) * SAMPLE_RATE)] *= 1e-4
    assert cut(samples)[0].end == pytest.approx(6.4 * SAMPLE_RATE, abs=2 * FRAME)


def test_a_day_of_silence_takes_no_memory() -> None:
    second = silence(1)
    tracemalloc.start()
    try:
        assert list(chunks(repeat(second, 24 * 3600), Cutting())) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000


def test_a_waiting_chunk_keeps_only_its_own_samples_alive() -> None:
    assert all(chunk.samples.base is None for chunk in cut(tone(60, -20.0)))


def test_digital_silence_has_the_lowest_level() -> None:
    assert levels(silence(1)).tolist() == [-100.0] * 100
    assert pauses(levels(silence(1)), RULES) == [(0, 100)]
