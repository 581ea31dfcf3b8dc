"""Swear words masked but for their first letter: `swear_words.toml`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.transcript.editing.tokens import tokens_of
from shared.transcript.editing.word_edits import WordEdit, WordEditor
from shared.transcript.editing.word_lists import WordList, words_of
from shared.transcript.model import Word


def masked_profanity(language: str) -> WordEditor | None:
    """The editor that masks swear words; None for a language of which none are known (BCP 47)."""
    swear_words = words_of(WordList.SWEAR_WORDS, language)
    if swear_words is None:
        return None

    def editor(words: Sequence[Word]) -> Iterator[WordEdit]:
        for index, token in enumerate(tokens_of(words)):
            # "shit-faced", "arse's": each part by itself.
            parts = [_masked(part) if part.lower() in swear_words else part for part in _parts(token.core)]
            text = f"{token.lead}{''.join(parts)}{token.trail}"
            if text != words[index].text:
                yield WordEdit(index, index, (text,))

    return editor


def _parts(core: str) -> Iterator[str]:
    """Runs of letters, and what stands between them."""
    first = 0
    for at in range(1, len(core) + 1):
        if at == len(core) or core[at].isalpha() != core[first].isalpha():
            yield core[first:at]
            first = at


def _masked(word: str) -> str:
    return word[0] + "*" * (len(word) - 1)
