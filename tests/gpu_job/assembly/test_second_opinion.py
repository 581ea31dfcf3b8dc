from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from gpu_job.asr.tokens import Token
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.assembly.heard_again import HeardAgain
from gpu_job.assembly.second_opinion import with_second_opinions
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.transcription.opinions.doubts import doubts_of
from shared.enums import Engine
from shared.transcript.model import Passage, Word


def tokens(text: str, *doubtful: str, sure: float = 0.95, begin: float = 0.0) -> tuple[Token, ...]:
    """A word each second, half a second long; of some an engine is not sure."""
    return tuple(
        Token(f" {word}", begin + at, begin + at + 0.5, 0.4 if word in doubtful else sure)
        for at, word in enumerate(text.split())
    )


def words(text: str, *doubtful: str, speaker: int | None = None) -> list[Word]:
    return [
        Word(text=one.text.strip(), start=one.start, end=one.end, confidence=one.confidence, speaker=speaker)
        for one in tokens(text, *doubtful)
    ]


def result(text: str, *doubtful: str) -> ChunkResult:
    return ChunkResult(0, 20 * SAMPLE_RATE, Engine.PARAKEET_CPU, tokens(text, *doubtful))


def heard(text: str, *, first: float, sure: float = 0.95, channel: int = 0) -> HeardAgain:
    end = int((first + len(text.split())) * SAMPLE_RATE)
    own = tokens(text, sure=sure, begin=first)
    return HeardAgain(channel, int((first - 0.2) * SAMPLE_RATE), end, Engine.DEEPGRAM, own)


def test_doubtful_words_are_heard_again_with_two_words_around_them() -> None:
    (doubt,) = doubts_of(result("a b c mumble e f g h", "mumble"))
    # From half way between a and b, no more than 0.3 s before b.
    assert (doubt.first / SAMPLE_RATE, doubt.end / SAMPLE_RATE) == (0.75, 5.75)
    assert doubt.confidence == pytest.approx(0.4)


def test_close_doubts_are_one_stretch_and_far_ones_never_overlap() -> None:
    assert len(doubts_of(result("a b mumble d stumble f g", "mumble", "stumble"))) == 1
    several = doubts_of(result("x b c d y f g h i z", "x", "y", "z"))
    assert len(several) == 3
    assert all(left.end <= right.first for left, right in pairwise(several))


def test_words_without_a_confidence_and_sure_ones_raise_no_doubt() -> None:
    assert doubts_of(result("a b c")) == []
    unknown = result("a b c")
    unknown = replace(unknown, tokens=tuple(token._replace(confidence=None) for token in unknown.tokens))
    assert doubts_of(unknown) == []


FIRST = "we went to bared lin at noon"


@pytest.mark.parametrize(
    ("second", "sure", "kept"),
    [
        ("went to Berlin Berlin at noon", 0.95, Engine.DEEPGRAM),
        ("went to Berlin Berlin at noon", 0.75, Engine.PARAKEET_CPU),  # hardly surer than the first one's mean
        ("went to bared lin at noon", 0.99, Engine.PARAKEET_CPU),  # the same
        ("ich war in der Stadt gestern", 0.99, Engine.PARAKEET_CPU),  # another recording altogether
        ("", 0.99, Engine.PARAKEET_CPU),
    ],
)
def test_the_better_words_are_kept(second: str, sure: float, kept: Engine) -> None:
    passages = [Passage(Engine.PARAKEET_CPU, words(FIRST, "bared", "lin"))]
    other = replace(heard(second, first=1, sure=sure), end=int(6.8 * SAMPLE_RATE))
    edited, (opinion,) = with_second_opinions(passages, [other], is_split=False)
    texts = [word.text for passage in edited for word in passage.words]
    assert texts == (f"we {second}" if kept is Engine.DEEPGRAM else FIRST).split()
    assert opinion.kept is kept
    assert opinion.agreed == (second == "went to bared lin at noon")
    assert {passage.engine for passage in edited} >= {kept}


def test_another_channel_is_left_alone() -> None:
    mine, others = words("a mumble c", "mumble", speaker=0), words("x y z", speaker=1)
    both = sorted([*mine, *others], key=lambda word: word.start)
    edited, _ = with_second_opinions(
        [Passage(Engine.PARAKEET_CPU, both)], [heard("a good c", first=0.2)], is_split=True
    )
    after = [word for passage in edited for word in passage.words]
    assert [word.text for word in after if word.speaker == 1] == ["x", "y", "z"]
    assert [word.text for word in after if word.speaker == 0] == ["a", "good", "c"]
    assert all(left.start <= right.start for left, right in pairwise(after))


def test_a_stretch_in_which_nobody_speaks_keeps_no_words() -> None:
    edited, opinions = with_second_opinions(
        [Passage(Engine.PARAKEET_CPU, words("a b"))], [heard("ghost", first=8)], is_split=False
    )
    assert [word.text for passage in edited for word in passage.words] == ["a", "b"]
    assert opinions == ()
