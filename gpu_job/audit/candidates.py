"""Find in a chunk what may be speech without words, or words without speech: what to ask the speech detector."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gpu_job.audio.chunker import Chunk
from gpu_job.audio.loudness import FRAMES_PER_SECOND, Levels, quietest
from gpu_job.audio.samples import seconds
from gpu_job.audit.evidence import (
    LOW_CONFIDENCE,
    MIN_WORDS_PER_SECOND,
    Loudness,
    TimedWord,
    isolated_words,
    sounding_seconds,
)
from gpu_job.audit.intervals import Span, uncovered
from gpu_job.audit.queries import AuditRules, SuspectWords, UntranscribedSpan, VadQuery, slice_chunk

LONG_SILENCE_SECONDS = 3.0
"""Chunks with no more than this left out between them are neighbours: missing speech can reach into the next one."""


@dataclass(eq=False)
class AuditedChunk:
    """A chunk, its words, and its neighbours: chunks that overlap it, touch it or are not far away."""

    chunk: Chunk
    before: AuditedChunk | None
    after: AuditedChunk | None = None
    is_followed: bool = False
    """Whether the next chunk is known, or that there is none."""
    words: list[TimedWord] | None = None
    """None until its result is there."""
    failed: bool = False
    examined: bool = False
    """Also where another audit does."""
    _word_covers: list[Span] | None = None

    @cached_property
    def span(self) -> Span:
        """Its time in the upload."""
        return Span(seconds(self.chunk.start), seconds(self.chunk.end))

    @property
    def reach(self) -> Span:
        """The same with some of the silence around it: a pause does not end where the rest of it was left out."""
        before = 0.0 if self.before is not None else LONG_SILENCE_SECONDS
        after = 0.0 if self.after is not None else LONG_SILENCE_SECONDS
        return Span(self.span.start - before, self.span.end + after)

    @property
    def near(self) -> list[AuditedChunk]:
        """Itself and its neighbours, in time order."""
        return [audited for audited in (self.before, self, self.after) if audited is not None]

    @property
    def is_ready(self) -> bool:
        """Whether its words and its neighbours' are there, and it was not examined yet."""
        if self.examined or not self.is_followed or self.words is None:
            return False
        return all(audited.words is not None for audited in self.near)

    @property
    def is_done(self) -> bool:
        """Whether no examination needs it any more."""
        return self.examined and self.is_followed and all(audited.examined for audited in self.near)

    def unlink(self) -> None:
        """Remove it from its neighbours, or each would keep the next one's audio alive."""
        if self.before is not None:
            self.before.after = None
        if self.after is not None:
            self.after.before = None

    @property
    def is_blank(self) -> bool:
        """Whether it was transcribed, and has no words."""
        return not self.words and not self.failed

    @property
    def covers(self) -> list[Span]:
        """Where it has words. A failed chunk is a gap already, so all of it counts."""
        return [self.span] if self.failed else self.word_covers

    @property
    def word_covers(self) -> list[Span]:
        """Of each word: needed when the chunk itself is examined, and with each of its neighbours."""
        if self._word_covers is None:
            self._word_covers = [timed.cover for timed in self.words or ()]
        return self._word_covers

    def answer(self, words: list[TimedWord], *, failed: bool) -> None:
        """Its result is there."""
        self.words, self.failed, self._word_covers = words, failed, None


def queries_for(audited: AuditedChunk, rules: AuditRules) -> list[VadQuery]:
    """What to ask the detector about a chunk that is ready."""
    if len(audited.chunk.levels) == 0:
        return []
    around = Loudness.of(np.concatenate([each.chunk.levels for each in audited.near]))
    queries: list[VadQuery] = []
    audio: Chunk | None = None
    for span in untranscribed_spans(audited):
        if audited.is_blank or span.seconds > rules.gap_seconds:
            audio = audio or concatenated([each.chunk for each in audited.near])
            if sounding_seconds(slice_chunk(audio, span).levels, around) >= rules.min_speech_seconds:
                window = _with_context(audio, span, rules.context_seconds)
                queries.append(UntranscribedSpan(window, span, *_edges(audited, span)))
    for words in _grouped(_suspect_words(audited, around), 2 * rules.context_seconds):
        audio = audio or concatenated([each.chunk for each in audited.near])
        reach = Span(words[0].cover.start, words[-1].cover.end).grown(rules.context_seconds)
        queries.append(SuspectWords(slice_chunk(audio, reach), tuple(words)))
    return queries


