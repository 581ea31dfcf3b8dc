"""The audio of one file that another engine may hear: of words that its engine was not sure of, the worst ones', and of
speech for which it had none. Of a shard it is stored, for who joins them."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.audit.intervals import Span
from gpu_job.transcription.opinions.doubts import doubts_of
from gpu_job.transcription.opinions.worst_audio import Rank, Stretch, WorstAudio
from shared.enums import Engine
from shared.transcript.model import Gap

MOST_SECONDS = 1800.0
"""Most audio of each kind that is kept of one file, 115 MB, however high its limit."""

KEPT_VERSION = "opinions/1"
"""Of what is chosen, and how it is stored."""

_EDGE_SECONDS = 0.3
"""Kept before and behind speech without words: a speech detector may be late by that much."""

_WORDLESS = 0.0
"""In ranks: speech without words is taken in order of time."""


class KeptAudio:
    """Of one file, or a shard of it. Used from any thread."""

    def __init__(self, doubtful_seconds: float, missing_seconds: float) -> None:
        """How much may be sent of either kind."""
        self._lock = threading.Lock()
        self._doubtful = WorstAudio(min(doubtful_seconds, MOST_SECONDS))
        self._missing = WorstAudio(min(missing_seconds, MOST_SECONDS))

    def add(self, chunk: Chunk, result: ChunkResult) -> None:
        """A chunk has its result: keep the audio of what its engine was not sure of, where another one can be asked."""
        if result.failure is not None or result.engine is Engine.DEEPGRAM:
            return
        for doubt in doubts_of(result):
            samples = chunk.samples[doubt.first - chunk.start : doubt.end - chunk.start].copy()
            with self._lock:
                self._doubtful.add(Stretch(Rank(doubt.confidence, doubt.first, doubt.channel), samples))

    def unheard(self, channel: int, window: Chunk, gaps: Sequence[Gap]) -> None:
        """Speech in a window stays without words: keep its audio, while there is room."""
        for gap in gaps:
            span = Span(gap.start, gap.end).grown(_EDGE_SECONDS)
            first = max(0, round(span.start * SAMPLE_RATE) - window.start)
            samples = window.samples[first : max(first, round(span.end * SAMPLE_RATE) - window.start)].copy()
            if len(samples):
                with self._lock:
                    self._missing.add(Stretch(Rank(_WORDLESS, window.start + first, channel), samples))

    def taken(self) -> tuple[Sequence[Stretch], Sequence[Stretch]]:
        """What is kept: of doubtful words, and of speech without words. Nothing is kept from then on."""
        with self._lock:
            taken = self._doubtful.stretches, self._missing.stretches
            self._doubtful, self._missing = WorstAudio(0.0), WorstAudio(0.0)
        return taken

    def packed(self) -> bytes:
        """What is kept of a shard, to the last bit: 64 kB a second."""
        with self._lock:
            arrays = {"version": np.array(KEPT_VERSION), **_arrays("doubtful", self._doubtful)}
            arrays |= _arrays("missing", self._missing)
        packed = io.BytesIO()
        np.savez(packed, **arrays)  # type: ignore[arg-type]  # names with a dash are none of its own arguments
        return packed.getvalue()

    def join(self, packed: bytes) -> None:
        """What a shard kept. Raises ValueError where that was chosen by other limits, or is of another version."""
        try:
            with np.load(io.BytesIO(packed), allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            if str(arrays["version"]) != KEPT_VERSION:
                raise ValueError(f"audio of another version: {arrays['version']}")
            with self._lock:
                _add_all(self._doubtful, "doubtful", arrays)
                _add_all(self._missing, "missing", arrays)
        except (zipfile.BadZipFile, OSError, EOFError, KeyError, TypeError) as error:
            raise ValueError(f"no audio for second opinions: {error}") from error


def _arrays(name: str, kept: WorstAudio) -> dict[str, NDArray[np.generic]]:
    stretches = kept.stretches
    bound = [] if kept.bound is None else [kept.bound]
    return {
        f"{name}-limit": np.array(kept.limit, np.int64),
        f"{name}-ranks": np.array([one.rank for one in stretches] + bound, np.float64).reshape(-1, 3),
        f"{name}-lengths": np.array([len(one.samples) for one in stretches], np.int64),
        f"{name}-samples": np.concatenate([np.zeros(0, np.float32), *(one.samples for one in stretches)]),
    }


def _add_all(kept: WorstAudio, name: str, arrays: dict[str, NDArray[np.generic]]) -> None:
    if int(arrays[f"{name}-limit"]) != kept.limit:
        raise ValueError("audio that was chosen by another limit")
    ranks = [
        Rank(confidence, int(first), int(channel)) for confidence, first, channel in arrays[f"{name}-ranks"].tolist()
    ]
    lengths = arrays[f"{name}-lengths"].tolist()
    samples = arrays[f"{name}-samples"].astype(np.float32, casting="no")
    if len(samples) != sum(lengths) or len(ranks) - len(lengths) not in (0, 1):
        raise ValueError("audio of other stretches")
    begin = 0
    for rank, length in zip(ranks, lengths, strict=False):
        kept.add(Stretch(rank, samples[begin : begin + length].copy()))
        begin += length
    for rank in ranks[len(lengths) :]:
        kept.exclude(rank)
