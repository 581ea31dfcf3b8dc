"""Whatever loses sound or words between the decoder and the transcript, it is a gap with its times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_job.asr.tokens import Token, words_of
from gpu_job.assembly.completeness import (
    NOT_TRANSCRIBED_REASON,
    WORDS_LOST_REASON,
    RecognizedChunk,
    lost_words,
    untranscribed,
)
from gpu_job.audio.audible import AudibleAudio, SampleRange
from gpu_job.audio.chunker import chunks
from gpu_job.audio.cuts import CutRules
from gpu_job.audio.loudness import LevelMeter
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from gpu_job.audit.evidence import timed_words
from gpu_job.audit.findings import Findings
from shared.transcript.words import Words
from tests.support.sounds import blocks, noise, silence, tone

RULES = CutRules(max_seconds=20.0)


def audible(samples: Samples, lengths: Sequence[int] = ()) -> list[SampleRange]:
    found = AudibleAudio(RULES.audible_db)
    for measured in LevelMeter().of_stream(blocks(samples, lengths)):
        found.add(measured)
    return found.ranges


def second(number: float) -> int:
    return round(number * SAMPLE_RATE)


def test_sound_is_audible_and_silence_is_not() -> None:
    sound = np.concatenate([silence(2), noise(3, -40), silence(4), noise(1, -70), tone(0.5, -20)])
    assert audible(sound) == [(second(2), second(5)), (second(10), second(10.5))]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 50_000), max_size=10))
def test_what_is_audible_does_not_depend_on_blocks(lengths: list[int]) -> None:
    sound = np.concatenate([noise(1.37, -50), silence(1.111), noise(2.5, -20), silence(0.9)])
    assert audible(sound, lengths) == audible(sound)


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(st.sampled_from([-90.0, -60.0, -56.0, -54.0, -40.0, -10.0]), st.floats(0.05, 9)), max_size=14)
)
def test_the_chunker_leaves_out_nothing_audible(parts: list[tuple[float, float]]) -> None:
    sound = np.concatenate([silence(0.5), *(noise(length, db, number) for number, (db, length) in enumerate(parts))])
    cut = [(chunk.start, chunk.end) for chunk in chunks([sound], RULES)]
    assert untranscribed(audible(sound), cut) == []


def test_sound_in_no_chunk_with_a_result_is_a_gap() -> None:
    sound = [(0, second(30)), (second(40), second(45))]
    done = [(0, second(10)), (second(9), second(12)), (second(20), second(30))]
    found = untranscribed(sound, done)
    assert [(gap.start, gap.end, gap.reason) for gap in found] == [
        (12.0, 20.0, NOT_TRANSCRIBED_REASON),
        (40.0, 45.0, NOT_TRANSCRIBED_REASON),
    ]
    assert untranscribed(sound, [(0, second(45))]) == []
    assert untranscribed([], []) == []


def spoken(words: str, start: float, step: float = 0.4) -> list[Token]:
    """Words of one token each that follow one another."""
    return [Token(f" {word}", start + step * at, start + step * (at + 1)) for at, word in enumerate(words.split())]


def chunk(start: float, end: float, tokens: Sequence[Token]) -> RecognizedChunk:
    return RecognizedChunk(second(start), second(end), tokens)


@pytest.mark.parametrize("place", range(8))
def test_a_word_that_no_chunk_shares_must_be_written(place: int) -> None:
    tokens = spoken("one two a four five six a eight", 1.0, step=0.15)
    written = [word for at, word in enumerate(words_of(tokens)) if at != place]
    (gap,) = lost_words([chunk(0, 10, tokens)], Findings(), Words.of(written))
    assert gap.reason == WORDS_LOST_REASON
    assert gap.start == pytest.approx(tokens[place].start)
    assert gap.end == pytest.approx(tokens[place].end)
    assert lost_words([chunk(0, 10, tokens)], Findings(), Words.of(words_of(tokens))) == []


def test_of_two_copies_in_an_overlap_one_is_enough() -> None:
    left, right = spoken("one two three fore", 0.0), spoken("tree four five", 0.9)
    both = [chunk(0, 1.6, left), chunk(0.8, 3, right)]
    assert lost_words(both, Findings(), Words.of(words_of([*left[:2], *right]))) == []
    assert lost_words(both, Findings(), Words.of(words_of([*left, right[2]]))) == []
    (gap,) = lost_words(both, Findings(), Words.of(words_of([*left[:2], right[2]])))
    assert gap.start < 1.2 < 1.5 < gap.end


def test_words_that_the_audit_dropped_are_not_lost() -> None:
    tokens = spoken("one two", 0.0)
    findings = Findings(dropped=timed_words(tokens)[1:])
    assert lost_words([chunk(0, 2, tokens)], findings, Words.of(words_of(tokens)[:1])) == []
