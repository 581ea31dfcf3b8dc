"""transcript.json's content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from pydantic import TypeAdapter

from shared.transcript.json_files.pieces import ITEMS_AT_ONCE, Items
from shared.transcript.model import Coverage, Paragraph, Segment, Transcript
from shared.transcript.timestamps import rounded
from shared.transcript.words import WordRow

_TIMED: dict[str, TypeAdapter[Any]] = {
    "segments": TypeAdapter(list[Segment]),
    "paragraphs": TypeAdapter(list[Paragraph]),
}
"""What a long transcript has many of, beside words."""


def transcript_json(transcript: Transcript) -> dict[str, Any]:
    """The transcript as JSON, times to the millisecond, with what the models derive. Unknown values are left out.

    Words, segments and paragraphs are `Items`."""
    dumped = transcript.model_dump(mode="json", exclude_none=True, exclude={"words", *_TIMED})
    many = {"words": Items(lambda: map(_word, transcript.words.rows()))}
    many |= {name: _items(name, getattr(transcript, name)) for name in _TIMED}
    data: dict[str, Any] = {
        name: many[name] if name in many else dumped[name]
        for name in Transcript.model_fields
        if name in many or name in dumped
    }
    coverage = data["coverage"]
    stretches = chain(coverage["gaps"], data["overlaps"], data["second_opinions"], data["language_flips"])
    for timed in stretches:
        timed["start"], timed["end"] = rounded(timed["start"]), rounded(timed["end"])
    data["duration"] = rounded(transcript.duration)
    for key in ("speech_seconds", "covered_seconds"):
        coverage[key] = rounded(coverage[key])
    coverage["share"] = Coverage.model_validate(coverage).share
    for optional in ("speakers", "overlaps", "second_opinions", "language_flips"):
        if not data[optional]:
            del data[optional]
    for stretch in data.get("redaction", {}).get("stretches", ()):
        stretch["start"], stretch["end"] = rounded(stretch["start"]), rounded(stretch["end"])
    data["engines"] = list(transcript.engines)
    if any(segment.language for segment in transcript.segments):
        data["languages"] = list(transcript.languages)
    return data


def _word(row: WordRow) -> dict[str, Any]:
    text, start, end, confidence, speaker = row
    word: dict[str, Any] = {"text": text, "start": rounded(start), "end": rounded(end)}
    if confidence is not None:
        word["confidence"] = confidence
    if speaker is not None:
        word["speaker"] = speaker
    return word


def _items(name: str, many: Sequence[Any]) -> Items:
    def make() -> Iterator[dict[str, Any]]:
        for first in range(0, len(many), ITEMS_AT_ONCE):
            batch = list(many[first : first + ITEMS_AT_ONCE])
            for timed in _TIMED[name].dump_python(batch, mode="json", exclude_none=True):
                timed["start"], timed["end"] = rounded(timed["start"]), rounded(timed["end"])
                yield timed

    return Items(make)
