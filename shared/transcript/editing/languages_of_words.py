"""Words that each have a language, as Deepgram's have with `multi` -> passages of one language. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from shared.transcript.model import Passage

LEAST_WORDS = 3
"""In another language than what is around them: fewer are a name or a loanword, and would cut a sentence in three."""


def by_language(passage: Passage, languages: Sequence[str | None]) -> list[Passage]:
    """A passage -> the same words in passages of one language each; `languages`: of each word, None where it is not
    known; none at all: the passage as it is."""
    if len(languages) != len(passage.words) or not any(languages):
        return [passage]
    by_speaker: dict[int | None, list[int]] = {}
    for place, word in enumerate(passage.words):
        by_speaker.setdefault(word.speaker, []).append(place)
    smooth: dict[int, str | None] = {}
    for places in by_speaker.values():
        smooth.update(zip(places, _smoothed([languages[place] for place in places]), strict=True))
    return [
        replace(passage, words=[passage.words[place] for place in group], language=language)
        for language, group in groupby(range(len(passage.words)), key=lambda place: smooth[place])
    ]


def most_common_language(passages: Iterable[Passage]) -> str | None:
    """Of most words; None where none is known."""
    words: Counter[str] = Counter()
    for passage in passages:
        if passage.language is not None:
            words[passage.language] += len(passage.words)
    most = words.most_common(1)
    return most[0][0] if most else None


def _smoothed(languages: Sequence[str | None]) -> list[str | None]:
    """Short runs and unknown words go with the language before them; at the beginning with the one behind them."""
    runs = [(language, len(list(group))) for language, group in groupby(languages)]
    long = [language is not None and length >= LEAST_WORDS for language, length in runs]
    if not any(long):
        most = Counter(language for language in languages if language is not None).most_common(1)[:1]
        return [language for language, _ in most for _ in languages] or list(languages)
    current = next(language for (language, _), is_long in zip(runs, long, strict=True) if is_long)
    smooth: list[str | None] = []
    for (language, length), is_long in zip(runs, long, strict=True):
        current = language if is_long else current
        smooth.extend([current] * length)
    return smooth
