"""What became of an upload's key terms: how often each was heard, where that is doubtful, and who favoured them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shared.enums import Engine
from shared.keyterms.terms import Phrase, Weight

DOUBTFUL_CONFIDENCE = 0.75
"""Confidence of a word without any bonus, below which a term may have been written where something else was said. A
token that is written for its bonus though another was likelier has a probability under one half: 0.75 to 0.78 on this
scale, by the size of the vocabulary. What it marks: docs/benchmarks.md."""

MOST_DOUBTFUL = 100
"""Places that are listed of one term; all of them are counted."""

_Time = Annotated[float, Field(ge=0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class DoubtfulTerm(_Frozen):
    """A place where a term was written though the engine was hardly sure of it."""

    start: _Time
    """Seconds from the start of the upload."""
    end: _Time
    text: str
    """As it was written."""
    confidence: Annotated[float, Field(ge=0, le=1)]
    """Of its least sure word: from Parakeet without the bonus, from Deepgram as Deepgram says."""


class HeardTerm(_Frozen):
    """One term in the transcript."""

    phrase: Phrase
    weight: Weight
    heard: Annotated[int, Field(ge=0)]
    """How often it stands in the transcript, whatever its capitals and punctuation."""
    doubtful_count: Annotated[int, Field(ge=0)] = 0
    doubtful: tuple[DoubtfulTerm, ...] = ()
    """The first of them, by time."""


class EngineTerms(_Frozen):
    """What an engine made of the terms."""

    engine: Engine
    favoured: bool
    """Whether it favoured any."""
    left_out: tuple[str, ...] = ()
    """Phrases that it did not favour."""
    reason: str = ""
    """Why; empty where it favoured all."""


class KeytermReport(_Frozen):
    """Of an upload for which there are terms."""

    terms: tuple[HeardTerm, ...]
    engines: tuple[EngineTerms, ...] = ()
    """Of those that wrote something, and said what they make of terms."""
