"""A transcript's words -> the pieces that subtitles are made of: what stands on one line whatever the rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import accumulate, pairwise
from typing import NamedTuple, TypeVar

from shared.transcript.display import break_units, cut, graphemes, keeps_together, visible, width
from shared.transcript.model import Transcript
from shared.transcript.sentences import ends_with_terminal
from shared.transcript.spacing import needs_space
from shared.transcript.timestamps import milliseconds
from shared.transcript.words import Words

CLAUSE_ENDS = (",", ";", ":", "\u2014", "\u2013", "\u2026", "\u3001", "\uff0c", "\u060c", "\u061b")


_T = TypeVar("_T")


class Piece(NamedTuple):
    """A word, words that no line may separate, or a part of a word. Times in milliseconds."""

    text: str
    start: int
    end: int
    speaker: int | None
    is_spaced: bool
    """Whether a space stands between it and the piece before, of the same speaker."""
    ends_sentence: bool
    columns: int
    characters: int

    @property
    def ends_clause(self) -> bool:
        """Whether a comma or its like closes it."""
        return self.text.endswith(CLAUSE_ENDS)


def pieces(transcript: Transcript, columns: int, pause_ms: int) -> Iterator[tuple[Piece, Piece | None]]:
    """The pieces of all speakers in the order of their starts, each with its speaker's next one. None is wider than
    `columns`."""
    words = transcript.words
    ends = {segment.last_word for segment in transcript.segments}
    closing = {place for place in ends if ends_with_terminal(words.texts[place])}
    each = (
        with_next(_of_one_speaker(words, places, closing, columns, pause_ms))
        for places in words.places_by_speaker().values()
    )
    return merge(*each, key=lambda pair: pair[0].start)


def with_next(items: Iterable[_T]) -> Iterator[tuple[_T, _T | None]]:
    """Each with the one behind it; None behind the last."""
    before: _T | None = None
    for item in items:
        if before is not None:
            yield before, item
        before = item
    if before is not None:
        yield before, None


def _of_one_speaker(
    words: Words, places: Sequence[int], closing: set[int], columns: int, pause_ms: int
) -> Iterator[Piece]:
    """`places`: of the speaker's words. `closing`: places of words that end a sentence."""
    before: Piece | None = None
    for number, place in enumerate(places):
        following = places[number + 1] if number + 1 < len(places) else None
        for piece in _of_word(words, place, following, before, place in closing, columns):
            joined = _joined(before, piece, columns, pause_ms) if before else None
            if before and not joined:
                yield before
            before = joined or piece
    if before:
        yield before


def _of_word(
    words: Words, place: int, following: int | None, before: Piece | None, closes_sentence: bool, columns: int
) -> Iterator[Piece]:
    """Whitespace inside a word, line breaks included, separates pieces; time is shared out by characters. `following`:
    the place of the speaker's next word."""
    text, speaker = words.texts[place], words.speakers[place]
    start, end = milliseconds(words.starts[place]), milliseconds(words.ends[place])
    if text.isascii() and text.isprintable() and " " not in text and len(text) <= columns:
        # Nearly every word of most languages: one piece, each character a column.
        is_spaced = before is not None and needs_space(before.text, text)
        yield Piece(text, start, end, speaker, is_spaced, closes_sentence, len(text), len(text))
        return
    texts: list[tuple[str, bool]] = []
    for number, part in enumerate(visible(text).split()):
        is_spaced = number > 0 or (before is not None and needs_space(before.text, part))
        for unit in break_units(part):
            for cut_off in cut(unit, columns) if width(unit) > columns else (unit,):
                texts.append((cut_off, is_spaced))
                is_spaced = False
    if len(texts) > 1 and following is not None:
        # The parts stay before the next word, whose time may lie inside this one's.
        end = max(start, min(end, milliseconds(words.starts[following])))
    edges = [0, *accumulate(len(text) for text, _ in texts)]
    for number, ((part, is_spaced), (first, after)) in enumerate(zip(texts, pairwise(edges), strict=True)):
        yield Piece(
            part,
            start + (end - start) * first // edges[-1],
            start + (end - start) * after // edges[-1],
            speaker,
            is_spaced,
            closes_sentence if number == len(texts) - 1 else ends_with_terminal(part),
            width(part),
            len(graphemes(part)),
        )


def _joined(before: Piece, piece: Piece, columns: int, pause_ms: int) -> Piece | None:
    """Both as one piece, where no line may end between them."""
    if piece.start - before.end >= pause_ms or not keeps_together(before.text, piece.text):
        return None
    together = before.columns + piece.is_spaced + piece.columns
    if together > columns:
        return None
    return before._replace(
        text=f"{before.text}{' ' if piece.is_spaced else ''}{piece.text}",
        end=max(before.end, piece.end),
        ends_sentence=piece.ends_sentence,
        columns=together,
        characters=before.characters + piece.is_spaced + piece.characters,
    )
