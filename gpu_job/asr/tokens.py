"""Tokens: what an engine hears, piece by piece, with times; and how they make words.

A token's text is its piece of the model's vocabulary, with a leading space where it begins a word. Chinese and Japanese
have no spaces; there a token is a word, else a chunk would be one. Within one model texts and ids say the same, and
texts also fit an engine that knows no ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from shared.transcript.display import begins_unspaced_word
from shared.transcript.model import Word


class Token(NamedTuple):
    """One piece of a word. Times in seconds."""

    text: str
    start: float
    end: float
    confidence: float | None = None
    """0 to 1; None where the engine does not say."""
    is_timed: bool = True
    """Whether the engine said when; if not, the times are spread over what it was given."""

    @property
    def begins_word(self) -> bool:
        """Whether a new word starts here."""
        return self.text.startswith(" ") or begins_unspaced_word(self.text)

    def later(self, seconds: float) -> Token:
        """The same token on a clock that began so much earlier."""
        return self._replace(start=self.start + seconds, end=self.end + seconds)


def ensure_word_start(tokens: Sequence[Token]) -> Sequence[Token]:
    """The same, where the first one begins a word: what one chunk heard is never glued to another's word."""
    if not tokens or tokens[0].begins_word:
        return tokens
    return [tokens[0]._replace(text=f" {tokens[0].text}"), *tokens[1:]]


class PlainWord(NamedTuple):
    """What tokens say of a word, before it is one of a transcript's: many are made and few are kept."""

    text: str
    start: float
    end: float
    confidence: float | None


def words_of(tokens: Iterable[Token], speaker: int | None = None) -> list[Word]:
    """Tokens in time order -> words. A word is as sure as its least sure token."""
    return [
        Word(text=text, start=start, end=end, confidence=confidence, speaker=speaker)
        for text, start, end, confidence in plain_words_of(tokens)
    ]


def plain_words_of(tokens: Iterable[Token]) -> Iterator[PlainWord]:
    """The same, one by one."""
    return (word for group in by_word(tokens) if (word := word_of(group)) is not None)


def by_word(tokens: Iterable[Token]) -> Iterator[list[Token]]:
    """Tokens in time order -> those of each word."""
    group: list[Token] = []
    for token in tokens:
        # A space says so nearly always: a call for each of ten thousand tokens an hour is saved.
        if group and (token.text.startswith(" ") or token.begins_word):
            yield group
            group = []
        group.append(token)
    if group:
        yield group


def word_of(tokens: Sequence[Token]) -> PlainWord | None:
    """The tokens of one word, at least one -> the word; None where they have no text."""
    first = tokens[0]
    if len(tokens) == 1:
        text, confidence, end = first.text.strip(), first.confidence, first.end
    else:
        text = "".join([token.text for token in tokens]).strip()
        sure = [token.confidence for token in tokens if token.confidence is not None]
        confidence, end = min(sure) if len(sure) == len(tokens) else None, tokens[-1].end
    if not text:
        return None
    start = max(0.0, first.start)
    return PlainWord(text, start, max(start, end), confidence)


def tokens_of(words: Iterable[Word]) -> list[Token]:
    """Words of an engine that knows no pieces -> one token each."""
    return [Token(f" {word.text}", word.start, word.end, word.confidence) for word in words]
