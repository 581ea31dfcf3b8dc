"""Which tokens make a word: by leading spaces, and in scripts without spaces token by token."""

from __future__ import annotations

import pytest

from gpu_job.asr.tokens import Token, words_of


def tokens(*texts: str) -> list[Token]:
    return [Token(text, index * 0.1, index * 0.1 + 0.1) for index, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ((" th", "e", " com", "mit", "tee", "."), ["the", "committee."]),
        (
            (" \u4eca\u65e5", "\u306f", "\u3001", "\u6674", "\u308c", "\u3002"),
            ["\u4eca\u65e5", "\u306f\u3001", "\u6674", "\u308c\u3002"],
        ),
        ((" \u3042", "\u3063", "\u305f", "\u30fc"), ["\u3042\u3063", "\u305f\u30fc"]),
        ((" \uc548", "\ub155", " \uc5ec"), ["\uc548\ub155", "\uc5ec"]),
    ],
)
def test_tokens_make_words_as_their_script_is_written(texts: tuple[str, ...], words: list[str]) -> None:
    found = words_of(tokens(*texts))
    assert [word.text for word in found] == words
    assert found[0].start == 0
    assert found[-1].end == pytest.approx(len(texts) * 0.1)
