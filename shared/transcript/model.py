"""The transcript: words with times, their segments and paragraphs, and how much of the speech has words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.dataclasses import dataclass as checked_dataclass

from shared.enums import Engine
from shared.formats.tracks import TranscriptTrack
from shared.keyterms.heard import keyterm_report
from shared.keyterms.report import EngineTerms, KeytermReport
from shared.keyterms.terms import Keyterm
from shared.media import Media
from shared.transcript.words import Seconds, Words
from shared.transcript.words import Word as Word

Language = Annotated[str, Field(min_length=2, max_length=35)]
"""A BCP 47 tag."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


@checked_dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Consecutive words of one sentence, speaker, engine and language: of the transcript's
    `words[first_word:last_word + 1]` those of this speaker. Where two people talk at once, such ranges overlap."""

    start: Seconds
    end: Seconds
    text: str
    first_word: Annotated[int, Field(ge=0)]
    last_word: Annotated[int, Field(ge=0)]
    engine: Engine
    speaker: int | None = None
    language: Language | None = None
    """BCP 47 tag, where it was to be found; None: the transcript's."""
    compared_with: Engine | None = None
    """The other engine that heard some of it, too, where a second opinion was asked for."""

    def word_indexes(self, words: Words) -> list[int]:
        """The places of the segment's words in the transcript's `words`."""
        speakers, own = words.speakers, self.speaker
        return [index for index in range(self.first_word, self.last_word + 1) if speakers[index] == own]


@checked_dataclass(frozen=True, slots=True, kw_only=True)
class SecondOpinion:
    """A stretch of whose words an engine was not sure, or for which it had none, that another one heard, too. Without
    texts: what is redacted in the transcript may not stand here."""

    start: Seconds
    end: Seconds
    first: Engine
    first_confidence: float | None = None
    """Mean of the words' confidences; None where it had no words."""
    second: Engine
    second_confidence: float | None = None
    agreed: bool
    """Whether both heard the same words."""
    kept: Engine
    """Whose words stand in the transcript."""


@checked_dataclass(frozen=True, slots=True, kw_only=True)
class LanguageFlip:
    """A chunk in another language than those around it, that was heard again. Without texts, as second opinions."""

    start: Seconds
    end: Seconds
    language: str
    """In which the words were first."""
    around: str
    confidence: float | None
    """Mean of the first words' confidences."""
    heard_again_by: str
    """The model, as settings name it."""
    way: Literal["context", "told", "model"]
    """With the ends of the chunks beside it; told the language around; by that language's model."""
    heard_again_confidence: float | None
    replaced: bool
    """Whether the words of the second hearing stand in the transcript."""


@checked_dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
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


class WarningCode(StrEnum):
    """What a transcript warns of."""

    LOW_CONFIDENCE = "low_confidence"
    ESTIMATED_TIMES = "estimated_times"
    """The engine gives no word times; they are spread over each chunk."""
    LANGUAGE_FLIPS = "language_flips"
    """Short stretches are in another language than what is around them, and the engine was less sure of them."""
    UNKNOWN_SPEAKERS = "unknown_speakers"
    """Who says what was asked, and was not found out."""
    COVERAGE_BELOW_MINIMUM = "coverage_below_minimum"
    """Less of what is said has words than was asked for, after whatever other engine may be asked."""
    REDACTED_AUDIO_MISSING = "redacted_audio_missing"
    """A redacted recording was asked for, and there is none that is known to say nothing of what was redacted."""
    REDACTION_LANGUAGE = "redaction_language"
    """Personal data or numbers were looked for in a language of which only some are found."""


class TranscriptWarning(_Frozen):
    """Something that the reader of a transcript should know, though nothing failed."""

    code: WarningCode
    message: str
    """One sentence or two for a person."""


class Speaker(_Frozen):
    """One of the people who speak."""

    number: Annotated[int, Field(ge=0)]
    """As words, segments and paragraphs have it; by who is heard first."""
    name: str
    """As the upload's owner calls them; without that, as the kept voice is called that they sound like, or "Speaker 0"
    and so on."""
    seconds: Seconds
    """How long they speak."""
    voice_score: Annotated[float, Field(ge=-1, le=1)] | None = None
    """How alike they and the kept voice are whose name they have, a cosine; None: the name is no kept voice's."""


class Overlap(_Frozen):
    """A stretch in which several people speak at once: words in it may be another one's, or be missing."""

    start: Seconds
    end: Seconds
    speakers: Annotated[tuple[int, ...], Field(min_length=2)]
    """Their numbers, ascending."""


class RedactedStretch(_Frozen):
    """Words that were redacted: one token stands for them."""

    start: Seconds
    end: Seconds
    label: str
    """What they were: `NAME`, `CARD`; as the token has it, in brackets."""


