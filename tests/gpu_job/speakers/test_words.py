"""The speaker of each word, by turns."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gpu_job.speakers.turns import Turn
from gpu_job.speakers.words import overlaps_of_turns, passages_of_speakers, speakers_of_turns, speakers_of_words
from shared.enums import Engine
from shared.transcript.model import Passage, Word


def words(text: str, start: float = 0.0, each: float = 0.5) -> list[Word]:
    return [
        Word(text=word, start=start + at * each, end=start + (at + 1) * each) for at, word in enumerate(text.split())
    ]


def test_words_belong_to_whose_turn_they_are_in() -> None:
    said = [*words("How are you?"), *words("Fine, thanks.", 2.0)]
    assert speakers_of_words(said, [Turn(0, 1.6, 0), Turn(1.9, 3, 1)], "en") == [0, 0, 0, 1, 1]


def test_a_word_beside_a_turn_is_its_speakers_and_one_far_away_nobodys() -> None:
    said = [*words("Yes."), *words("Hello there.", 10.0), *words("No.", 20.0)]
    assert speakers_of_words(said, [Turn(0.7, 1.5, 0), Turn(10, 11, 1)], "en") == [0, 1, 1, None]


def test_a_turn_that_ends_a_word_late_does_not_take_the_next_sentences_first_word() -> None:
    said = [*words("How are you?"), *words("I am fine, thanks.", 1.5)]
    assert speakers_of_words(said, [Turn(0, 2.0, 0), Turn(2.0, 4, 1)], "en") == [0, 0, 0, 1, 1, 1, 1]


def test_a_turn_that_begins_a_word_early_does_not_take_the_last_word_before() -> None:
    said = [*words("We want to go home."), *words("So do I.", 2.5)]
    assert speakers_of_words(said, [Turn(0, 2.0, 0), Turn(2.0, 4, 1)], "en") == [0] * 5 + [1] * 3


def test_an_interruption_inside_a_sentence_stays() -> None:
    said = words("we should go to the other place now please today")
    found = speakers_of_words(said, [Turn(0, 2.0, 0), Turn(2.0, 3.0, 1), Turn(3.0, 5.0, 0)], "en")
    assert found == [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]


def test_where_two_speak_at_once_the_sentence_decides() -> None:
    said = words("We want to go home.")
    assert speakers_of_words(said, [Turn(0, 2.5, 0), Turn(1.0, 2.0, 1)], "en") == [0] * 5
    assert speakers_of_words(said, [Turn(1.0, 2.0, 0), Turn(0, 2.5, 1)], "en") == [1] * 5


def test_words_that_two_say_at_once_are_the_louder_ones() -> None:
    said = [*words("I have been there"), *words("Yes, we know that.", 2.0)]
    turns = [Turn(0, 3.0, 0), Turn(2.0, 4.5, 1)]
    assert speakers_of_words(said, [replace(turns[0], drowned=((2.0, 3.0),)), turns[1]], "en") == [0] * 4 + [1] * 4
    said = [*words("I have been there before."), *words("we know that.", 3.0)]
    assert speakers_of_words(said, [turns[0], replace(turns[1], drowned=((2.0, 3.0),))], "en") == [0] * 5 + [1] * 3


def test_a_word_of_which_nothing_is_known_is_whose_sentence_it_is_in() -> None:
    said = words("We want to go home now.", each=1.0)
    assert speakers_of_words(said, [Turn(0, 3.2, 0)], "en") == [0] * 6
    assert speakers_of_words(said, [Turn(0, 1.2, 0)], "en") == [0, 0, None, None, None, None]
    assert speakers_of_words(said, [Turn(0, 2.2, 0), Turn(4.9, 6, 1)], "en") == [0, 0, 0, None, 1, 1]


def test_a_word_without_length_has_a_speaker() -> None:
    assert speakers_of_words([Word(text="Oh", start=1.0, end=1.0)], [Turn(0, 2, 3)], "en") == [3]


def test_without_turns_nobody_is_known() -> None:
    assert speakers_of_words(words("One two."), [], "en") == [None, None]
    assert speakers_of_words([], [Turn(0, 1, 0)], "en") == []


def test_passages_keep_their_engines_and_words_their_times() -> None:
    passages = [Passage(Engine.PARAKEET_GPU, words("One two.")), Passage(Engine.DEEPGRAM, words("Three four.", 5.0))]
    found = passages_of_speakers(passages, [Turn(0, 1, 0), Turn(5, 6, 1)], "en")
    assert [passage.engine for passage in found] == [Engine.PARAKEET_GPU, Engine.DEEPGRAM]
    assert [[word.speaker for word in passage.words] for passage in found] == [[0, 0], [1, 1]]
    assert [word.start for passage in found for word in passage.words] == [0.0, 0.5, 5.0, 5.5]


def test_speakers_have_the_names_that_were_given_and_their_time() -> None:
    found = speakers_of_turns([Turn(0, 1.5, 0), Turn(1.5, 2, 1), Turn(3, 4, 0)], ["Anna"])
    assert [(one.number, one.name) for one in found] == [(0, "Anna"), (1, "Speaker 1")]
    assert [one.seconds for one in found] == pytest.approx([2.5, 0.5])


@pytest.mark.parametrize(
    ("turns", "overlaps"),
    [
        ([], []),
        ([Turn(0, 2, 0), Turn(2, 4, 1)], []),
        ([Turn(0, 2, 0), Turn(1.9, 4, 1)], []),
        ([Turn(0, 2, 1), Turn(1.5, 4, 0)], [(1.5, 2, (0, 1))]),
        ([Turn(0, 9, 0), Turn(1, 2, 1), Turn(3, 4, 2)], [(1, 2, (0, 1)), (3, 4, (0, 2))]),
        ([Turn(0, 3, 0), Turn(1, 4, 1), Turn(2, 5, 2)], [(1, 2, (0, 1)), (2, 3, (0, 1, 2)), (3, 4, (1, 2))]),
        ([Turn(0, 2, 0), Turn(2, 4, 0), Turn(3, 5, 1)], [(3, 4, (0, 1))]),
    ],
)
def test_where_several_speak_at_once_is_told(
    turns: list[Turn], overlaps: list[tuple[float, float, tuple[int, ...]]]
) -> None:
    assert [(one.start, one.end, one.speakers) for one in overlaps_of_turns(turns)] == overlaps


def test_somebody_who_never_pauses_does_not_make_each_word_be_compared_with_all_turns() -> None:
    words = [Word(text=f"w{n}.", start=n * 0.4, end=n * 0.4 + 0.3) for n in range(10_000)]
    turns = [Turn(n * 4.0, n * 4.0 + 3.5, n % 3) for n in range(1_000)]

    def taken(turns: Sequence[Turn]) -> float:
        began = time.process_time()
        assert None not in speakers_of_words(words, turns, "en")
        return time.process_time() - began

    assert taken([Turn(0.0, 4_000.0, 3), *turns]) < 8 * taken(turns)
