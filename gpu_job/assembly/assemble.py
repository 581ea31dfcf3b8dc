"""Assemble the chunk results of a file, in whatever order they come, into passages, gaps and coverage. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import merge
from itertools import chain, groupby
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, PlainSerializer

from gpu_job.asr.packed_tokens import packed
from gpu_job.asr.tokens import Token, ensure_word_start, plain_words_of
from gpu_job.assembly.completeness import RecognizedChunk, lost_words, untranscribed
from gpu_job.assembly.heard_again import HeardAgain
from gpu_job.assembly.merge import ChunkTokens, kept_slices
from gpu_job.assembly.missing_words import with_missing_words
from gpu_job.assembly.replaced_words import with_words_of
from gpu_job.assembly.second_opinion import with_provenance, with_second_opinions
from gpu_job.audio.audible import SampleRange
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import seconds
from gpu_job.audit.evidence import SPEECH_PAUSE_SECONDS
from gpu_job.audit.findings import Findings, apply_findings
from gpu_job.audit.intervals import Span, merge_close, total
from gpu_job.languages.chunk_flips import FlipHeardAgain
from gpu_job.languages.spoken import SpokenLanguages
from gpu_job.speakers.turns import Turn
from gpu_job.speakers.words import overlaps_of_turns, passages_of_speakers, speakers_of_turns
from shared.enums import Engine
from shared.errors import EngineFailed
from shared.formats.tracks import TranscriptTrack
from shared.options.text_options import TextOptions
from shared.redaction.request import NOTHING_REDACTED, RedactionRequest
from shared.transcript.compose import compose
from shared.transcript.editing.edit_words import edited
from shared.transcript.model import Coverage, Gap, Passage, Transcript
from shared.transcript.quality import LOW_CONFIDENCE
from shared.transcript.speakers import NO_VOICES, KnownVoice
from shared.transcript.words import WordRow, Words, rows_of

FindLanguages = Callable[[Sequence[Passage]], SpokenLanguages]


@dataclass(frozen=True)
class ChunkResult:
    """What an engine made of one chunk. Token times in seconds from the start of the upload."""

    start: int
    """First sample of the chunk."""
    end: int
    engine: Engine
    tokens: Annotated[Sequence[Token], AfterValidator(packed), PlainSerializer(tuple, tuple[Token, ...])] = ()
    """Read from a checkpoint, they are packed."""
    failure: str | None = None
    """Why there are no words."""
    channel: int = 0
    is_fallback: bool = False
    """Whether another engine failed on it before."""
    audio: str | None = None
    """`digest` of its samples, where they come from a part of the file alone: it is of use only for the same ones."""
    model: str | None = None
    """As settings name it, where a trial chose it; None: the upload's."""


def chunk_result(chunk: Chunk, engine: Engine, tokens: Iterable[Token], channel: int = 0) -> ChunkResult:
    """Tokens timed from the chunk's start -> a result timed from the upload's start."""
    offset = seconds(chunk.start)
    return ChunkResult(chunk.start, chunk.end, engine, tuple(token.later(offset) for token in tokens), channel=channel)


class _Recognized(NamedTuple):
    """A word with its place in the order of words, and the engine that recognized it."""

    clock: float
    word: WordRow
    engine: Engine


