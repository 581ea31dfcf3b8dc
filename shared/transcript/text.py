"""The transcript in reading order: paragraphs, with every gap marked in its place; and that as plain text."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.enums import Engine
from shared.transcript.display import visible
from shared.transcript.model import Gap, Segment, Speaker, Transcript
from shared.transcript.spacing import join_words
from shared.transcript.timestamps import clock_range, milliseconds


@dataclass(frozen=True)
class Block:
    """A paragraph, or the part of one between gaps, with the transcript's segments from `first_segment` on until
    `last_segment`. Times in seconds; the text is one line."""

    start: float
    end: float
    text: str
    speaker: int | None
    engines: tuple[Engine, ...]
    first_segment: int
    last_segment: int


def reading_order(transcript: Transcript) -> Iterator[Block | Gap]:
    """Paragraphs and gaps by time. A gap inside a paragraph divides it, after the sentence in which the gap starts."""
    gaps = deque(sorted(transcript.coverage.gaps, key=lambda gap: milliseconds(gap.start)))
    for paragraph in transcript.paragraphs:
        first = paragraph.first_segment
        for index in range(first, paragraph.last_segment + 1):
            while gaps and milliseconds(gaps[0].start) <= milliseconds(transcript.segments[index].start):
                yield from _blocks(transcript.segments, first, index)
                first = index
                yield gaps.popleft()
        yield from _blocks(transcript.segments, first, paragraph.last_segment + 1)
    yield from gaps


def speaker_name(speaker: int, speakers: Sequence[Speaker] = ()) -> str:
    """As the upload's owner calls them; else `Speaker 0`: the number that the JSON files and Deepgram use, so that a
    reader finds the same one everywhere."""
    names = (visible(one.name) for one in speakers if one.number == speaker)
    return next(names, "") or f"Speaker {speaker}"


def gap_mark(gap: Gap) -> str:
    """`[no transcript from 00:12:03 to 00:12:09: reason]`."""
    return f"[no transcript from {clock_range(gap.start, gap.end)}: {visible(gap.reason)}]"


def to_text(transcript: Transcript) -> str:
    """Plain text: paragraphs and gap marks with blank lines between them; empty where there is neither."""
    parts = (_paragraph(part, transcript.speakers) for part in reading_order(transcript))
    return "".join(f"{part}\n\n" for part in parts).removesuffix("\n")


def _paragraph(part: Block | Gap, speakers: Sequence[Speaker]) -> str:
    if isinstance(part, Gap):
        return gap_mark(part)
    return part.text if part.speaker is None else f"{speaker_name(part.speaker, speakers)}: {part.text}"


def _blocks(segments: Sequence[Segment], first: int, after: int) -> Iterator[Block]:
    """The one block of `segments[first:after]`; none where there is nothing to read."""
    inside = segments[first:after]
    if text := visible(join_words(segment.text for segment in inside)):
        engines = tuple(dict.fromkeys(segment.engine for segment in inside))
        yield Block(inside[0].start, inside[-1].end, text, inside[0].speaker, engines, first, after - 1)
