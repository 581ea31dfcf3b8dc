"""Candidates: what in a chunk under audit may be speech without words, or words without speech."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gpu_job.audio.chunker import Chunk
from gpu_job.audio.loudness import FRAMES_PER_SECOND, Levels, quietest
from gpu_job.audio.samples import seconds
from gpu_job.audit.evidence import UNSURE, WORDS_PER_SECOND, Loudness, TimedWord, islands, sounding_seconds
from gpu_job.audit.intervals import Span, between
from gpu_job.audit.questions import AuditRules, Hole, SuspectWords, VadQuery, part

LONG_SILENCE_SECONDS = 3.0
"""Chunks between which no more than this was left out are neighbours; a hole can reach from one into the next."""


@dataclass(eq=False)
class AuditedChunk:
    """A chunk, what was heard in it, and its neighbours: chunks that overlap it, touch it or are not far away."""

    chunk: Chunk
    before: AuditedChunk | None
    after: AuditedChunk | None = None
    is_followed: bool = False
    """Whether it is known what comes after."""
    words: list[TimedWord] | None = None
    """None until its answer is there."""
    failed: bool = False
    examined: bool = False

    @property
    def span(self) -> Span:
        """When it sounds."""
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
        return [section for section in (self.before, self, self.after) if section is not None]

    @property
    def is_ready(self) -> bool:
        """Whether all is there that its examination takes."""
        return not self.examined and self.is_followed and all(section.words is not None for section in self.near)

    @property
    def is_done(self) -> bool:
        """Whether no examination needs it any more."""
        return all(section.examined for section in self.near)

    def let_go(self) -> None:
        """Free its neighbours from it, or each would keep the next one's audio alive."""
        if self.before is not None:
            self.before.after = None
        if self.after is not None:
            self.after.before = None

    @property
    def is_blank(self) -> bool:
        """Whether it was heard, and nothing in it."""
        return not self.words and not self.failed

    @property
    def covers(self) -> list[Span]:
        """Where it has words. A failed chunk is a gap already: nothing in it is asked."""
        return [self.span] if self.failed else [heard.cover for heard in self.words or ()]


def examine(section: AuditedChunk, rules: AuditRules) -> list[VadQuery]:
    """What there is to ask about a section that is ready."""
    if len(section.chunk.levels) == 0:
        return []
    around = Loudness.of(np.concatenate([each.chunk.levels for each in section.near]))
    questions: list[VadQuery] = []
    sound: Chunk | None = None
    for span in free_stretches(section):
        if section.is_blank or span.seconds > rules.gap_seconds:
            sound = sound or joined([each.chunk for each in section.near])
            if sounding_seconds(part(sound, span).levels, around) >= rules.min_speech_seconds:
                window = _with_context(sound, span, rules.context_seconds)
                questions.append(Hole(window, span, *_edges(section, span)))
    for words in _together(_doubted(section, around), 2 * rules.context_seconds):
        sound = sound or joined([each.chunk for each in section.near])
        reach = Span(words[0].cover.start, words[-1].cover.end).grown(rules.context_seconds)
        questions.append(SuspectWords(part(sound, reach), tuple(words)))
    return questions


def free_stretches(section: AuditedChunk) -> list[Span]:
    """The stretches without words that are a section's: those that begin in it, even where they end in the next one.

    One that reaches into a blank section is the blank one's. Blank neighbours are divided where the second begins, or
    there would be no end to it.
    """
    before, own, after = section.before, section.reach, section.after
    covers = [cover for each in section.near for cover in each.covers]
    if section.is_blank and before is not None and before.is_blank:
        covers.append(Span(own.start, own.start))
    last = own.end if after is None else after.span.start
    both_blank = section.is_blank and after is not None and after.is_blank
    end = own.end if after is None else last if both_blank else after.reach.end
    free = between(covers, Span(section.near[0].reach.start, end))
    if section.is_blank:
        return [span for span in free if span.start < last and span.end > own.start]
    taken = after is not None and after.is_blank
    return [span for span in free if own.start <= span.start < last and not (taken and span.end > last)]


def _with_context(sound: Chunk, span: Span, context: float) -> Chunk:
    """A stretch with up to `context` seconds on both sides, begun and ended where it is quiet, not inside a word."""
    whole = part(sound, span.grown(context))
    level, held = whole.levels, Span(seconds(whole.start), seconds(whole.end))
    first = _quiet_place(level, span.start - held.start - context / 2)
    last = _quiet_place(level[::-1], held.end - span.end - context / 2)
    return part(whole, Span(held.start + first, held.end - last))


def _quiet_place(level: Levels, within: float) -> float:
    """Seconds to the quietest place of the first `within` seconds; 0 where they are too few to choose."""
    frames, width = round(within * FRAMES_PER_SECOND), FRAMES_PER_SECOND // 10
    return quietest(level, 0, frames, width) / FRAMES_PER_SECOND if width <= frames <= len(level) else 0.0


def _edges(section: AuditedChunk, span: Span) -> tuple[str | None, str | None]:
    words = [heard for each in section.near for heard in each.words or ()]
    before = next((heard.word.text for heard in words if heard.cover.end == span.start), None)
    after = next((heard.word.text for heard in words if heard.cover.start == span.end), None)
    return before, after


_REACH_SECONDS = 0.2
"""Word times are so exact; what sounds so near a word may be the word."""


def _doubted(section: AuditedChunk, around: Loudness) -> list[TimedWord]:
    """Words that stand alone, that the engine was unsure of, that nothing sounds at, or that are few in much sound."""
    words = section.words or []
    if len(words) < WORDS_PER_SECOND * sounding_seconds(section.chunk.levels, around):
        return words
    alone = islands(words, (cover for each in section.near if each is not section for cover in each.covers))

    def is_doubtful(heard: TimedWord) -> bool:
        sure = heard.word.confidence
        if sure is not None and sure < UNSURE:
            return True
        begin, end = heard.cover.grown(_REACH_SECONDS)
        first, last = (max(0, round((at - section.span.start) * FRAMES_PER_SECOND)) for at in (begin, end))
        return sounding_seconds(section.chunk.levels[first:last], around) == 0.0

    return [heard for heard in words if heard in alone or is_doubtful(heard)]


def _together(words: list[TimedWord], apart: float) -> Iterator[list[TimedWord]]:
    """Words in runs without a pause as long as `apart`."""
    run: list[TimedWord] = []
    for heard in words:
        if run and heard.cover.start - run[-1].cover.end >= apart:
            yield run
            run = []
        run.append(heard)
    if run:
        yield run


def joined(chunks: list[Chunk]) -> Chunk:
    """Neighbouring chunks as one. What was left out between them is silence."""
    samples = [chunks[0].samples]
    end = chunks[0].end
    for chunk in chunks[1:]:
        samples.append(np.zeros(max(0, chunk.start - end), np.float32))
        samples.append(chunk.samples[max(0, end - chunk.start) :])
        end = max(end, chunk.end)
    return Chunk(chunks[0].start, np.concatenate(samples))