@dataclass
class Assembly:
    """The results of one file as they arrive. Complete when as many came as were cut, and no more will be cut."""

    _results: dict[tuple[int, int], ChunkResult] = field(default_factory=dict)
    """By channel and first sample."""
    _cut: int = 0
    """Chunks."""
    _cut_seconds: float = 0.0
    """Audio in them, of all channels."""
    _cut_until: float = 0.0
    """Where the last of them ends, in seconds."""
    _samples: int | None = None
    """Length of the upload, known when its last chunk was cut."""
    _unreadable: list[Gap] = field(default_factory=list)
    _audible: dict[int, Sequence[SampleRange]] = field(default_factory=dict)
    """By channel; nothing is compared where it is not known."""
    loudness: tuple[int, ...] | None = None
    """Of each second, in dB below full scale; None where it was not measured."""

    def expect(self, start: int, end: int) -> None:
        """One more chunk was cut; its first sample, and the one behind its last."""
        self._cut += 1
        self._cut_seconds += seconds(end - start)
        self._cut_until = max(self._cut_until, seconds(end))

    def add(self, arrived: ChunkResult) -> None:
        """A chunk's words; a second result for the same chunk is ignored."""
        if (arrived.channel, arrived.start) not in self._results:
            kept = replace(arrived, tokens=packed(arrived.tokens))
            self._results[arrived.channel, arrived.start] = kept

    def end(
        self, samples: int, audible: Iterable[Sequence[SampleRange]] = (), loudness: tuple[int, ...] | None = None
    ) -> None:
        """The last chunk was cut; the upload has so many samples. `audible`: where each channel has sound."""
        self._audible = dict(enumerate(audible))
        self.loudness = loudness
        self._samples = samples

    def add_gap(self, gap: Gap) -> None:
        """A stretch of audio that could not be read."""
        self._unreadable.append(gap)

    @property
    def is_complete(self) -> bool:
        """Whether every chunk has its result."""
        return self._samples is not None and len(self._results) == self._cut

    @property
    def duration(self) -> float:
        """Seconds of audio decoded. Only of an upload whose end was reached."""
        return seconds(self._samples or 0)

    def expected_seconds(self, stated: float | None, channels: int) -> float:
        """Audio in all chunks once all is cut: what was cut, and of the rest as large a share as of that.

        `stated`: the upload's length by its header; None where it is not known.
        """
        if self._samples is not None or stated is None:
            return self._cut_seconds
        share = min(1.0, self._cut_seconds / (channels * self._cut_until)) if self._cut_until else 1.0
        return self._cut_seconds + share * channels * max(0.0, stated - self._cut_until)

    def results(self) -> list[ChunkResult]:
        """What arrived so far, by channel and time."""
        return [self._results[place] for place in sorted(self._results)]

    def results_of(self, channel: int) -> list[ChunkResult]:
        """What arrived so far of one channel, by time."""
        return [one for one in self.results() if one.channel == channel]

    def passages(self, findings: Sequence[Findings]) -> list[Passage]:
        """The words of all channels in time order, with the engine that wrote them. `findings`: of each channel."""
        channels = groupby(self.results(), key=lambda done: done.channel)
        is_split = len(findings) > 1
        words = merge(
            *(
                _channel_words(list(parts), findings[channel], channel if is_split else None)
                for channel, parts in channels
            ),
            key=lambda one: one.clock,
        )
        return [
            Passage(engine, Words.of_rows(each.word for each in group))
            for engine, group in groupby(words, key=lambda one: one.engine)
        ]

    def gaps(self, findings: Sequence[Findings], passages: Sequence[Passage]) -> list[Gap]:
        """Chunks that failed, sound that was in none, audio that could not be read, speech without words, and words
        that were lost, in time order."""
        failed = [
            Gap(start=seconds(one.start), end=seconds(one.end), reason=one.failure)
            for one in self.results()
            if one.failure
        ]
        missing_speech = [gap for each in findings for gap in each.gaps]
        lost = [*self._not_transcribed(), *self._words_lost(findings, passages)]
        return sorted([*failed, *self._unreadable, *missing_speech, *lost], key=lambda gap: gap.start)

    def _not_transcribed(self) -> Iterator[Gap]:
        for channel, audible in self._audible.items():
            yield from untranscribed(audible, ((one.start, one.end) for one in self.results_of(channel)))

    def _words_lost(self, findings: Sequence[Findings], passages: Iterable[Passage]) -> Iterator[Gap]:
        for channel, found in enumerate(findings):
            chunks = [RecognizedChunk(one.start, one.end, one.tokens) for one in self.results_of(channel)]
            written = Words.of_rows(row for row in _rows(passages) if (row[-1] or 0) == channel)
            yield from lost_words(chunks, found, written)


