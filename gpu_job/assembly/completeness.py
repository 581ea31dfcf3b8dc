"""Check that all sound has a result and all words are in the transcript, whatever lost them. Pure.

These counts know nothing of how chunks are cut and merged: they compare what went in with what came out.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from gpu_job.asr.tokens import Token, ensure_word_start
from gpu_job.audio.audible import SampleRange
from gpu_job.audio.samples import seconds
from gpu_job.audit.evidence import timed_words
from gpu_job.audit.findings import Findings
from gpu_job.audit.intervals import Span, merge_close, uncovered
from shared.transcript.model import Gap
from shared.transcript.words import Words

NOT_TRANSCRIBED_REASON = "Sound here did not reach the engine."
WORDS_LOST_REASON = "Words were recognized here that are not in the transcript."

MIN_UNTRANSCRIBED_SECONDS = 0.05
"""Less sound than this holds no word."""

MERGED_PAUSE_SECONDS = 1.0
"""Stretches closer than this are one gap."""

SAME_WORD_SECONDS = 0.3
"""A word's start may be moved so much at a seam, where times would else run backwards."""

SAME_TIME_SECONDS = 0.1
"""Where chunks overlap, the words of one that were kept may be timed so much differently from the other's."""


@dataclass(frozen=True)
class RecognizedChunk:
    """A range of samples, and the tokens that an engine recognized in it."""

    start: int
    end: int
    tokens: Sequence[Token]


def untranscribed(audible: Iterable[SampleRange], transcribed: Iterable[SampleRange]) -> list[Gap]:
    """Where a channel is audible and lies in no chunk with a result."""
    covered = sorted(Span(seconds(start), seconds(end)) for start, end in transcribed)
    missing: list[Span] = []
    first = 0
    for start, end in audible:
        whole = Span(seconds(start), seconds(end))
        while first < len(covered) and covered[first].end <= whole.start:
            first += 1
        missing += uncovered(_until(covered, first, whole.end), whole)
    return _gaps((span for span in missing if span.seconds >= MIN_UNTRANSCRIBED_SECONDS), NOT_TRANSCRIBED_REASON)


def _until(spans: Sequence[Span], first: int, end: float) -> Iterable[Span]:
    for index in range(first, len(spans)):
        if spans[index].start >= end:
            return
        yield spans[index]


def lost_words(chunks: Sequence[RecognizedChunk], findings: Findings, written: Words) -> list[Gap]:
    """Where a channel's engine recognized words, and the audit did not drop them, but they are not written.

    `chunks`: in order. Where two of them overlap, each heard words of its own, and any word at that time will do.
    """
    dropped = {timed.cover for timed in findings.dropped}
    by_text: dict[str, array[float]] = {}
    for text, start in zip(written.texts, written.starts, strict=True):
        by_text.setdefault(text, array("d")).append(start)
    starts = {text: array("d", sorted(found)) for text, found in by_text.items()}
    times = merge_close(
        (Span(start, end).grown(SAME_TIME_SECONDS) for start, end in zip(written.starts, written.ends, strict=True)),
        pause=0.0,
    )
    shared = [
        Span(seconds(after.start), seconds(before.end)).grown(SAME_WORD_SECONDS)
        for before, after in pairwise(chunks)
        if after.start < before.end
    ]
    lost: list[Span] = []
    for chunk in chunks:
        for timed in timed_words(ensure_word_start(chunk.tokens)):
            cover = timed.cover
            if cover in dropped or _has_near(starts.get(timed.word.text, ()), cover.start):
                continue
            middle = Span((cover.start + cover.end) / 2, (cover.start + cover.end) / 2)
            if not (_touches(shared, cover) and _touches(times, middle)):
                lost.append(cover)
    return _gaps(lost, WORDS_LOST_REASON)


def _gaps(spans: Iterable[Span], reason: str) -> list[Gap]:
    return [Gap(start=span.start, end=span.end, reason=reason) for span in merge_close(spans, MERGED_PAUSE_SECONDS)]


def _has_near(starts: Sequence[float], start: float) -> bool:
    at = bisect_left(starts, start - SAME_WORD_SECONDS)
    return at < len(starts) and starts[at] <= start + SAME_WORD_SECONDS


def _touches(spans: Sequence[Span], other: Span) -> bool:
    """Whether one of these spans, in order and apart from each other, has a moment in common with another."""
    at = bisect_left(spans, other.start, key=lambda span: span.end)
    return at < len(spans) and spans[at].start <= other.end
