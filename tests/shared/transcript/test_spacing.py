"""Where a space stands between words."""

from __future__ import annotations

import pytest

from shared.transcript.spacing import join_words


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["two", "words"], "two words"),
        (["\u4eca\u65e5", "\u306f", "\u3002", "\u660e\u65e5"], "\u4eca\u65e5\u306f\u3002\u660e\u65e5"),
        (["\u6211", "\u7528", "iPhone", "\u3002"], "\u6211\u7528iPhone\u3002"),
        (
            ["\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\u0e04\u0e23\u0e31\u0e1a"],
            "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e04\u0e23\u0e31\u0e1a",
        ),
        (["\u0e43\u0e0a\u0e49", "iPhone", "15"], "\u0e43\u0e0a\u0e49 iPhone 15"),
        (["\u0e9e\u0eb2", "\u0ea5\u0eb2"], "\u0e9e\u0eb2\u0ea5\u0eb2"),
        (["\u1781\u17d2", "\u1798\u17c2"], "\u1781\u17d2\u1798\u17c2"),
        (["\u1019\u103c", "\u1014\u103a"], "\u1019\u103c\u1014\u103a"),
        (["\uc548\ub155", "\uc5ec\ub7ec\ubd84"], "\uc548\ub155 \uc5ec\ub7ec\ubd84"),
        (["", "a", "", "b", ""], "a b"),
        ([], ""),
    ],
)
def test_words_are_joined_as_their_script_is_written(words: list[str], text: str) -> None:
    assert join_words(words) == text
