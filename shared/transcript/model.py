"""The transcript: words with times, grouped into segments and paragraphs, and how much of the speech it covers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.enums import Engine
from shared.media import Media

Seconds = Annotated[float, Field(ge=0)]
"""Seconds from the start of the upload."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Word(_Frozen):
    """One written word, with its capitals and punctuation."""

    text: Annotated[str, Field(min_length=1)]
    start: Seconds
    end: Seconds
    confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    speaker: int | None = None


class Segment(_Frozen):
    """Consecutive words of one sentence, speaker and engine: `words[first_word:last_word + 1]` of the transcript."""

    start: Seconds
    end: Seconds
    text: str
    first_word: Annotated[int, Field(ge=0)]
    last_word: Annotated[int, Field(ge=0)]
    engine: Engine
    speaker: int | None = None


class Paragraph(_Frozen):
    """Consecutive segments, `segments[first_segment:last_segment + 1]`, without a long pause or change of speaker."""

    start: Seconds
    end: Seconds
    text: str
    first_segment: Annotated[int, Field(ge=0)]
    last_segment: Annotated[int, Field(ge=0)]
    speaker: int | None = None


class Gap(_Frozen):
    """A stretch with speech, or with audio that could not be read, for which there are no words."""

    start: Seconds
    end: Seconds
    reason: str


class Coverage(_Frozen):
    """How much of the speech found in the audio has words."""

    speech_seconds: Seconds
    covered_seconds: Seconds
    gaps: tuple[Gap, ...] = ()
    audited: bool = True
    """False where the audio itself was not searched for speech, so that only the engine says what there was."""
    dropped_words: Annotated[int, Field(ge=0)] = 0
    """Words that an engine wrote where nobody speaks."""
    repaired_seconds: Seconds = 0.0
    """Audio that was decoded once more because speech in it had no words."""

    @property
    def share(self) -> float:
        """Covered share of the speech, 0 to 1; 1 where there is no speech."""
        return self.covered_seconds / self.speech_seconds if self.speech_seconds > 0 else 1.0


class Transcript(_Frozen):
    """Everything that the engines transcribed of one upload."""

    schema_version: Literal[1] = 1
    job_id: str
    source: str
    """`gs://bucket/name#generation`, or `file:///path` where there is no deployment."""
    duration: Seconds
    language: str
    model: str
    text: str
    words: tuple[Word, ...]
    segments: tuple[Segment, ...]
    paragraphs: tuple[Paragraph, ...]
    coverage: Coverage

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The engines that wrote at least one segment, each once."""
        return tuple(dict.fromkeys(segment.engine for segment in self.segments))


@dataclass(frozen=True)
class Passage:
    """Words in time order from one engine, as they come out of a chunk or a provider's answer."""

    engine: Engine
    words: Sequence[Word]


@dataclass(frozen=True)
class Grouping:
    """Where words break into segments and segments into paragraphs."""

    segment_pause_seconds: float = 1.0
    """A pause this long ends a segment even without a full stop."""
    segment_max_seconds: float = 30.0
    """A segment this long ends at the next word: speech without punctuation must not become one endless line."""
    paragraph_pause_seconds: float = 2.0
    """A pause this long starts a new paragraph."""
    paragraph_max_words: int = 120
    """A paragraph this long ends with its segment."""


def compose(
    *,
    job_id: str,
    source: str,
    duration: float,
    language: str,
    model: str,
    passages: Iterable[Passage],
    coverage: Coverage | None = None,
    grouping: Grouping | None = None,
) -> Transcript:
    """Passages in time order -> the transcript. Without `coverage` the words themselves are all that is known."""
    inside: list[Passage] = []
    clock = 0.0
    for passage in passages:
        clamped = clamp_times(passage.words, duration, clock)
        clock = clamped[-1].start if clamped else clock
        inside.append(Passage(passage.engine, clamped))
    words, segments, paragraphs = group(inside, grouping)
    if coverage is None:
        spoken = sum(segment.end - segment.start for segment in segments)
        coverage = Coverage(speech_seconds=spoken, covered_seconds=spoken, audited=False)
    return Transcript(
        job_id=job_id,
        source=source,
        duration=duration,
        language=language,
        model=model,
        text=" ".join(word.text for word in words),
        words=words,
        segments=segments,
        paragraphs=paragraphs,
        coverage=coverage,
    )


