"""Words of a transcript, in columns: a day of speech is 200,000 words, 45 MB as objects of their own and 9 MB so."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Annotated, Any, NamedTuple, TypeAlias, overload

from pydantic import Field, GetCoreSchemaHandler
from pydantic.dataclasses import dataclass as checked_dataclass
from pydantic_core import CoreSchema, core_schema

Seconds = Annotated[float, Field(ge=0)]
"""Seconds from the start of the upload."""


@checked_dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One written word, with its capitals and punctuation."""

    text: Annotated[str, Field(min_length=1)]
    start: Seconds
    end: Seconds
    confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    speaker: int | None = None


WordRow: TypeAlias = tuple[str, float, float, float | None, int | None]
"""A word's text, start, end, confidence and speaker: for who reads all words, and needs no object of each."""


class WordColumns(NamedTuple):
    """Some words; all columns have the same length."""

    texts: Sequence[str]
    starts: array[float]
    ends: array[float]
    confidences: array[float]
    """Not a number: none."""
    speakers: Sequence[int | None]


class Words(Sequence[Word]):
    """Reads as the words that it was made of; each is made anew when it is read. It never changes.

    Who goes over all of a transcript's words takes columns or `rows`: to make a word takes a microsecond.
    """

    __slots__ = ("_confidences", "ends", "speakers", "starts", "texts")

    texts: Sequence[str]
    starts: array[float]
    ends: array[float]
    speakers: Sequence[int | None]

    def __init__(self, columns: WordColumns) -> None:
        """Raises ValueError for what is no `Word`."""
        texts, starts, ends, confidences, speakers = columns
        if len({len(column) for column in columns}) > 1:
            raise ValueError("the columns of words differ in length")
        if not (all(texts) and all(start >= 0 for start in starts) and all(end >= 0 for end in ends)):
            raise ValueError("a word has no text, or a time below 0")
        if not all(0 <= sure <= 1 or math.isnan(sure) for sure in confidences):
            raise ValueError("a word's confidence is not between 0 and 1")
        self.texts, self.starts, self.ends, self.speakers = texts, starts, ends, speakers
        self._confidences = confidences

    @classmethod
    def of(cls, words: Iterable[Word]) -> Words:
        """The same words; nothing is done where they are in columns."""
        return words if isinstance(words, cls) else cls.of_rows(rows_of(words))

    @classmethod
    def of_rows(cls, rows: Iterable[WordRow]) -> Words:
        """Raises ValueError for what is no `Word`."""
        known: dict[str, str] = {}
        """The same texts come again and again, each time as a string of its own."""
        texts: list[str] = []
        speakers: list[int | None] = []
        starts, ends, confidences = array("d"), array("d"), array("d")
        for text, start, end, confidence, speaker in rows:
            texts.append(known.setdefault(text, text))
            starts.append(start)
            ends.append(end)
            confidences.append(math.nan if confidence is None else confidence)
            speakers.append(speaker)
        return cls(WordColumns(tuple(texts), starts, ends, confidences, tuple(speakers)))

    @classmethod
    def joined(cls, parts: Iterable[WordColumns]) -> Words:
        """The words of all parts, in order. Raises ValueError for what is no `Word`."""
        return cls.of_rows(
            chain.from_iterable(
                zip(part.texts, part.starts, part.ends, part.confidences, part.speakers, strict=True) for part in parts
            )
        )

    def parts(self, most: int) -> Iterator[WordColumns]:
        """So many words at once."""
        for first in range(0, len(self), most):
            at = slice(first, first + most)
            yield WordColumns(self.texts[at], self.starts[at], self.ends[at], self._confidences[at], self.speakers[at])

    @property
    def confidences(self) -> Iterator[float | None]:
        """Of each word, in their order."""
        return map(_known, self._confidences)

    def confidence(self, place: int) -> float | None:
        """Of one word."""
        return _known(self._confidences[place])

    def rows(self) -> Iterator[WordRow]:
        """All words."""
        return zip(self.texts, self.starts, self.ends, self.confidences, self.speakers, strict=True)

    def places_by_speaker(self) -> dict[int | None, Sequence[int]]:
        """Each speaker's words, in the order of who is heard first."""
        if len(speakers := set(self.speakers)) == 1:
            return {speakers.pop(): range(len(self))}
        places: dict[int | None, array[int]] = {}
        for place, speaker in enumerate(self.speakers):
            places.setdefault(speaker, array("q")).append(place)
        return {**places}

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, place: int) -> Word: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Word, ...]: ...
    def __getitem__(self, place: int | slice) -> Word | tuple[Word, ...]:
        if isinstance(place, slice):
            return tuple([self[each] for each in range(len(self))[place]])
        return _word(
            (self.texts[place], self.starts[place], self.ends[place], self.confidence(place), self.speakers[place])
        )

    def __iter__(self) -> Iterator[Word]:
        return map(_word, self.rows())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Words | tuple):
            return NotImplemented
        return len(self) == len(other) and all(one == another for one, another in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """As a list of words; of words in columns nothing is looked at again."""
        words = core_schema.list_schema(handler.generate_schema(Word))

        def in_columns(given: Any, check: core_schema.ValidatorFunctionWrapHandler) -> Words:
            return given if isinstance(given, cls) else cls.of(check(given))

        return core_schema.no_info_wrap_validator_function(
            in_columns,
            words,
            serialization=core_schema.plain_serializer_function_ser_schema(list, return_schema=words),
        )


def rows_of(words: Iterable[Word]) -> Iterator[WordRow]:
    """All words, in columns or not."""
    if isinstance(words, Words):
        return words.rows()
    return ((word.text, word.start, word.end, word.confidence, word.speaker) for word in words)


def _known(confidence: float) -> float | None:
    return None if math.isnan(confidence) else confidence


_new = object.__new__
_set_text, _set_start, _set_end, _set_confidence, _set_speaker = (
    Word.__dict__[name].__set__ for name in ("text", "start", "end", "confidence", "speaker")
)


def _word(row: WordRow) -> Word:
    """Without the checks that its columns have passed, which take as long as all else."""
    word = _new(Word)
    text, start, end, confidence, speaker = row
    _set_text(word, text)
    _set_start(word, start)
    _set_end(word, end)
    _set_confidence(word, confidence)
    _set_speaker(word, speaker)
    return word
