from __future__ import annotations

import pytest

from gpu_job.asr.tokens import Token
from gpu_job.assembly.heard_again import HeardAgain
from gpu_job.assembly.missing_words import with_missing_words
from gpu_job.assembly.second_opinion import with_second_opinions
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.audit.findings import Findings
from shared.enums import Engine
from shared.transcript.model import Gap, Passage, Word


def words(text: str, begin: float, speaker: int | None = None) -> list[Word]:
    """A word each second, half a second long."""
    return [
        Word(text=one, start=begin + at, end=begin + at + 0.5, speaker=speaker) for at, one in enumerate(text.split())
    ]


def heard(text: str, begin: float, end: float, channel: int = 0) -> HeardAgain:
    tokens = tuple(Token(f" {one.text}", one.start, one.end + 0.3, 0.9) for one in words(text, begin))
    first, last = int(begin * SAMPLE_RATE), int(end * SAMPLE_RATE)
    return HeardAgain(channel, first, last, Engine.DEEPGRAM, tokens, missed_by=Engine.PARAKEET_CPU)


def gap(start: float, end: float) -> Gap:
    return Gap(start=start, end=end, reason="Speech here, but no words were recognized.")


BEFORE_AND_AFTER = [Passage(Engine.PARAKEET_CPU, [*words("a b c", 0), *words("x y", 10)])]


def test_words_of_another_engine_stand_in_their_place_and_the_gap_is_closed() -> None:
    answer = heard("d e f g h i j", 3, 10)
    passages, (found,) = with_missing_words(BEFORE_AND_AFTER, [Findings(gaps=[gap(3, 9.8)])], [answer])
    assert " ".join(word.text for passage in passages for word in passage.words) == "a b c d e f g h i j x y"
    assert [passage.engine for passage in passages] == [Engine.PARAKEET_CPU, Engine.DEEPGRAM, Engine.PARAKEET_CPU]
    assert found.gaps == []
    _, (opinion,) = with_second_opinions(passages, [answer], is_split=False)
    assert (opinion.first, opinion.first_confidence, opinion.kept) == (Engine.PARAKEET_CPU, None, Engine.DEEPGRAM)
    assert opinion.second_confidence == pytest.approx(0.9)


def test_what_has_no_words_after_that_stays_a_gap() -> None:
    _, (found,) = with_missing_words(BEFORE_AND_AFTER, [Findings(gaps=[gap(3, 10)])], [heard("d e", 3, 10)])
    (left,) = found.gaps
    assert (left.start, left.end) == (pytest.approx(4.8), 10)


def test_where_nothing_was_heard_everything_stays_as_it_was() -> None:
    silent = heard("", 3, 10)
    passages, (found,) = with_missing_words(BEFORE_AND_AFTER, [Findings(gaps=[gap(3, 10)])], [silent])
    assert (passages, found.gaps) == (BEFORE_AND_AFTER, [gap(3, 10)])
    _, (opinion,) = with_second_opinions(passages, [silent], is_split=False)
    assert (opinion.kept, opinion.agreed) == (Engine.PARAKEET_CPU, True)


def test_a_word_that_the_first_engine_had_is_not_written_twice() -> None:
    again = heard("c d e", 2, 5)
    passages, _ = with_missing_words(BEFORE_AND_AFTER, [Findings(gaps=[gap(3, 5)])], [again])
    assert " ".join(word.text for passage in passages for word in passage.words) == "a b c d e x y"


def test_of_split_channels_each_has_its_own_words_and_gaps() -> None:
    passages = [Passage(Engine.PARAKEET_CPU, [*words("a", 0, speaker=0), *words("x y z", 3, speaker=1)])]
    found = [Findings(gaps=[gap(3, 5)]), Findings(gaps=[gap(8, 9)])]
    edited, left = with_missing_words(passages, found, [heard("b c", 3, 5, channel=0)])
    assert [(word.text, word.speaker) for passage in edited for word in passage.words] == [
        ("a", 0),
        ("x", 1),
        ("b", 0),
        ("y", 1),
        ("c", 0),
        ("z", 1),
    ]
    assert [each.gaps for each in left] == [[], [gap(8, 9)]]