SHORT_BY_SECONDS, SHORT_BY_SHARE = 2.0, 0.01
"""A file may end this much earlier than its header says, in seconds and as a share: headers round, encoders pad."""


def missing_end(media: Media, decoded_seconds: float) -> Gap | None:
    """The gap between the end of the decoded audio and the end that the header states; None where they agree."""
    stated = media.duration_seconds
    if media.duration_is_estimate:
        return None
    if stated - decoded_seconds <= max(SHORT_BY_SECONDS, SHORT_BY_SHARE * stated):
        return None
    return Gap(start=decoded_seconds, end=stated, reason="The file says there is audio here, but it cannot be read.")


def with_gap(transcript: Transcript, gap: Gap) -> Transcript:
    """The transcript with one more gap, which may lie behind its end."""
    before = transcript.coverage
    coverage = before.model_copy(
        update={"speech_seconds": before.speech_seconds + gap.end - gap.start, "gaps": (*before.gaps, gap)}
    )
    return transcript.model_copy(update={"coverage": coverage, "duration": max(transcript.duration, gap.end)})


def clamp_times(words: Iterable[Word], duration: float, clock: float = 0.0) -> list[Word]:
    """The words with times inside the audio and starts that never run backwards, from `clock` seconds on."""
    inside = []
    for word in words:
        start = min(max(word.start, clock), duration)
        end = min(max(word.end, start), duration)
        moved = start != word.start or end != word.end
        inside.append(word.model_copy(update={"start": start, "end": end}) if moved else word)
        clock = start
    return inside


SENTENCE_ENDS = (".", "?", "!", "\u3002", "\uff1f", "\uff01")
_CLOSERS = "\"')]}\u201d\u2019"


def ends_sentence(text: str) -> bool:
    """Whether a written word closes its sentence; quotes and brackets after the full stop do not hide it."""
    return text.rstrip(_CLOSERS).endswith(SENTENCE_ENDS)


def group(
    passages: Iterable[Passage], grouping: Grouping | None = None
) -> tuple[tuple[Word, ...], tuple[Segment, ...], tuple[Paragraph, ...]]:
    """Passages in time order -> all words, their segments and their paragraphs."""
    rules = grouping or Grouping()
    words: list[Word] = []
    segments: list[Segment] = []
    first = 0
    engines: list[Engine] = []
    for passage in passages:
        words.extend(passage.words)
        engines.extend([passage.engine] * len(passage.words))
    for index in range(1, len(words) + 1):
        if index == len(words) or _breaks_segment(words, engines, first, index, rules):
            segments.append(_segment(words, first, index - 1, engines[first]))
            first = index
    return tuple(words), tuple(segments), tuple(_paragraphs(segments, rules))


def _breaks_segment(words: Sequence[Word], engines: Sequence[Engine], first: int, index: int, rules: Grouping) -> bool:
    before, word = words[index - 1], words[index]
    return (
        engines[index] != engines[first]
        or word.speaker != before.speaker
        or ends_sentence(before.text)
        or word.start - before.end >= rules.segment_pause_seconds
        or word.end - words[first].start > rules.segment_max_seconds
    )


def _segment(words: Sequence[Word], first: int, last: int, engine: Engine) -> Segment:
    inside = words[first : last + 1]
    return Segment(
        start=inside[0].start,
        end=inside[-1].end,
        text=" ".join(word.text for word in inside),
        first_word=first,
        last_word=last,
        engine=engine,
        speaker=inside[0].speaker,
    )


def _paragraphs(segments: Sequence[Segment], rules: Grouping) -> Iterable[Paragraph]:
    first = 0
    for index in range(1, len(segments) + 1):
        if index < len(segments):
            before, segment = segments[index - 1], segments[index]
            words_so_far = before.last_word - segments[first].first_word + 1
            if (
                segment.speaker == before.speaker
                and segment.start - before.end < rules.paragraph_pause_seconds
                and words_so_far < rules.paragraph_max_words
            ):
                continue
        inside = segments[first:index]
        yield Paragraph(
            start=inside[0].start,
            end=inside[-1].end,
            text=" ".join(segment.text for segment in inside),
            first_segment=first,
            last_segment=index - 1,
            speaker=inside[0].speaker,
        )
        first = index
