"""Words that each have a language, in passages of one language."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from shared.enums import Engine
from shared.transcript.editing.languages_of_words import by_language, most_common_language
from shared.transcript.model import Passage, Word


def passage(count: int, speakers: Sequence[int | None] = ()) -> Passage:
    each = speakers or [None] * count
    return Passage(
        Engine.DEEPGRAM,
        [Word(text=str(at), start=at, end=at + 0.5, speaker=speaker) for at, speaker in enumerate(each)],
    )


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("ddddeeee", [("d", 4), ("e", 4)]),
        ("ddddeedddd", [("d", 10)]),
        ("eedddd", [("d", 6)]),
        ("ddeded", [("d", 6)]),
        ("..dddd..", [("d", 8)]),
        ("de", [("d", 2)]),
        ("....", [(None, 4)]),
    ],
)
def test_a_word_or_two_in_another_language_go_with_what_is_around(
    tags: str, expected: list[tuple[str | None, int]]
) -> None:
    languages = [None if tag == "." else tag for tag in tags]
    found = by_language(passage(len(tags)), languages)
    assert [(one.language, len(one.words)) for one in found] == expected
    assert [word for one in found for word in one.words] == passage(len(tags)).words


def test_each_speaker_has_a_language_of_their_own() -> None:
    found = by_language(passage(8, [0, 1] * 4), ["de", "en"] * 4)
    assert [(one.language, one.words[0].speaker) for one in found] == [("de", 0), ("en", 1)] * 4


def test_languages_of_other_words_are_none() -> None:
    assert by_language(passage(3), ["de"]) == [passage(3)]
    assert by_language(passage(0), []) == [passage(0)]


def test_the_language_of_most_words_is_the_recordings() -> None:
    assert most_common_language(by_language(passage(8), [*["de"] * 3, *["en"] * 5])) == "en"
    assert most_common_language([passage(2)]) is None
