"""Words as engines return them -> the transcript: their times inside the audio, grouped in segments and paragraphs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from shared.enums import Engine
from shared.formats.tracks import TranscriptTrack
from shared.transcript.model import (
    Coverage,
    Overlap,
    Paragraph,
    Passage,
    Segment,
    Speaker,
    Transcript,
    TranscriptWarning,
    WarningCode,
)
from shared.transcript.quality import LOW_CONFIDENCE, confidence_warnings
from shared.transcript.sentences import sentence_ends
from shared.transcript.spacing import join_words
from shared.transcript.words import WordRow, Words, rows_of


@dataclass(frozen=True)
class Grouping:
    """Where words break into segments and segments into paragraphs."""

    segment_pause_seconds: float = 1.0
    """A pause of its speaker this long ends a segment even without a full stop."""
    segment_max_seconds: float = 30.0
    """A segment this long ends at the next word: speech without punctuation must not become one endless line."""
    paragraph_pause_seconds: float = 2.0
    """A pause this long starts a new paragraph."""
    paragraph_max_words: int = 120
    """A paragraph this long ends with its segment."""


_ESTIMATED_TIMES = (
    TranscriptWarning(
        code=WarningCode.ESTIMATED_TIMES,
        message="The model gives no word times: words are spread evenly over each chunk of up to half a minute.",
    ),
)


def compose(
    *,
    job_id: str,
    source: str,
    duration: float,
    language: str,
    model: str,
    passages: Iterable[Passage],
    channels: int = 1,
    speakers: tuple[Speaker, ...] = (),
    overlaps: Sequence[Overlap] = (),
    coverage: Coverage | None = None,
    tracks: tuple[TranscriptTrack, ...] = (),
    low_confidence: float = LOW_CONFIDENCE,
    estimated_times: bool = False,
    loudness: tuple[int, ...] | None = None,
    warnings: Sequence[TranscriptWarning] = (),
    language_confidence: float | None = None,
    grouping: Grouping | None = None,
) -> Transcript:
    """Passages in time order -> the transcript. Without `coverage` the words themselves are all that is known.

    `channels`: how many were transcribed each by itself; of several, a word's speaker is its channel.
    `overlaps`: where several speak at once, as far as that is known.
    `low_confidence`: mean confidence of the words below which the transcript has a warning. `estimated_times`: whether
    there are words whose times no engine said, which is a warning, too. `loudness`: of each second, where it is known.
    `warnings`: others. `language_confidence`: how sure the engine is of the language that it found.
    """
    words, segments, paragraphs = group(passages, language, grouping, duration)
    if coverage is None:
        spoken = sum(segment.end - segment.start for segment in segments)
        coverage = Coverage(speech_seconds=spoken, covered_seconds=spoken, audited=False)
    return Transcript(
        job_id=job_id,
        source=source,
        duration=duration,
        language=language,
        language_confidence=language_confidence,
        model=model,
        channels=channels,
        speakers=speakers,
        overlaps=tuple(overlaps),
        text=join_words(segment.text for segment in segments),
        words=words,
        segments=segments,
        paragraphs=paragraphs,
        coverage=coverage,
        tracks=tracks,
        loudness=loudness,
        warnings=(
            *confidence_warnings(words.confidences, low_confidence),
            *(_ESTIMATED_TIMES if estimated_times else ()),
            *warnings,
        ),
    )


def clamp_times(words: Iterable[WordRow], duration: float) -> Iterator[WordRow]:
    """The words with times inside the audio and starts that never run backwards."""
    clock = 0.0
    for text, start, end, confidence, speaker in words:
        clock = min(max(start, clock), duration)
        yield text, clock, min(max(end, clock), duration), confidence, speaker


def group(
    passages: Iterable[Passage], language: str, grouping: Grouping | None = None, duration: float | None = None
) -> tuple[Words, tuple[Segment, ...], tuple[Paragraph, ...]]:
    """Passages in time order -> all words in that order, their segments by first word, and their paragraphs.

    `duration`: in which times are brought that run backwards or lie behind it; None: they are right."""
    rules = grouping or Grouping()
    origins: list[_Origin] = []

    def rows() -> Iterator[WordRow]:
        for passage in passages:
            origins.extend([_Origin(passage.engine, passage.language)] * len(passage.words))
            yield from rows_of(passage.words)

    words = Words.of_rows(rows() if duration is None else clamp_times(rows(), duration))
    segments = sorted(
        (
            _segment(words, inside, origins[inside[0]])
            # What others say meanwhile does not break a speaker's sentence.
            for indexes in words.places_by_speaker().values()
            for inside in _segments_of_one_speaker(words, origins, indexes, language, rules)
        ),
        key=lambda segment: segment.first_word,
    )
    return words, tuple(segments), tuple(_paragraphs(words, segments, rules))


class _Origin(NamedTuple):
    """Where words come from; those of a segment come from one."""

    engine: Engine
    language: str | None


def _segments_of_one_speaker(
    words: Words, origins: Sequence[_Origin], indexes: Sequence[int], language: str, rules: Grouping
) -> Iterator[Sequence[int]]:
    """The indexes of a speaker's words -> those of each segment. `language`: of words that have none of their own."""
    ends = [
        end
        for spoken, alike in groupby(indexes, lambda index: origins[index].language or language)
        for end in sentence_ends([words.texts[index] for index in alike], spoken)
    ]
    first = 0
    for at in range(1, len(indexes) + 1):
        if at < len(indexes):
            before, place, begin = indexes[at - 1], indexes[at], indexes[first]
            if not (
                ends[at - 1]
                or origins[place] != origins[begin]
                or words.starts[place] - words.ends[before] >= rules.segment_pause_seconds
                or words.ends[place] - words.starts[begin] > rules.segment_max_seconds
            ):
                continue
        yield indexes[first:at]
        first = at


def _segment(words: Words, indexes: Sequence[int], origin: _Origin) -> Segment:
    first, last = indexes[0], indexes[-1]
    return Segment(
        start=words.starts[first],
        end=words.ends[last],
        text=join_words(words.texts[index] for index in indexes),
        first_word=first,
        last_word=last,
        engine=origin.engine,
        speaker=words.speakers[first],
        language=origin.language,
    )


def _paragraphs(words: Words, segments: Sequence[Segment], rules: Grouping) -> Iterator[Paragraph]:
    first = count = 0
    for index, segment in enumerate(segments):
        count += len(segment.word_indexes(words))
        if index + 1 < len(segments):
            following = segments[index + 1]
            if (
                following.speaker == segment.speaker
                and following.start - segment.end < rules.paragraph_pause_seconds
                and count < rules.paragraph_max_words
            ):
                continue
        inside = segments[first : index + 1]
        yield Paragraph(
            start=inside[0].start,
            end=inside[-1].end,
            text=join_words(one.text for one in inside),
            first_segment=first,
            last_segment=index,
            speaker=segment.speaker,
        )
        first, count = index + 1, 0
