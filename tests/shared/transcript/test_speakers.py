"""Names and times of speakers, where only words are known."""

from __future__ import annotations

import pytest

from shared.enums import Engine
from shared.transcript.model import Passage, Word
from shared.transcript.speakers import named_speakers, numbered_as_heard, spoken_seconds


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
