"""Ranges: chunks as one recording, and every word heard in it back in its chunk, once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_job.asr.tokens import Token
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE, seconds
from gpu_job.engines.ranges import pieces_of, recording_of, returned

TINY = 1e-6


def chunks_of(spans: Sequence[tuple[int, int]]) -> list[Chunk]:
    """Chunks from these samples to those; every sample's value is its place."""
    return [Chunk(start, np.arange(start, end, dtype=np.float32)) for start, end in spans]


@st.composite
def ranges(draw: st.DrawFn) -> list[Chunk]:
    """Chunks in time order, apart, adjoining or overlapping; some may lie within others."""
    start = 0
    spans: list[tuple[int, int]] = []
    for _ in range(draw(st.integers(1, 6))):
        start = max(0, start + draw(st.integers(-400, 2000)))
        length = draw(st.integers(1, 1500))
        start = max(start, spans[-1][0]) if spans else start
        spans.append((start, start + length))
        start += length
    return chunks_of(spans)


@st.composite
def recognized_chunks(draw: st.DrawFn) -> tuple[list[Chunk], list[Token]]:
    """A range and words in time order that lie, mostly, in its recording."""
    chunks = draw(ranges())
    length = seconds(len(recording_of(pieces_of(chunks))))
    times = sorted(draw(st.lists(st.floats(0, length * 1.1 + TINY), max_size=12)))
    return chunks, [Token(f" {place}", at, at + draw(st.floats(0, 0.05))) for place, at in enumerate(times)]


@given(ranges())
def test_the_recording_is_every_sample_of_the_chunks_once_in_order(chunks: list[Chunk]) -> None:
    recording = recording_of(pieces_of(chunks))
    inside = {int(sample) for chunk in chunks for sample in chunk.samples}
    assert recording.tolist() == sorted(inside)


@given(recognized_chunks())
def test_no_word_is_lost_doubled_or_outside_its_chunk(case: tuple[list[Chunk], list[Token]]) -> None:
    chunks, tokens = case
    answers = returned(tokens, pieces_of(chunks))
    assert [token.text for answer in answers for token in answer] == [token.text for token in tokens]
    for chunk, answer in zip(chunks, answers, strict=True):
        length = seconds(len(chunk.samples))
        assert all(0 <= token.start <= token.end <= length for token in answer)


@given(ranges(), st.data())
def test_a_word_comes_back_at_its_time_in_the_upload(chunks: list[Chunk], data: st.DataObject) -> None:
    pieces = pieces_of(chunks)
    recording = recording_of(pieces)
    place = data.draw(st.integers(0, len(recording) - 1))
    token = Token(" word", seconds(place), seconds(place) + TINY)
    ((chunk, (back,)),) = [
        (chunk, answer) for chunk, answer in zip(chunks, returned([token], pieces), strict=True) if answer
    ]
    assert seconds(chunk.start) + back.start == pytest.approx(seconds(int(recording[place])), abs=2 * TINY)


def test_a_word_across_two_chunks_belongs_where_most_of_it_is() -> None:
    pieces = pieces_of(chunks_of([(0, SAMPLE_RATE), (3 * SAMPLE_RATE, 4 * SAMPLE_RATE)]))
    early, late = Token(" early", 0.5, 1.1), Token(" late", 0.95, 1.4)
    first, second = returned([early, late], pieces)
    assert first == [Token(" early", 0.5, 1.0)]
    assert [(token.text, token.start) for token in second] == [(" late", 0.0)]
