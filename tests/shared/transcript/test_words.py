"""Words in columns: read as the words that they were made of, whichever way they came."""

from __future__ import annotations

from array import array
from dataclasses import replace
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shared.transcript.words import Word, WordColumns, Words, rows_of

times = st.floats(0, 1e6)
words_anyhow = st.lists(
    st.builds(
        Word,
        text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4),
        start=times,
        end=times,
        confidence=st.none() | st.floats(0, 1),
        speaker=st.none() | st.integers(0, 3),
    ),
    max_size=9,
)
IN_COLUMNS: TypeAdapter[Words] = TypeAdapter(Words)


@given(words_anyhow)
def test_they_read_as_what_they_were_made_of(said: list[Word]) -> None:
    words = Words.of(said)
    assert (list(words), len(words), words) == (said, len(said), tuple(said))
    assert [words[place] for place in range(-len(said), len(said))] == said + said
    assert words[1:7:2] == tuple(said[1:7:2])
    assert list(words.rows()) == list(rows_of(said))
    assert list(words.confidences) == [words.confidence(place) for place in range(len(said))]
    assert hash(words) == hash(tuple(said))


@given(words_anyhow, st.integers(1, 4))
def test_parts_of_them_make_the_same(said: list[Word], most: int) -> None:
    words = Words.of(said)
    assert all(len(part.texts) <= most for part in words.parts(most))
    assert Words.joined(words.parts(most)) == words


@given(words_anyhow)
def test_json_is_that_of_a_list_of_words(said: list[Word]) -> None:
    words = Words.of(said)
    assert IN_COLUMNS.dump_json(words) == TypeAdapter(list[Word]).dump_json(said)
    assert IN_COLUMNS.validate_json(IN_COLUMNS.dump_json(words)) == words
    assert IN_COLUMNS.validate_python(words) is words
    assert Words.of(words) is words


@given(words_anyhow)
def test_each_speaker_has_the_places_of_his_words(said: list[Word]) -> None:
    found = Words.of(said).places_by_speaker()
    assert list(found) == list(dict.fromkeys(word.speaker for word in said))
    for speaker, places in found.items():
        assert list(places) == [place for place, word in enumerate(said) if word.speaker == speaker]


def test_the_same_text_is_kept_once() -> None:
    first, second = Words.of(Word(text="".join(("a", "b")), start=0, end=1) for _ in range(2)).texts
    assert first is second


def test_other_words_are_not_equal() -> None:
    word = Word(text="a", start=0, end=1, confidence=0.5)
    for other in ((replace(word, confidence=None),), (word, word), ()):
        assert Words.of([word]) != other
        assert Words.of([word]) != Words.of(other)
    assert Words.of([word]) != [word]


@pytest.mark.parametrize(
    "row",
    [
        ("", 0.0, 1.0, None, None),
        ("a", -0.1, 1.0, None, None),
        ("a", nan, 1.0, None, None),
        ("a", 0.0, -1.0, None, None),
        ("a", 0.0, 1.0, 1.1, None),
        ("a", 0.0, 1.0, -0.1, None),
    ],
)
def test_what_is_no_word_is_refused(row: tuple[str, float, float, float | None, int | None]) -> None:
    text, start, end, confidence, speaker = row
    with pytest.raises(ValidationError):
        Word(text=text, start=start, end=end, confidence=confidence, speaker=speaker)
    with pytest.raises(ValueError, match="a word"):
        Words.of_rows([row])


def test_columns_of_several_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="length"):
        Words(WordColumns(("a",), array("d", [0.0]), array("d"), array("d", [nan]), (None,)))
