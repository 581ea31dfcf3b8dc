"""What an audit asks of the speech detector and of the engine, and the windows of audio it shows them."""

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
"""Whether somebody speaks."""
HINT = VadThresholds(begins_at=0.15, ends_below=0.1, min_speech_seconds=0.03)
"""Whether somebody may speak: the least sign counts."""


@dataclass(frozen=True)
class AuditRules:
    """What to look for, and how much it may cost. In seconds where nothing else is said."""

    gap_seconds: float = 1.5
    """A stretch without words longer than this may be a hole."""
    min_speech_seconds: float = 0.3
    """Less speech than this is no reason to decode again: breaths, and the ends of words."""
    edge_seconds: float = 0.1
    """Speech so near the words around a hole is theirs. With 0.2 s twice as many short words at the edge of injected
    holes stayed lost; sound recordings raised no gap either way (docs/benchmarks.md)."""
    context_seconds: float = 2.0
    """Most that is taken on both sides of what is asked about or decoded again."""
    near_seconds: float = 0.3
    """A word with speech so near is somebody's."""
    max_share: float = 0.1
    """Most audio decoded again, as a share of the audio cut so far,"""
    spare_seconds: float = 30.0
    """and on top of it."""


@dataclass(frozen=True, eq=False)
class Hole:
    """A stretch without words that sounds: does somebody speak there?"""

    window: Chunk
    span: Span
    before: str | None
    """The words at its edges, None where there is none."""
    after: str | None
    detection: VadThresholds = SPEECH


@dataclass(frozen=True, eq=False)
class SuspectWords:
    """Words that may be nobody's: is there a hint of speech near them?"""

    window: Chunk
    words: tuple[TimedWord, ...]
    detection: VadThresholds = HINT


VadQuery = Hole | SuspectWords


@dataclass(frozen=True, eq=False)
class Retry:
    """A window to be decoded again, for the speech found in a hole."""

    window: Chunk
    hole: Hole
    speech: tuple[Span, ...]
    further: Iterator[Chunk]
    """Windows to try next."""
    best: tuple[TimedWord, ...]
    """Words of the best try so far."""


def part(sound: Chunk, span: Span) -> Chunk:
    """A copy of what a chunk holds of a stretch, so that the chunk itself can be let go."""
    begin = min(max(0, round(span.start * SAMPLE_RATE) - sound.start), len(sound.samples))
    end = max(begin, round(span.end * SAMPLE_RATE) - sound.start)
    return Chunk(sound.start + begin, sound.samples[begin:end].copy())


TIGHT, TIGHT_PADDING = 0.2, 0.5
LOOSE, LOOSE_PADDING = 0.45, 1.0
"""Seconds of sound kept around the speech, and of silence put around that."""


def windows(hole: Hole, speech: Span) -> Iterator[Chunk]:
    """Ways to hear a hole again: with its surroundings; its speech alone amid silence; the same, begun elsewhere.

    Where a transducer falls silent is a matter of the very place its window begins.
    """
    yield hole.window
    for kept, padding in ((TIGHT, TIGHT_PADDING), (LOOSE, LOOSE_PADDING)):
        alone = part(hole.window, speech.grown(kept))
        silence = int(padding * SAMPLE_RATE)
        yield Chunk(alone.start - silence, np.pad(alone.samples, silence))
