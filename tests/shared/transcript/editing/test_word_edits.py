from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.enums import Engine
from shared.transcript.editing.word_edits import WordEdit, WordEditor, apply_edits, edit_passages
from shared.transcript.model import Passage, Word


def words(text: str, *, speaker: int | None = None, start: float = 0.0, step: float = 1.0) -> list[Word]:
    """A word each `step` seconds, half a step long."""
    return [
        Word(text=one, start=start + step * at, end=start + step * (at + 0.5), confidence=0.9, speaker=speaker)
        for at, one in enumerate(text.split())
    ]


def replacing(wanted: str, *texts: str) -> WordEditor:
    """An editor that replaces each run of these words."""
    pattern = wanted.split()

    def editor(words: Sequence[Word]) -> list[WordEdit]:
        heard = [word.text for word in words]
        return [
            WordEdit(at, at + len(pattern) - 1, texts)
            for at in range(len(words))
            if heard[at : at + len(pattern)] == pattern
        ]

    return editor


def test_one_word_for_several_has_their_whole_time_and_the_least_confidence() -> None:
    heard = words("about twenty three dollars each", speaker=1)
    heard[2] = replace(heard[2], confidence=0.4)
    edited = apply_edits(heard, [WordEdit(1, 3, ("$23",))])
    assert [(one.word.text, one.word.start, one.word.end) for one in edited] == [
        ("about", 0.0, 0.5),
        ("$23", 1.0, 3.5),
        ("each", 4.0, 4.5),
    ]
    assert (edited[1].word.confidence, edited[1].word.speaker) == (0.4, 1)


def test_a_stretch_with_a_word_of_unknown_confidence_has_none() -> None:
    heard = words("twenty three")
    heard[0] = replace(heard[0], confidence=None)
    assert apply_edits(heard, [WordEdit(0, 1, ("23",))])[0].word.confidence is None


def test_as_many_words_as_before_keep_their_times() -> None:
    edited = apply_edits(words("you little dog"), [WordEdit(1, 2, ("l*****", "d**"))])
    assert [(one.word.start, one.word.end) for one in edited] == [(0.0, 0.5), (1.0, 1.5), (2.0, 2.5)]


def test_more_words_share_the_time_by_their_lengths() -> None:
    edited = apply_edits(
        [Word(text="$20.50", start=10.0, end=12.0)], [WordEdit(0, 0, ("five", "dollars", "six", "ct"))]
    )
    times = [(one.word.start, one.word.end) for one in edited]
    assert times == [(10.0, 10.5), (10.5, 11.375), (11.375, 11.75), (11.75, 12.0)]


def test_words_without_a_replacement_are_left_out() -> None:
    edited = apply_edits(words("so uh yes"), [WordEdit(1, 1, ())])
    assert [(one.word.text, one.origin) for one in edited] == [("so", 0), ("yes", 2)]


@pytest.mark.parametrize(
    "edits",
    [
        [WordEdit(0, 1, ("a",)), WordEdit(1, 2, ("b",))],
        [WordEdit(2, 2, ("a",)), WordEdit(0, 0, ("b",))],
        [WordEdit(1, 0, ("a",))],
        [WordEdit(0, 3, ("a",))],
        [WordEdit(-1, 0, ("a",))],
    ],
)
def test_edits_that_overlap_run_backwards_or_name_other_words_are_refused(edits: list[WordEdit]) -> None:
    with pytest.raises(ValueError, match="an edit of words"):
        apply_edits(words("one two three"), edits)


def test_no_edit_is_made_across_what_another_speaker_says_meanwhile() -> None:
    first, second = words("twenty three dollars", speaker=0), words("yes", speaker=1, start=1.2)
    heard = sorted([*first, *second], key=lambda word: word.start)
    [passage] = edit_passages([Passage(Engine.PARAKEET_CPU, heard)], [replacing("twenty three", "23")])
    assert [(word.text, word.start, word.speaker) for word in passage.words] == [
        ("23", 0.0, 0),
        ("yes", 1.2, 1),
        ("dollars", 2.0, 0),
    ]


def test_an_edit_over_a_seam_is_of_the_engine_that_began_it() -> None:
    passages = [
        Passage(Engine.PARAKEET_CPU, words("it costs twenty")),
        Passage(Engine.DEEPGRAM, words("three dollars", start=3.0)),
    ]
    edited = edit_passages(passages, [replacing("twenty three", "23")])
    assert [(one.engine, [word.text for word in one.words]) for one in edited] == [
        (Engine.PARAKEET_CPU, ["it", "costs", "23"]),
        (Engine.DEEPGRAM, ["dollars"]),
    ]


def test_an_editor_sees_what_those_before_it_wrote() -> None:
    passages = [Passage(Engine.PARAKEET_CPU, words("twenty uh three"))]
    [passage] = edit_passages(passages, [replacing("uh"), replacing("twenty three", "23")])
    assert [word.text for word in passage.words] == ["23"]


def test_a_passage_whose_words_all_go_is_gone() -> None:
    passages = [Passage(Engine.PARAKEET_CPU, words("uh")), Passage(Engine.DEEPGRAM, words("yes", start=2.0))]
    assert [one.engine for one in edit_passages(passages, [replacing("uh")])] == [Engine.DEEPGRAM]


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "uh"]), st.floats(0, 0.7), st.floats(0, 2), st.sampled_from([0, 1, None])),
        max_size=25,
    )
)
def test_times_run_forwards_and_nothing_else_changes(heard: list[tuple[str, float, float, int | None]]) -> None:
    clock, spoken = 0.0, []
    for text, step, length, speaker in heard:
        clock += step
        spoken.append(Word(text=text, start=clock, end=clock + length, speaker=speaker))
    passages = [Passage(Engine.PARAKEET_CPU, spoken)]
    edited = edit_passages(passages, [replacing("uh"), replacing("a b", "ab"), replacing("b", "b", "and", "more")])
    after = [word for passage in edited for word in passage.words]
    assert all(left.start <= right.start for left, right in pairwise(after))
    assert all(word.start <= word.end for word in after)
    assert {word.speaker for word in after} <= {word.speaker for word in spoken}
    if after:
        assert max(word.end for word in after) <= max(word.end for word in spoken)