class RedactedAudio(_Frozen):
    """The redacted recording beside the transcript."""

    file: str
    """Its name among the results."""
    masked_seconds: Seconds
    """Of it muted or beeped: redacted words with their margins, and gaps of the coverage."""
    margin_seconds: Seconds
    """Before and behind each redacted stretch."""
    rounds: Annotated[int, Field(ge=1)]
    """How often it was made and transcribed again until nothing of what was redacted was heard."""


class Redaction(_Frozen):
    """What was redacted."""

    kinds: tuple[str, ...]
    """What was looked for."""
    stretches: tuple[RedactedStretch, ...]
    audio: RedactedAudio | None = None
    """None: not asked for, or there is none: then a warning says why."""


class Transcript(_Frozen):
    """Everything that the engines transcribed of one upload."""

    schema_version: Literal[1] = 1
    job_id: str
    source: str
    """`gs://bucket/name#generation`, or `file:///path` where there is no deployment."""
    duration: Seconds
    language: str
    language_confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    """How sure Deepgram is of it, where it found it; None: nobody says."""
    model: str
    channels: Annotated[int, Field(ge=1)] = 1
    """Channels that were transcribed each by itself. Of several, a word's speaker is its channel."""
    speakers: tuple[Speaker, ...] = ()
    """Who speaks, where that was asked; empty where it was not, or could not be found out."""
    overlaps: tuple[Overlap, ...] = ()
    """Where several of them speak at once, in time order; empty where only words are known, as from Deepgram."""
    text: str
    """The texts of the segments, in their order."""
    words: Words
    """By start, of all speakers together."""
    segments: tuple[Segment, ...]
    """By first word."""
    paragraphs: tuple[Paragraph, ...]
    coverage: Coverage
    tracks: tuple[TranscriptTrack, ...] = ()
    """The file's audio tracks, and which of them was transcribed; empty where they were not listed."""
    loudness: tuple[Annotated[int, Field(ge=-100, le=0)], ...] | None = None
    """Of each second of the audio that was decoded, without what is slower than speech, in dB below full scale; of
    channels that were transcribed each by itself the loudest one's. -100: digital silence. None: not measured."""
    second_opinions: tuple[SecondOpinion, ...] = ()
    """In time order; empty where none was asked for, or none was needed."""
    language_flips: tuple[LanguageFlip, ...] = ()
    """In time order: chunks that were heard again because they were in another language than what is around them."""
    warnings: tuple[TranscriptWarning, ...] = ()
    keyterms: KeytermReport | None = None
    """What became of the upload's key terms; None where it has none."""
    redaction: Redaction | None = None
    """None: nothing was to be redacted."""

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The engines that wrote at least one segment, each once."""
        return tuple(dict.fromkeys(segment.engine for segment in self.segments))

    @property
    def languages(self) -> tuple[str, ...]:
        """Of the segments, each once, the one with most of the words first; of a transcript without words its own."""
        words: Counter[str] = Counter()
        for segment in self.segments:
            words[segment.language or self.language] += len(segment.word_indexes(self.words))
        return tuple(language for language, _ in words.most_common()) or (self.language,)


@dataclass(frozen=True)
class Passage:
    """Words in time order from one engine, as they come out of a chunk or a provider's answer."""

    engine: Engine
    words: Sequence[Word]
    language: str | None = None
    """BCP 47 tag, where it was to be found; None: the recording's."""


SHORT_BY_SECONDS = 0.5
"""A file may end this much earlier than its header says, however long it is: headers round, encoders pad."""


def missing_end(media: Media, decoded_seconds: float) -> Gap | None:
    """The gap between the end of the decoded audio and the end that the header states; None where they agree."""
    stated = media.promised_seconds or (0.0 if media.duration_is_estimate else media.duration_seconds)
    if stated - decoded_seconds <= SHORT_BY_SECONDS:
        return None
    return Gap(start=decoded_seconds, end=stated, reason="The file says there is audio here, but it cannot be read.")


def with_gap(transcript: Transcript, gap: Gap) -> Transcript:
    """The transcript with one more gap, which may lie behind its end."""
    before = transcript.coverage
    coverage = before.model_copy(
        update={"speech_seconds": before.speech_seconds + gap.end - gap.start, "gaps": (*before.gaps, gap)}
    )
    return transcript.model_copy(update={"coverage": coverage, "duration": max(transcript.duration, gap.end)})


def with_keyterms(transcript: Transcript, terms: Sequence[Keyterm], engines: Iterable[EngineTerms]) -> Transcript:
    """The transcript with a report of these terms; as it is where there are none.

    `engines`: what those that may have written it make of the terms.
    """
    wrote = [one for one in engines if one.engine in transcript.engines]
    report = keyterm_report(transcript.words, terms, wrote)
    return transcript if report is None else transcript.model_copy(update={"keyterms": report})