def untranscribed_spans(audited: AuditedChunk) -> list[Span]:
    """The spans without words that belong to a chunk: those that begin in it, even where they end in the next one.

    One that reaches into a blank chunk belongs to the blank one. Blank neighbours are divided where the second begins:
    else a span could grow without end.
    """
    before, own, after = audited.before, audited.reach, audited.after
    covers = [cover for each in audited.near for cover in each.covers]
    if audited.is_blank and before is not None and before.is_blank:
        covers.append(Span(own.start, own.start))
    last = own.end if after is None else after.span.start
    both_blank = audited.is_blank and after is not None and after.is_blank
    end = own.end if after is None else last if both_blank else after.reach.end
    free = uncovered(covers, Span(audited.near[0].reach.start, end))
    if audited.is_blank:
        return [span for span in free if span.start < last and span.end > own.start]
    taken = after is not None and after.is_blank
    return [span for span in free if own.start <= span.start < last and not (taken and span.end > last)]


def _with_context(audio: Chunk, span: Span, context: float) -> Chunk:
    """A span with up to `context` seconds on both sides, begun and ended where it is quiet, not inside a word."""
    whole = slice_chunk(audio, span.grown(context))
    level, held = whole.levels, Span(seconds(whole.start), seconds(whole.end))
    first = _quiet_place(level, span.start - held.start - context / 2)
    last = _quiet_place(level[::-1], held.end - span.end - context / 2)
    return slice_chunk(whole, Span(held.start + first, held.end - last))


def _quiet_place(level: Levels, within: float) -> float:
    """Seconds to the quietest place of the first `within` seconds; 0 where they are too few to choose."""
    frames, width = round(within * FRAMES_PER_SECOND), FRAMES_PER_SECOND // 10
    return quietest(level, 0, frames, width) / FRAMES_PER_SECOND if width <= frames <= len(level) else 0.0


def _edges(audited: AuditedChunk, span: Span) -> tuple[str | None, str | None, float]:
    words = [timed for each in audited.near for timed in each.words or ()]
    before = next((timed for timed in words if timed.cover.end == span.start), None)
    after = next((timed.word.text for timed in words if timed.cover.start == span.end), None)
    return (None, after, 0.0) if before is None else (before.word.text, after, before.latest_end)


_WORD_TIME_TOLERANCE = 0.2
"""Word times are this exact: sound so near a word may be the word."""


def _suspect_words(audited: AuditedChunk, around: Loudness) -> list[TimedWord]:
    """Isolated words, words of low confidence or where it is silent, and all words where they are few for the sound."""
    words = audited.words or []
    if len(words) < MIN_WORDS_PER_SECOND * sounding_seconds(audited.chunk.levels, around):
        return words
    others = (cover for each in audited.near if each is not audited for cover in each.covers)
    alone = isolated_words(words, audited.word_covers, others)

    is_alone = {id(timed) for timed in alone}
    sounding = np.concatenate(([0], np.cumsum(audited.chunk.levels >= around.sounding_db))).tolist()
    frames, start = len(sounding) - 1, audited.span.start

    def is_suspect(timed: TimedWord, cover: Span) -> bool:
        confidence = timed.word.confidence
        if confidence is not None and confidence < LOW_CONFIDENCE:
            return True
        first = min(frames, max(0, round((cover.start - _WORD_TIME_TOLERANCE - start) * FRAMES_PER_SECOND)))
        last = min(frames, max(first, round((cover.end + _WORD_TIME_TOLERANCE - start) * FRAMES_PER_SECOND)))
        return bool(sounding[first] == sounding[last])

    return [
        timed
        for timed, cover in zip(words, audited.word_covers, strict=True)
        if id(timed) in is_alone or is_suspect(timed, cover)
    ]


def _grouped(words: list[TimedWord], apart: float) -> Iterator[list[TimedWord]]:
    """Words in runs without a pause as long as `apart`."""
    run: list[TimedWord] = []
    for timed in words:
        if run and timed.cover.start - run[-1].cover.end >= apart:
            yield run
            run = []
        run.append(timed)
    if run:
        yield run


def concatenated(chunks: list[Chunk]) -> Chunk:
    """Neighbouring chunks as one. What was left out between them is silence."""
    samples = [chunks[0].samples]
    end = chunks[0].end
    for chunk in chunks[1:]:
        samples.append(np.zeros(max(0, chunk.start - end), np.float32))
        samples.append(chunk.samples[max(0, end - chunk.start) :])
        end = max(end, chunk.end)
    return Chunk(chunks[0].start, np.concatenate(samples))
