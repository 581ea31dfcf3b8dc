"""Names and times of speakers, where only words are known."""

from __future__ import annotations

import pytest

from shared.enums import Engine
from shared.transcript.compose import compose
from shared.transcript.model import Passage, Transcript, WarningCode, Word
from shared.transcript.speakers import named_speakers, numbered_as_heard, spoken_seconds, with_speaker_warning


def passage(*speakers: int | None) -> Passage:
    words = [Word(text="yes", start=at, end=at + 0.5, speaker=speaker) for at, speaker in enumerate(speakers)]
    return Passage(Engine.DEEPGRAM, words)


@pytest.mark.parametrize(
    ("speakers", "numbered"),
    [((2, None, 0, 2), [0, None, 1, 0]), ((0, 1), [0, 1]), ((), []), ((None,), [None])],
)
def test_who_is_heard_first_has_the_first_number_whatever_the_engine_calls_them(
    speakers: tuple[int | None, ...], numbered: list[int | None]
) -> None:
    assert [word.speaker for word in numbered_as_heard(passage(*speakers)).words] == numbered


def test_names_are_given_in_the_order_in_which_speakers_are_heard() -> None:
    heard = numbered_as_heard(passage(3, 3, 0))
    speakers = named_speakers(spoken_seconds([heard]), ["Ann"])
    assert [(one.number, one.name, one.seconds) for one in speakers] == [(0, "Ann", 1.0), (1, "Speaker 1", 0.5)]


def transcript(*speakers: int | None) -> Transcript:
    heard = passage(*speakers)
    return compose(
        job_id="job",
        source="file:///a.wav",
        duration=len(speakers) + 1.0,
        language="en",
        model="model",
        passages=[heard],
        speakers=named_speakers(spoken_seconds([heard]), ()),
    )


@pytest.mark.parametrize(
    ("speakers", "least", "message"),
    [
        ((None, None), 1, "the words have no speakers"),
        ((0, 0, 0), 2, "only one speaker was told apart"),
        ((0, 1, 1), 3, "only 2 speakers were told apart"),
        ((0, 1, None), 1, "Of 33% of the words"),
    ],
)
def test_a_transcript_warns_where_speakers_were_asked_and_not_found_out(
    speakers: tuple[int | None, ...], least: int, message: str
) -> None:
    (warning,) = with_speaker_warning(transcript(*speakers), least).warnings
    assert warning.code is WarningCode.UNKNOWN_SPEAKERS
    assert message in warning.message


@pytest.mark.parametrize(
    ("speakers", "least"), [((None, None), None), ((), 2), ((0, 0), 1), ((0, 1), 2), ((0, 1, 0, 1, 0, None), 1)]
)
def test_a_transcript_warns_of_no_speakers_where_none_are_missed(
    speakers: tuple[int | None, ...], least: int | None
) -> None:
    assert with_speaker_warning(transcript(*speakers), least).warnings == ()
