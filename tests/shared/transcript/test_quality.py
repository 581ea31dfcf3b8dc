"""A transcript whose words its engine was not sure of says so: nonsense reads fluently."""

from __future__ import annotations

from typing import Any

import pytest

from shared.enums import Engine
from shared.transcript.compose import compose
from shared.transcript.model import Coverage, Gap, Passage, Transcript, WarningCode, Word
from shared.transcript.quality import LOW_CONFIDENCE, MIN_WORDS, confidence_warnings, with_coverage_warning

SEEN_ON_OTHER_SPEECH = [0.55, 0.72, 0.74, 0.8, 0.85, 0.88, 0.9, 0.95, 0.98, 0.99] * 4
"""As the tiny model's on people's recordings: mean 0.84, tenth percentile 0.72."""
SEEN_ON_ITS_OWN = [0.967, 0.98, 0.99, 0.992, 0.995, 0.996, 0.997, 0.998, 0.999, 0.999] * 4


def words(confidences: list[float | None]) -> list[Word]:
    return [
        Word(text=f"w{place}", start=place, end=place + 0.5, confidence=confidence)
        for place, confidence in enumerate(confidences)
    ]


def transcript(confidences: list[float | None], **options: Any) -> Transcript:
    passages = [Passage(Engine.PARAKEET_CPU, words(confidences))]
    return compose(job_id="j", source="s", duration=100, language="en", model="m", passages=passages, **options)


def test_words_that_the_engine_was_not_sure_of_are_a_warning() -> None:
    [warning] = transcript([*SEEN_ON_OTHER_SPEECH]).warnings
    assert warning.code is WarningCode.LOW_CONFIDENCE
    assert warning.message.startswith("The words' mean confidence is 0.84, below 0.9:")


def test_words_that_it_was_sure_of_are_none() -> None:
    assert transcript([*SEEN_ON_ITS_OWN]).warnings == ()


def test_the_limit_can_be_moved_and_switched_off() -> None:
    assert transcript([*SEEN_ON_ITS_OWN], low_confidence=0.999).warnings != ()
    assert transcript([*SEEN_ON_OTHER_SPEECH], low_confidence=0.0).warnings == ()


@pytest.mark.parametrize(
    ("confidences", "count"),
    [
        ([0.5] * MIN_WORDS, 1),
        ([0.5] * (MIN_WORDS - 1), 0),
        ([0.5] * (MIN_WORDS - 1) + [None] * 50, 0),
        ([LOW_CONFIDENCE] * MIN_WORDS, 0),
        ([0.0] * MIN_WORDS, 1),
        ([None] * MIN_WORDS, 0),
        ([], 0),
    ],
)
def test_too_few_words_with_a_confidence_say_nothing(confidences: list[float | None], count: int) -> None:
    assert len(confidence_warnings(confidences, LOW_CONFIDENCE)) == count


@pytest.mark.parametrize(
    ("text", "least", "expected"),
    [
        ("one two", 0.9, []),
        ("one two", None, []),
        ("", 0.1, [WarningCode.COVERAGE_BELOW_MINIMUM]),  # nobody looked whether anything is said
        ("", None, []),
    ],
)
def test_a_transcript_that_nobody_audited_and_that_has_no_words_covers_nothing(
    text: str, least: float | None, expected: list[WarningCode]
) -> None:
    said = [Passage(Engine.DEEPGRAM, [Word(text=one, start=0, end=1) for one in text.split()])]
    made = compose(job_id="j", source="s", duration=100, language="en", model="m", passages=said)
    assert [warning.code for warning in with_coverage_warning(made, least).warnings] == expected


def test_too_few_words_are_a_warning_with_both_shares() -> None:
    coverage = Coverage(speech_seconds=100, covered_seconds=97.96, gaps=(Gap(start=1, end=3.04, reason="None."),))
    made = transcript([0.99] * 5, coverage=coverage)
    assert not with_coverage_warning(made, 0.9796).warnings
    (warning,) = with_coverage_warning(made, 0.98).warnings
    assert warning.message.startswith("97.96 % of what is said has words, less than the 98 % that were asked for")
