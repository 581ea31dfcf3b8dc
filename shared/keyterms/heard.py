"""The words of a transcript -> what became of the upload's key terms. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from shared.keyterms.report import (
    DOUBTFUL_CONFIDENCE,
    MOST_DOUBTFUL,
    DoubtfulTerm,
    EngineTerms,
    HeardTerm,
    KeytermReport,
)
from shared.keyterms.terms import Keyterm


class SpokenWord(Protocol):
    """What is asked of a transcript's word."""

    @property
    def text(self) -> str: ...
    @property
    def start(self) -> float: ...
    @property
    def end(self) -> float: ...
    @property
    def confidence(self) -> float | None: ...
    @property
    def speaker(self) -> int | None: ...


def keyterm_report(
    words: Sequence[SpokenWord], terms: Sequence[Keyterm], engines: Iterable[EngineTerms]
) -> KeytermReport | None:
    """The report of these terms; None where there are none. `engines`: what those that wrote the words make of them."""
    return KeytermReport(terms=tuple(heard_terms(words, terms)), engines=tuple(engines)) if terms else None


def heard_terms(words: Sequence[SpokenWord], terms: Iterable[Keyterm]) -> Iterator[HeardTerm]:
    """Each term with how often its words stand there in a row, said by one speaker, and where that is doubtful."""
    by_speaker: dict[int | None, list[SpokenWord]] = {}
    for word in words:
        by_speaker.setdefault(word.speaker, []).append(word)
    plain = {speaker: [_plain(word.text) for word in said] for speaker, said in by_speaker.items()}
    places: dict[tuple[int | None, str], list[int]] = {}
    for speaker, texts in plain.items():
        for at, text in enumerate(texts):
            places.setdefault((speaker, text), []).append(at)
    for term in terms:
        wanted = [text for part in term.phrase.split() if (text := _plain(part))]
        found = [
            said[at : at + len(wanted)]
            for speaker, said in by_speaker.items()
            for at in places.get((speaker, wanted[0]), ())
            if plain[speaker][at : at + len(wanted)] == wanted
        ]
        doubtful = sorted(filter(None, map(_doubtful, found)), key=lambda place: place.start)
        yield HeardTerm(
            phrase=term.phrase,
            weight=term.weight,
            heard=len(found),
            doubtful_count=len(doubtful),
            doubtful=tuple(doubtful[:MOST_DOUBTFUL]),
        )


def _doubtful(words: Sequence[SpokenWord]) -> DoubtfulTerm | None:
    known = [word.confidence for word in words if word.confidence is not None]
    if not known or min(known) >= DOUBTFUL_CONFIDENCE:
        return None
    text = " ".join(word.text for word in words)
    return DoubtfulTerm(start=words[0].start, end=max(word.end for word in words), text=text, confidence=min(known))


def _plain(text: str) -> str:
    """Small letters and digits: `Oscar's,` is `oscars`."""
    return "".join(char for char in text.casefold() if char.isalnum())
