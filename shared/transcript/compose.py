"""Words as engines return them -> the transcript: their times inside the audio, grouped in segments and paragraphs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
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
    Word,
)
from shared.transcript.quality import LOW_CONFIDENCE, confidence_warnings
from shared.transcript.sentences import sentence_ends
from shared.transcript.spacing import join_words


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
    inside: list[Passage] = []
    clock = 0.0
    for passage in passages:
        clamped = clamp_times(passage.words, duration, clock)
        clock = clamped[-1].start if clamped else clock
        inside.append(replace(passage, words=clamped))
    words, segments, paragraphs = group(inside, language, grouping)
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
            *confidence_warnings(words, low_confidence),
            *(_ESTIMATED_TIMES if estimated_times else ()),
            *warnings,
        ),
    )


def clamp_times(words: Iterable[Word], duration: float, clock: float = 0.0) -> list[Word]:
    """The words with times inside the audio and starts that never run backwards, from `clock` seconds on."""
    inside = []
    for word in words:
        start = min(max(word.start, clock), duration)
        end = min(max(word.end, start), duration)
        moved = start != word.start or end != word.end
        inside.append(replace(word, start=start, end=end) if moved else word)
        clock = start
    return inside


def group(
    passages: Iterable[Passage], language: str, grouping: Grouping | None = None
) -> tuple[tuple[Word, ...], tuple[Segment, ...], tuple[Paragraph, ...]]:
    """Passages in time order -> all words in that order, their segments by first word, and their paragraphs."""
    rules = grouping or Grouping()
    words: list[Word] = []
    origins: list[_Origin] = []
    for passage in passages:
        words.extend(passage.words)
        origins.extend([_Origin(passage.engine, passage.language)] * len(passage.words))
    # What others say meanwhile does not break a speaker's sentence.
    by_speaker: dict[int | None, list[int]] = {}
    for index, word in enumerate(words):
        by_speaker.setdefault(word.speaker, []).append(index)
    segments = sorted(
        (
            _segment(words, inside, origins[inside[0]])
            for indexes in by_speaker.values()
            for inside in _segments_of_one_speaker(words, origins, indexes, language, rules)
        ),
        key=lambda segment: segment.first_word,
    )
    return tuple(words), tuple(segments), tuple(_paragraphs(words, segments, rules))


class _Origin(NamedTuple):
    """Where words come from; those of a segment come from one."""

    engine: Engine
    language: str | None


def _segments_of_one_speaker(
    words: Sequence[Word], origins: Sequence[_Origin], indexes: Sequence[int], language: str, rules: Grouping
) -> Iterator[Sequence[int]]:
    """The indexes of a speaker's words -> those of each segment. `language`: of words that have none of their own."""
    ends = [
        end
        for spoken, alike in groupby(indexes, lambda index: origins[index].language or language)
        for end in sentence_ends([words[index].text for index in alike], spoken)
    ]
    first = 0
    for at in range(1, len(indexes) + 1):
        if at < len(indexes):
            before, word = words[indexes[at - 1]], words[indexes[at]]
            if not (
                ends[at - 1]
                or origins[indexes[at]] != origins[indexes[first]]
                or word.start - before.end >= rules.segment_pause_seconds
                or word.end - words[indexes[first]].start > rules.segment_max_seconds
            ):
                continue
        yield indexes[first:at]
        first = at


def _segment(words: Sequence[Word], indexes: Sequence[int], origin: _Origin) -> Segment:
    first, last = words[indexes[0]], words[indexes[-1]]
    return Segment(
        start=first.start,
        end=last.end,
        text=join_words(words[index].text for index in indexes),
        first_word=indexes[0],
        last_word=indexes[-1],
        engine=origin.engine,
        speaker=first.speaker,
        language=origin.language,
    )


def _paragraphs(words: Sequence[Word], segments: Sequence[Segment], rules: Grouping) -> Iterator[Paragraph]:
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