def transcript_of(
    assembly: Assembly,
    findings: Sequence[Findings],
    model: Callable[[Sequence[Engine]], str],
    *,
    job_id: str,
    source: str,
    language: str,
    low_confidence: float = LOW_CONFIDENCE,
    tracks: tuple[TranscriptTrack, ...] = (),
    turns: Sequence[Turn] | None = None,
    speaker_names: Sequence[str] = (),
    known_voices: Mapping[int, KnownVoice] = NO_VOICES,
    text: TextOptions | None = None,
    redaction: RedactionRequest = NOTHING_REDACTED,
    find_languages: FindLanguages | None = None,
    heard_again: Sequence[HeardAgain] = (),
    flips: Sequence[FlipHeardAgain] = (),
) -> Transcript:
    """A complete assembly and each channel's audit -> the transcript. `model`: names the models of some engines.

    `turns`: who speaks when; None where it is not known. `speaker_names`: in the order of who is heard first.
    `known_voices`: kept voices that some of them are. `text`: how the words are to be written. `redaction`: what is
    redacted later, whose terms are written as they were heard. `find_languages`: where `language` is not known.
    `heard_again`: what other engines heard of stretches of which the first was not sure, or had no words. `flips`:
    chunks that were heard again for their language. Coverage and gaps are by what the engines wrote first, and by the
    words of stretches that had none.

    Raises EngineFailed where every chunk failed.
    """
    results, passages = assembly.results(), assembly.passages(findings)
    passages, findings = with_missing_words(passages, findings, heard_again)
    gaps = assembly.gaps(findings, passages)
    failures = [result.failure for result in results if result.failure]
    if failures and len(failures) == len(results):
        raise EngineFailed(failures[0])
    is_split = len(findings) > 1
    better = with_words_of(passages, [_better_words(flip) for flip in flips if flip.is_better], is_split=is_split)
    better, opinions = with_second_opinions(better, heard_again, is_split=is_split)
    used = [*(result.engine for result in results if not result.failure), *(one.engine for one in better)]
    found = None if find_languages is None else find_languages(better)
    if found is not None:
        better, language = list(found.passages), found.language
    spoken = better if turns is None else passages_of_speakers(better, turns, language)
    transcript = compose(
        job_id=job_id,
        source=source,
        duration=max([assembly.duration, *(gap.end for gap in gaps)]),
        language=language,
        model=model(list(dict.fromkeys(used))),
        passages=edited(spoken, language, text or TextOptions(), redaction),
        channels=len(findings),
        speakers=speakers_of_turns(turns or (), speaker_names, known_voices),
        overlaps=overlaps_of_turns(turns or ()),
        coverage=coverage(passages, gaps, findings),
        tracks=tracks,
        low_confidence=low_confidence,
        loudness=assembly.loudness,
        warnings=() if found is None else found.warnings,
        estimated_times=any(not token.is_timed for result in results for token in result.tokens),
    )
    transcript = transcript.model_copy(update={"language_flips": tuple(one.provenance for one in flips)})
    return with_provenance(transcript, opinions)


def _better_words(flip: FlipHeardAgain) -> HeardAgain:
    heard = flip.flipped.heard
    return HeardAgain(heard.channel, heard.first, heard.end, flip.engine, tuple(flip.tokens))


def coverage_of(assembly: Assembly, findings: Sequence[Findings]) -> Coverage:
    """Of a complete assembly, by what its engines wrote first."""
    passages = assembly.passages(findings)
    return coverage(passages, assembly.gaps(findings, passages), findings)


def coverage(passages: Sequence[Passage], gaps: Sequence[Gap], findings: Sequence[Findings]) -> Coverage:
    """How much of the speech has words. Speech is where there are words, short pauses included, and in gaps;
    of split channels, the sum."""
    covered = sum(
        total(
            merge_close(
                (Span(start, end) for _, start, end, _, spoken_by in _rows(passages) if spoken_by == speaker),
                SPEECH_PAUSE_SECONDS,
            )
        )
        for speaker in dict.fromkeys(spoken_by for *_, spoken_by in _rows(passages))
    )
    return Coverage(
        speech_seconds=covered + sum(gap.end - gap.start for gap in gaps),
        covered_seconds=covered,
        gaps=tuple(gaps),
        audited=all(each.audited for each in findings),
        dropped_words=sum(len(each.dropped) for each in findings),
        repaired_seconds=sum(each.retranscribed_seconds for each in findings),
    )


def _rows(passages: Iterable[Passage]) -> Iterator[WordRow]:
    return chain.from_iterable(rows_of(passage.words) for passage in passages)


def _channel_words(parts: Sequence[ChunkResult], findings: Findings, speaker: int | None) -> Iterator[_Recognized]:
    """The results of one channel in time order -> its words. Where they overlap, what both recognized counts once."""
    slices = kept_slices([ChunkTokens(seconds(one.start), seconds(one.end), one.tokens) for one in parts])
    tokens = (token for one, kept in zip(parts, slices, strict=True) for token in ensure_word_start(one.tokens[kept]))
    starts = [seconds(one.start) for one in parts]
    clock = 0.0
    for word in plain_words_of(apply_findings(tokens, findings)):
        # The order of tokens is right even where, at a seam, times run backwards a little.
        clock = max(clock, word.start)
        yield _Recognized(clock, (*word, speaker), parts[max(0, bisect_right(starts, word.start) - 1)].engine)
