"""Widths, graphemes, and where a line may end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.transcript.display import break_units, cut, graphemes, keeps_together, visible, width

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
THUMB = "\U0001f44d\U0001f3fd"
FLAG = "\U0001f1e9\U0001f1ea"


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("word", 4),
        ("\u4eca\u65e5\u306f", 6),
        ("\uff71\uff72", 2),
        ("\uff21", 2),
        ("\uc548\ub155", 4),
        ("e\u0301te\u0301", 3),
        ("\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", 4),
        (FAMILY, 2),
        (THUMB, 2),
        (FLAG, 2),
        ("\u200b\u202e", 0),
        ("", 0),
    ],
)
def test_width_is_that_of_what_is_seen(text: str, columns: int) -> None:
    assert width(text) == columns


def test_marks_joiners_and_modifiers_belong_to_their_character() -> None:
    assert graphemes(f"e\u0301{FAMILY}{THUMB}{FLAG}x") == ["e\u0301", FAMILY, THUMB, FLAG, "x"]


@pytest.mark.parametrize(
    ("word", "units"),
    [
        ("well-known", ["well-known"]),
        (
            "\u4eca\u65e5\u306f\u300c\u826f\u3044\u300d\u5929\u3001\u3042\u3041\u30fc\u3063\u3002",
            [
                "\u4eca",
                "\u65e5",
                "\u306f",
                "\u300c\u826f",
                "\u3044\u300d",
                "\u5929\u3001",
                "\u3042\u3041\u30fc\u3063\u3002",
            ],
        ),
        ("\u7528iPhone\u5417", ["\u7528", "iPhone", "\u5417"]),
        ("\uffe5100", ["\uffe5100"]),
        ("\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", ["\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35"]),
        ("\uc548\ub155", ["\uc548\ub155"]),
        (f"{FAMILY}{THUMB}", [f"{FAMILY}{THUMB}"]),
    ],
)
def test_a_line_may_end_between_east_asian_characters_but_not_before_closing_punctuation(
    word: str, units: list[str]
) -> None:
    assert list(break_units(word)) == units


@pytest.mark.parametrize(
    ("before", "after", "together"),
    [
        ("\u4eca\u65e5", "\u3002", True),
        ("\u4eca\u65e5", "\u300d", True),
        ("\u300c", "\u4eca\u65e5", True),
        ("\u3042", "\u30fc", True),
        ("\u4eca\u65e5", "\u660e\u65e5", False),
        ("\u0e14\u0e35", "\u0e46", True),
        ("\u0e14\u0e35", "\u0e04\u0e23", False),
        ("\u00c7a", "va", False),
        ("va", "?", True),
        ("\u00ab", "Oui", True),
        ("Oui", "\u00bb", True),
        ("use", ".NET", False),
    ],
)
def test_punctuation_stays_with_its_word(before: str, after: str, together: bool) -> None:
    assert keeps_together(before, after) == together


@given(st.text(f"ab\u4e2d\u0301{FAMILY}{FLAG}\u0e31\u0e14", min_size=1, max_size=60), st.integers(4, 20))
def test_a_cut_splits_no_grapheme_and_loses_nothing(text: str, columns: int) -> None:
    parts = list(cut(text, columns))
    assert "".join(parts) == text
    assert [one for part in parts for one in graphemes(part)] == graphemes(text)
    assert all(width(part) <= columns for part in parts)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (" two\n\n words\u2028here ", "two words here"),
        ("a\x00b\x1b[1m\x7f\x9f", "ab[1m"),
        ("\x85\x1ca", "a"),
        ("\u200b\u202e\ufeff", ""),
        (FAMILY, FAMILY),
        ("\u0301", "\u0301"),
        ("", ""),
    ],
)
def test_what_no_reader_sees_is_left_out(text: str, seen: str) -> None:
    assert visible(text) == seen
