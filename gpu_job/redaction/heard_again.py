"""Which of the redacted words a redacted recording still says. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from shared.redaction.find import find_entities
from shared.redaction.request import RedactionRequest
from shared.redaction.tokens import normalized
from shared.transcript.editing.redaction import RedactedWords
from shared.transcript.model import Word

_LONGEST_WORD_SECONDS = 5.0
"""Engines give no word more."""


def heard_again(
    words: Sequence[Word], redacted: Sequence[RedactedWords], request: RedactionRequest
) -> list[RedactedWords]:
    """The words of a redacted recording, in time order -> what of it is to be masked, too.

    That is every word of a redacted stretch that is heard where the stretch was, and whatever would be redacted were
    this the first transcription, wherever it is.
    """
    by_speaker: dict[int | None, list[Word]] = {}
    for word in words:
        by_speaker.setdefault(word.speaker, []).append(word)
    found: list[RedactedWords] = []
    for own in by_speaker.values():
        entities = find_entities([word.text for word in own], request)
        found.extend(RedactedWords.of(own[one.first : one.last + 1], one.label) for one in entities)
        found.extend(RedactedWords.of([word], stretch.label) for word, stretch in _in_place(own, redacted))
    return found


def _in_place(words: Sequence[Word], redacted: Sequence[RedactedWords]) -> list[tuple[Word, RedactedWords]]:
    starts = [word.start for word in words]
    found: list[tuple[Word, RedactedWords]] = []
    for stretch in redacted:
        texts = {normalized(text) for text in stretch.texts}
        first = bisect_left(starts, stretch.start - _LONGEST_WORD_SECONDS)
        near = words[first : bisect_right(starts, stretch.end)]
        found.extend((one, stretch) for one in near if normalized(one.text) in texts and _is_inside(one, stretch))
    return found


def _is_inside(word: Word, stretch: RedactedWords) -> bool:
    """Whether its middle is inside: a neighbour that says the same word, and may stay, lies beside it."""
    middle = (word.start + word.end) / 2
    return stretch.start <= middle <= stretch.end
