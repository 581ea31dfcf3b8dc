"""A transcript on its way to the rendering process, in parts of which neither side holds many at once."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import IO, Any

from pydantic import TypeAdapter
from pydantic_core import from_json, to_json

from gpu_job.rendering.parts import read_parts, write_parts
from shared.transcript.model import Paragraph, Segment, Transcript
from shared.transcript.words import WordColumns, Words

ITEMS_AT_ONCE = 5_000
"""Words of a quarter of an hour: 0.5 MB."""

_MANY: dict[str, TypeAdapter[Any]] = {
    "segments": TypeAdapter(list[Segment]),
    "paragraphs": TypeAdapter(list[Paragraph]),
}


def write_transcript(stream: IO[bytes], transcript: Transcript) -> None:
    """Send it."""
    write_parts(stream, [to_json(transcript.model_dump(mode="json", exclude={"words", *_MANY}))])
    for words in transcript.words.parts(ITEMS_AT_ONCE):
        numbers = (words.starts, words.ends, words.confidences)
        write_parts(stream, [to_json(words.texts), *(column.tobytes() for column in numbers), to_json(words.speakers)])
    write_parts(stream, [])
    for name, adapter in _MANY.items():
        many = getattr(transcript, name)
        for first in range(0, len(many), ITEMS_AT_ONCE):
            write_parts(stream, [adapter.dump_json(list(many[first : first + ITEMS_AT_ONCE]))])
        write_parts(stream, [])


def read_transcript(stream: IO[bytes]) -> Transcript:
    """The next one. Raises EOFError where the other side has ended."""
    fields: dict[str, Any] = from_json(read_parts(stream)[0])
    fields["words"] = Words.joined(_words(stream))
    for name, adapter in _MANY.items():
        many: list[Any] = []
        while parts := read_parts(stream):
            many += adapter.validate_json(parts[0])
        fields[name] = tuple(many)
        del many
    return Transcript.model_validate(fields)


def _words(stream: IO[bytes]) -> Iterator[WordColumns]:
    while parts := read_parts(stream):
        texts, speakers = from_json(parts[0]), from_json(parts[-1])
        starts, ends, confidences = (array("d", column) for column in parts[1:-1])
        yield WordColumns(texts, starts, ends, confidences, speakers)
