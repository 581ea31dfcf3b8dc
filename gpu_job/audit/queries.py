"""What an audit asks the speech detector and the engine, and the windows of audio it gives them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.audit.evidence import TimedWord
from gpu_job.audit.intervals import Span
from gpu_job.vad.segments import VadThresholds

SPEECH = VadThresholds()
"""For speech without words."""
FAINT_SPEECH = VadThresholds(begins_at=0.15, ends_below=0.1, min_speech_seconds=0.03)
"""For words that may have none: the least sign of speech counts."""


@dataclass(frozen=True)
class AuditRules:
    """What to look for, and how much it may cost. In seconds where nothing else is said."""

    gap_seconds: float = 1.5
    """A longer span without words may be speech that was missed."""
    min_speech_seconds: float = 0.3
    """Less speech than this is not transcribed again: breaths, and the ends of words."""
    edge_seconds: float = 0.1
    """Speech so near the words around the span is theirs. With 0.2 s twice as many short words at the edge of injected
    omissions stayed lost; recordings without omissions had no gap either way (docs/benchmarks.md)."""
    context_seconds: float = 2.0
    """Most audio taken on both sides of what is queried or transcribed again."""
    near_seconds: float = 0.3
    """A word with speech so near stays."""
    max_share: float = 0.1
    """Most audio transcribed again, as a share of the audio cut so far,"""
    spare_seconds: float = 30.0
    """and on top of it."""


@dataclass(frozen=True, eq=False)
class UntranscribedSpan:
    """A span with sound but without words: is it speech?"""

    window: Chunk
    span: Span
    before: str | None
    """The words at its edges, None where there is none."""
    after: str | None
    before_may_end: float = 0.0
    """When the word before it may have ended, as of `TimedWord.latest_end`."""
    detection: VadThresholds = SPEECH


@dataclass(frozen=True, eq=False)
class SuspectWords:
    """Words that may be hallucinated: is there any sign of speech near them?"""

    window: Chunk
    words: tuple[TimedWord, ...]
    detection: VadThresholds = FAINT_SPEECH


VadQuery = UntranscribedSpan | SuspectWords


@dataclass(frozen=True, eq=False)
class Retry:
    """A window to be transcribed again, for speech without words."""

    window: Chunk
    query: UntranscribedSpan
    speech: tuple[Span, ...]
    further: Iterator[Chunk]
    """Windows to try next."""
    best: tuple[TimedWord, ...]
    """Words of the best try so far."""
    ends_with_before: bool = False
    """Whether a try heard the word before the span, and nothing behind it."""


def slice_chunk(chunk: Chunk, span: Span) -> Chunk:
    """A copy of a chunk's audio in a span, so that the chunk itself can be freed."""
    begin = min(max(0, round(span.start * SAMPLE_RATE) - chunk.start), len(chunk.samples))
    end = max(begin, round(span.end * SAMPLE_RATE) - chunk.start)
    return Chunk(chunk.start + begin, chunk.samples[begin:end].copy())


TIGHT, TIGHT_PADDING = 0.2, 0.5
LOOSE, LOOSE_PADDING = 0.45, 1.0
"""Seconds of audio kept around the speech, and of silence put around that."""


def retry_windows(query: UntranscribedSpan, speech: Span) -> Iterator[Chunk]:
    """Windows to try in turn: the span with its surroundings; its speech alone amid silence; the same, begun elsewhere.

    Whether a transducer outputs words can depend on exactly where its window begins.
    """
    yield query.window
    for kept, padding in ((TIGHT, TIGHT_PADDING), (LOOSE, LOOSE_PADDING)):
        alone = slice_chunk(query.window, speech.grown(kept))
        silence = int(padding * SAMPLE_RATE)
        yield Chunk(alone.start - silence, np.pad(alone.samples, silence))
