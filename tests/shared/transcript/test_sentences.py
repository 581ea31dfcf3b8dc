"""What ends a sentence, and what only looks like it: abbreviations, initials and ordinals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.transcript.sentences import ends_with_terminal, sentence_ends


def sentences(text: str, language: str = "en") -> list[str]:
    words = text.split()
    found: list[list[str]] = [[]]
    for word, ends in zip(words, sentence_ends(words, language), strict=True):
        found[-1].append(word)
        if ends:
            found.append([])
    return [" ".join(one) for one in found if one]


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("end.", True),
        ("end?", True),
        ('end!"', True),
        ("end.)\u201d", True),
        ("\u7d42\u3002", True),
        ("\u7d42\u3002\u300d", True),
        ("\u062e\u064a\u0631\u061f", True),
        ("\u0920\u0940\u0915\u0964", True),
        ("end,", False),
        ("3.5", False),
        ('"', False),
    ],
)
def test_a_sentence_ends_with_its_mark_whatever_closes_after_it(text: str, ends: bool) -> None:
    assert ends_with_terminal(text) == ends
    assert sentence_ends([text], "en") == [ends]


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", ["I met Dr. Smith and J. R. R. Tolkien.", "Then we left."]),
        ("en-US", ["The U.S. Army was there at 5 p.m. on Sunday.", "It left."]),
        ("en", ['He said, "Yes."', "Then he left."]),
        ("en", ["Yes.", "No.", "I do not.", "It is No. 5 of ten."]),
        ("en", ["Bread, wine, etc. and then more.", "It cost $3.50.", "So did I."]),
        ("de", ["Am 29. Juli kam Dr. Meier z.B. nach Bonn.", "Er blieb."]),
        ("fr", ["M. Dupont et Mme Durand sont l\u00e0.", "J. P. Martin aussi."]),
        ("fr", ["Le Dr. Martin et M. le Maire.", "Oui."]),
        ("nb", ["Den 29. juli kom dr. Hansen.", "Han ble."]),
        ("cs", ["Dne 29. \u010dervence p\u0159i\u0161el Dr. Nov\u00e1k.", "Z\u016fstal."]),
        ("it", ["Il dott. Rossi viene il 1. luglio.", "Bene."]),
        (
            "uk",
            [
                "\u041f\u0440\u0438\u0439\u0448\u043e\u0432 \u0410. \u041f. \u0427\u0435\u0445\u043e\u0432.",
                "\u0422\u0430\u043a.",
            ],
        ),
        ("en", ["we meet at noon.", "it is late."]),
        ("es", ["El Sr. Garc\u00eda y la Dra. L\u00f3pez.", "Vino."]),
        ("xx", ["Dr. Smith is here.", "Good."]),
    ],
)
def test_abbreviations_initials_and_ordinals_end_no_sentence(language: str, expected: list[str]) -> None:
    assert sentences(" ".join(expected), language) == expected


def test_words_without_spaces_between_them_have_sentences_too() -> None:
    assert sentence_ends(["\u4eca\u65e5", "\u306f", "\u3002", "\u660e\u65e5", "\u3002"], "ja") == [
        False,
        False,
        True,
        False,
        True,
    ]


@given(
    st.lists(st.text("aB1.?!\u3002\u4e2d\u0e01\"' \n\u200b\U0001f600", min_size=1, max_size=6), max_size=20),
    st.sampled_from(["en", "de", "ja", "multi", "", "no-such"]),
)
def test_only_a_word_with_an_end_mark_ends_a_sentence(texts: list[str], language: str) -> None:
    ends = sentence_ends(texts, language)
    assert len(ends) == len(texts)
    assert not any(end and not ends_with_terminal(text) for end, text in zip(ends, texts, strict=True))
