"""Words that another engine heard where the first one had none though somebody speaks. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import replace
from heapq import merge
from itertools import accumulate, groupby
from typing import NamedTuple

from gpu_job.asr.tokens import words_of
from gpu_job.assembly.heard_again import HeardAgain
from gpu_job.audio.samples import seconds
from gpu_job.audit.evidence import SPEECH_PAUSE_SECONDS
from gpu_job.audit.findings import Findings
from gpu_job.audit.intervals import Span, merge_close, uncovered
from gpu_job.audit.queries import AuditRules
from shared.enums import Engine
from shared.transcript.model import Gap, Passage, Word

_PAUSE_SECONDS = AuditRules.gap_seconds
"""As for the audit: no longer stretch without words is a gap once there are words beside it."""

_LONGEST_WORD_SECONDS = 30.0
"""A word that reaches into a stretch begins no earlier: no chunk is longer."""


class _Written(NamedTuple):
    clock: float
    """Its start, and no earlier than the starts of the words before it: at a seam times run backwards a little."""
    word: Word
    engine: Engine


def with_missing_words(
    passages: Sequence[Passage], findings: Sequence[Findings], heard: Iterable[HeardAgain]
) -> tuple[list[Passage], list[Findings]]:
    """Passages in time order, and what each channel's audit found -> the same with the words of stretches that had
    none, and with what is left of those stretches as gaps. Of several channels, a word's speaker is its channel."""
    missing = [one for one in heard if one.missed_by is not None]
    if not missing:
        return list(passages), list(findings)
    is_split = len(findings) > 1
    words = [(word, passage.engine) for passage in passages for word in passage.words]
    clocks = list(accumulate((word.start for word, _ in words), max))
    written = [_Written(clock, word, engine) for clock, (word, engine) in zip(clocks, words, strict=True)]
    found: dict[int, list[Word]] = {}
    added: list[_Written] = []
    for other in missing:
        speaker = other.channel if is_split else None
        near = range(
            bisect_left(clocks, seconds(other.first) - _LONGEST_WORD_SECONDS), bisect_left(clocks, seconds(other.end))
        )
        known = [written[at].word for at in near if written[at].word.speaker == speaker]
        new = [word for word in words_of(other.tokens, speaker) if not any(_meets(word, one) for one in known)]
        found.setdefault(other.channel, []).extend(new)
        added.extend(_Written(word.start, word, other.engine) for word in new)
    added.sort(key=lambda one: one.clock)
    both = merge(written, added, key=lambda one: one.clock)
    edited = [Passage(engine, [one.word for one in group]) for engine, group in groupby(both, lambda one: one.engine)]
    left = [
        replace(each, gaps=[part for gap in each.gaps for part in _left_of(gap, found.get(channel, ()))])
        for channel, each in enumerate(findings)
    ]
    return edited, left


def _meets(word: Word, known: Word) -> bool:
    return known.start <= (word.start + word.end) / 2 < known.end


def _left_of(gap: Gap, words: Iterable[Word]) -> list[Gap]:
    """What of a gap is no pause between words."""
    whole = Span(gap.start, gap.end)
    parts = uncovered(merge_close((Span(word.start, word.end) for word in words), SPEECH_PAUSE_SECONDS), whole)
    if parts == [whole]:
        return [gap]
    return [
        gap.model_copy(update={"start": part.start, "end": part.end}) for part in parts if part.seconds > _PAUSE_SECONDS
    ]
