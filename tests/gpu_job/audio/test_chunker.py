"""Chunks: nothing audible is lost, they end in pauses, and where there is none neighbours overlap."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from functools import cache
from itertools import pairwise, repeat

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gpu_job.audio.chunker import Chunk, Chunker, chunks
from gpu_job.audio.cuts import CutRules
from gpu_job.audio.decode import decode
from gpu_job.audio.loudness import FRAME, LevelMeter, levels
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from infra.recordings import TrueWord, recording
from tests.support.sounds import blocks, noise, silence, tone, tone_of

RULES = CutRules(max_seconds=8.0)
Stretch = tuple[int, float | None]
"""Samples, and their level in dB; None is digital silence."""

BURSTS = st.tuples(st.integers(1, 12 * SAMPLE_RATE), st.floats(RULES.audible_db + 1, -3.0))
SILENCES = st.tuples(st.integers(1, 12 * SAMPLE_RATE), st.none() | st.floats(-95.0, RULES.audible_db - 1))
MIXTURES = st.lists(st.one_of(BURSTS, SILENCES), max_size=12)


def sound(stretches: Sequence[Stretch]) -> Samples:
    parts = [np.zeros(length, np.float32) if db is None else tone_of(length, db) for length, db in stretches]
    return np.concatenate([np.zeros(0, np.float32), *parts])


def cut(samples: Samples, rules: CutRules = RULES) -> list[Chunk]:
    return list(chunks([samples], rules))


def times_covered(found: Sequence[Chunk], length: int) -> np.ndarray:
    """How many chunks each sample lies in."""
    counts = np.zeros(length + FRAME, np.int64)
    for chunk in found:
        counts[chunk.start : chunk.end] += 1
    return counts[:length]


@settings(max_examples=60, deadline=None)
@given(MIXTURES)
@example([(159_839, -34.0), (6376, -3.0), (8663, -54.0), (41_763, -36.0)])  # an overlap shortened by silence
def test_every_audible_frame_is_heard_and_twice_only_around_a_seam(stretches: list[Stretch]) -> None:
    samples = sound(stretches)
    found = cut(samples)
    audible = np.repeat(levels(samples) >= RULES.audible_db, FRAME)
    assert times_covered(found, len(samples))[: len(audible)][audible].all()
    for chunk in found:
        assert 0 < len(chunk.samples) <= RULES.max_seconds * SAMPLE_RATE
        inside = samples[chunk.start : chunk.end]
        assert np.array_equal(chunk.samples[: len(inside)], inside)
        assert not chunk.samples[len(inside) :].any()
    for before, after in pairwise(found):
        shared = (before.end - after.start) / SAMPLE_RATE
        assert shared <= RULES.overlap_seconds + 1.3
        if 0 < shared < RULES.overlap_seconds - 1.3:  # an overlap that began with inaudible silence is left out
            padding = round(RULES.padding_seconds * SAMPLE_RATE)
            assert not audible[after.start : after.start + padding].any()
    assert all(before.end <= after.start for before, after in zip(found, found[2:], strict=False))


@settings(max_examples=30, deadline=None)
@given(MIXTURES, st.lists(st.integers(0, 20 * SAMPLE_RATE), max_size=8))
@example([(1, -3.0), (1, -3.0), (1198, -3.0), (126_801, -5.0)], [480])  # levels that a rounding tells apart
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
    counts = times_covered(found, len(samples))
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
    (chunk,) = cut(noise(1, -6.0)[:length])
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
    assert times_covered(cut(samples), len(samples)).all()


def test_even_noise_is_kept_for_it_may_be_soft_speech() -> None:
    samples = noise(60, -45.0)
    assert times_covered(cut(samples), len(samples)).all()


def test_cuts_fall_in_pauses() -> None:
    phrases = [part for _ in range(60) for part in (tone(0.9, -20.0), silence(0.25))]
    samples = np.concatenate(phrases) + noise(len(phrases) * 0.575 + 1, -70.0)[: int(69 * SAMPLE_RATE)]
    found = cut(samples)
    level = levels(samples)
    assert len(found) > 60 * 1.15 / RULES.max_seconds - 1
    assert all(level[before.end // FRAME - 3 : before.end // FRAME + 3].max() < -60 for before in found[:-1])
    assert all(len(chunk.samples) >= RULES.max_seconds * RULES.min_share * SAMPLE_RATE for chunk in found[:-1])


def test_where_nobody_pauses_both_neighbours_hear_the_surroundings_of_the_quietest_place() -> None:
    samples = tone(30, -20.0)
    valley = slice(int(6.0 * SAMPLE_RATE), int(6.1 * SAMPLE_RATE))
    samples[valley] *= 0.5
    first, second = cut(samples)[:2]
    margin = 0.3 * SAMPLE_RATE
    assert second.start < valley.start - margin
    assert first.end > valley.stop + margin


def test_the_widest_pause_is_taken() -> None:
    samples = noise(40, -20.0)
    for at, width in ((5.0, 0.4), (6.0, 0.8), (7.0, 0.4)):
        samples[int(at * SAMPLE_RATE) : int((at + width) * SAMPLE_RATE)] *= 1e-4
    first, second = cut(samples)[:2]
    assert 6.0 * SAMPLE_RATE < first.end <= second.start < 6.8 * SAMPLE_RATE
    assert 6.8 * SAMPLE_RATE - second.start <= RULES.padding_seconds * SAMPLE_RATE


@cache
def spoken(name: str) -> tuple[Samples, tuple[TrueWord, ...]]:
    found = recording(name)
    return np.concatenate(list(decode(found.path))), found.words


def disturbed(speech: Samples, by: str) -> Samples:
    length = len(speech)
    if by == "offset":
        return speech + np.float32(0.3)
    if by == "hum":
        return speech + sum(tone_of(length, -30.0, hertz) for hertz in (50.0, 100.0, 150.0))
    if by == "music":
        swell = 1 + np.sin(2 * np.pi * 0.7 * np.arange(length) / SAMPLE_RATE)
        chord = sum(tone_of(length, -40.0, hertz) for hertz in (220.0, 277.0, 330.0))
        return speech + np.asarray(chord * swell, np.float32)
    hiss: Samples = noise(length / SAMPLE_RATE + 1, {"hiss": -45.0, "much hiss": -30.0}[by])[:length]
    return speech + hiss


@pytest.mark.parametrize("by", ["offset", "hum", "music", "hiss", "much hiss"])
def test_no_word_is_cut_whatever_else_is_heard(by: str) -> None:
    """Neighbours that share no sound meet between words; those that share some hear every word whole."""
    speech, words = spoken("long_seen")
    found = cut(disturbed(speech[: 240 * SAMPLE_RATE], by), CutRules(max_seconds=15.0))
    assert len(found) > 15
    starts, ends = (np.array([getattr(chunk, side) for chunk in found]) / SAMPLE_RATE for side in ("start", "end"))
    for word in words:
        if word.end < 240:
            # The truth's bounds of words are sharper than ears are.
            assert ((starts <= word.start + 0.05) & (ends >= word.end - 0.05)).any(), word


def test_an_hour_of_silence_takes_no_memory() -> None:
    second = silence(1)
    tracemalloc.start()
    try:
        assert list(chunks(repeat(second, 3600), CutRules())) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000


def test_a_waiting_chunk_keeps_only_its_own_samples_alive() -> None:
    assert all(chunk.samples.base is None for chunk in cut(tone(60, -20.0)))


@pytest.mark.parametrize("longest", [5.0, 8.0, 30.0])
def test_no_place_is_heard_three_times(longest: float) -> None:
    samples = noise(180, -20.0)
    counts = times_covered(cut(samples, CutRules(max_seconds=longest)), len(samples))
    assert (counts.min(), counts.max()) == (1, 2)


@pytest.mark.parametrize("rules", [{"max_seconds": 1.0}, {"min_share": 0.9}])
def test_rules_that_leave_no_place_to_cut_are_refused(rules: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="a chunk must"):
        CutRules(**rules)


@pytest.mark.parametrize("kind", ["speech", "noise"])
def test_cuts_of_a_chunker_that_begins_later_are_soon_the_same(kind: str) -> None:
    """What a shard relies on that begins before its range, by less than PipelineOptions.warm_up_seconds at 30 s."""
    samples = noise(240, -20) if kind == "noise" else np.tile(spoken("call.opus")[0], 13)[: 240 * SAMPLE_RATE]
    whole = {(chunk.start, chunk.end) for chunk in chunks([samples], RULES)}
    for begin in (10, 31, 55):
        chunker = Chunker(RULES, begin * SAMPLE_RATE)
        parts = LevelMeter().of_stream([samples[begin * SAMPLE_RATE :]])
        later = [chunk for part in parts for chunk in chunker.add(part)] + [*chunker.end()]
        warm = [chunk for chunk in later if chunk.start >= (begin + 120) * SAMPLE_RATE]
        assert warm
        assert {(chunk.start, chunk.end) for chunk in warm} <= whole


def test_a_digest_is_of_the_samples_whatever_their_polarity() -> None:
    samples = noise(1, -30)
    samples[:100] = 0
    of = {Chunk(start, each).digest() for start, each in [(0, samples), (99, samples.copy()), (0, -samples)]}
    assert len(of) == 1
    changed = samples.copy()
    changed[-1] = np.nextafter(changed[-1], np.float32(1))
    assert Chunk(0, changed).digest() not in of
    assert Chunk(0, silence(1)).digest() == Chunk(0, -silence(1)).digest() not in of
    assert {Chunk(0, samples).polarity, Chunk(0, -samples).polarity} == {1, -1}
    assert Chunk(0, silence(1)).polarity == Chunk(0, -silence(1)).polarity == Chunk(0, samples[:0]).polarity == 1
