"""Which stretches another engine hears: the worst that fit, in whatever order and in however many parts they come."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_job.asr.tokens import Token
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE, Samples, seconds
from gpu_job.transcription.opinions.kept_audio import KeptAudio
from gpu_job.transcription.opinions.worst_audio import SILENCE, Rank, Stretch, WorstAudio
from shared.enums import Engine
from shared.transcript.model import Gap

LIMIT_SECONDS = 4.0


@st.composite
def recordings(draw: st.DrawFn) -> list[Stretch]:
    """Stretches of one recording, in order of time, many as doubtful as each other."""
    lengths = draw(st.lists(st.integers(1, 5 * SAMPLE_RATE), max_size=25))
    channel = st.integers(0, 1)
    return [
        Stretch(
            Rank(draw(st.sampled_from((0.1, 0.2, 0.3))), number * 10 * SAMPLE_RATE, draw(channel)),
            np.zeros(length, np.float32),
        )
        for number, length in enumerate(lengths)
    ]


def fitting(stretches: Sequence[Stretch]) -> list[Rank]:
    """By the definition."""
    limit = int(LIMIT_SECONDS * SAMPLE_RATE)
    possible = sorted((one for one in stretches if one.sent <= limit), key=lambda one: one.rank)
    sums = np.cumsum([one.sent for one in possible])
    return [one.rank for one, total in zip(possible, sums, strict=True) if total <= limit]


@given(recordings(), st.randoms(use_true_random=False), st.integers(1, 5))
def test_the_worst_stretches_are_kept_in_any_order_and_in_any_parts(
    stretches: list[Stretch], rng: random.Random, parts: int
) -> None:
    of_parts = [WorstAudio(LIMIT_SECONDS) for _ in range(parts)]
    for one in rng.sample(stretches, len(stretches)):
        rng.choice(of_parts).add(one)
    whole = WorstAudio(LIMIT_SECONDS)
    for part in rng.sample(of_parts, parts):
        for one in (*part.stretches, *part.stretches[:1]):  # one of them twice
            whole.add(one)
        if part.bound is not None:
            whole.exclude(part.bound)
    assert [one.rank for one in whole.stretches] == fitting(stretches)


def result(channel: int, start: int, samples: Samples, confidences: Sequence[float]) -> tuple[Chunk, ChunkResult]:
    chunk = Chunk(start, samples)
    begin, step = seconds(start), seconds(len(samples)) / max(1, len(confidences))
    tokens = [Token(f" w{at}", begin + at * step, begin + (at + 1) * step, one) for at, one in enumerate(confidences)]
    return chunk, ChunkResult(chunk.start, chunk.end, Engine.PARAKEET_CPU, tuple(tokens), channel=channel)


def kept(chunks: Sequence[tuple[Chunk, ChunkResult]], limit: float = 20.0) -> KeptAudio:
    audio = KeptAudio(limit, limit / 2)
    for chunk, of_chunk in chunks:
        audio.add(chunk, of_chunk)
        begin = seconds(chunk.start)
        audio.unheard(of_chunk.channel, chunk, [Gap(start=begin + 1, end=begin + 3, reason="no words")])
    return audio


def same(one: KeptAudio, other: KeptAudio) -> bool:
    """Audio, ranks and order."""
    pairs = [pair for kinds in zip(one.taken(), other.taken(), strict=True) for pair in zip(*kinds, strict=True)]
    return all(first.rank == second.rank and np.array_equal(first.samples, second.samples) for first, second in pairs)


def test_what_shards_keep_is_stored_to_the_last_bit_and_joined_as_of_the_whole_recording() -> None:
    rng = np.random.default_rng(3)
    chunks = [
        result(
            number % 2,
            number // 2 * 30 * SAMPLE_RATE,
            rng.standard_normal(20 * SAMPLE_RATE).astype(np.float32),
            rng.choice([0.3, 0.5, 0.9, 0.95, 0.99], 40).tolist(),
        )
        for number in range(12)
    ]
    for cut in (0, 1, 5, 12):
        joined = KeptAudio(20.0, 10.0)
        for part in (chunks[:cut], chunks[cut:]):
            joined.join(kept(part).packed())
        whole = kept(chunks)
        assert sum(one.sent for one in kept(chunks).taken()[0]) > 10 * SAMPLE_RATE
        assert same(joined, whole)


def test_what_was_chosen_by_another_limit_or_is_none_is_not_joined() -> None:
    chunk = result(0, 0, np.ones(5 * SAMPLE_RATE, np.float32), [0.3, 0.9])
    packed = kept([chunk]).packed()
    for wrong in (kept([chunk], limit=21.0).packed(), packed[:-30], b"", b"nothing"):
        with pytest.raises(ValueError, match=r"audio|file"):
            KeptAudio(20.0, 10.0).join(wrong)
    assert kept([chunk]).taken()[0][0].sent > SILENCE
