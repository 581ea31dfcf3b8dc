"""Second opinions on one file: stretches that its engine was not sure of are heard by another engine, within limits;
and, where less of what is said has words than was asked for, stretches for which it had none.

That is when the file's chunks and its audit are done; of doubtful words the worst are taken. Until then their audio is
kept, as much as may be sent. It is sent in one recording, for a call costs a write of the record. The store is told
before: whoever comes after a worker that was killed in between asks no second time.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple, Protocol

import numpy as np

from gpu_job.asr.tokens import Token
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.assembly.heard_again import HeardAgain
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE, Samples, seconds
from gpu_job.audit.intervals import Span
from gpu_job.transcription.doubts import DoubtfulStretch, doubts_of
from shared.enums import Engine
from shared.transcript.model import Gap

_log = logging.getLogger(__name__)

SILENCE_SECONDS = 0.5
"""Between two stretches, so that no engine takes their words for one sentence's. It is sent, and paid."""

MOST_SECONDS = 1800.0
"""Most audio that is kept of one file, 115 MB, however high its limit."""

_EDGE_SECONDS = 0.3
"""Sent before and behind speech without words: a speech detector may be late by that much."""

_SILENCE = np.zeros(int(SILENCE_SECONDS * SAMPLE_RATE), np.float32)


class OpinionStore(Protocol):
    """Remembers that another engine was asked, and what it said. Called on one thread."""

    def begin(self) -> bool:
        """About to ask. False where this was said before: the call may have been made, and paid."""

    def save(self, heard: Sequence[HeardAgain]) -> None:
        """The answer is there."""

    def load(self) -> Sequence[HeardAgain]:
        """The answer of an earlier attempt; empty where it never came."""


class NoStore:
    """For a file that has one attempt."""

    def begin(self) -> bool:
        """Nobody asked before."""
        return True

    def save(self, heard: Sequence[HeardAgain]) -> None:
        """Kept by its caller."""

    def load(self) -> Sequence[HeardAgain]:
        """None."""
        return ()


@dataclass(frozen=True)
class OpinionLimits:
    """How much may be heard again, and where that is remembered."""

    seconds: float
    """Audio of doubtful words that may be sent."""
    missing_seconds: float
    """Audio of speech without words that may be sent; 0: none is."""
    store: OpinionStore


class _Stretch(NamedTuple):
    """A stretch of one channel that is heard again. In samples of the upload."""

    first: int
    channel: int
    end: int
    missed_by: Engine | None
    """As `HeardAgain` has it."""

    @property
    def seconds(self) -> float:
        return seconds(self.end - self.first)


class SecondOpinions:
    """Of one file. Used from any thread."""

    def __init__(
        self,
        limits: OpinionLimits,
        threads: Executor,
        *,
        submit: Callable[[Chunk, Callable[[ChunkResult], None]], None],
        is_incomplete: Callable[[], bool],
        engine_at: Callable[[int, int], Engine],
        on_done: Callable[[], None],
        is_cancelled: Callable[[], bool],
    ) -> None:
        """`submit`: has a recording heard by an engine that did not hear it yet; raises EngineFailed. `is_incomplete`:
        whether less has words than was asked for, once chunks and audit are done; then `engine_at` says which engine
        transcribed a channel at a sample. `on_done`: called once the answer is there, or none will come."""
        self._seconds = min(limits.seconds, MOST_SECONDS)
        self._missing_seconds = min(limits.missing_seconds, MOST_SECONDS)
        self._store = limits.store
        self._threads = threads
        self._submit = submit
        self._is_incomplete = is_incomplete
        self._engine_at = engine_at
        self._on_done = on_done
        self._is_cancelled = is_cancelled
        self._lock = threading.Lock()
        self._numbers = count()
        self._doubts: list[tuple[float, int, DoubtfulStretch, Samples]] = []
        """A heap whose first one is the least doubtful."""
        self._kept_seconds = 0.0
        self._unheard: list[tuple[int, int, Samples]] = []
        """Channel, first sample and audio of speech without words, in no order."""
        self._unheard_seconds = 0.0
        self._has_begun = False
        self._is_done = False
        self._heard: tuple[HeardAgain, ...] = ()

    def add(self, chunk: Chunk, result: ChunkResult) -> None:
        """A chunk has its result: keep the audio of what its engine was not sure of, where another one can be asked."""
        if result.failure is not None or result.engine is Engine.DEEPGRAM:
            return
        for doubt in doubts_of(result):
            samples = chunk.samples[doubt.first - chunk.start : doubt.end - chunk.start].copy()
            with self._lock:
                heappush(self._doubts, (-doubt.confidence, next(self._numbers), doubt, samples))
                self._kept_seconds += doubt.seconds + SILENCE_SECONDS
                while self._doubts and self._kept_seconds > self._seconds:
                    self._kept_seconds -= heappop(self._doubts)[2].seconds + SILENCE_SECONDS

    def unheard(self, channel: int, window: Chunk, gaps: Sequence[Gap]) -> None:
        """Speech in a window stays without words: keep its audio, while there is room."""
        for gap in gaps:
            span = Span(gap.start, gap.end).grown(_EDGE_SECONDS)
            first = max(0, round(span.start * SAMPLE_RATE) - window.start)
            samples = window.samples[first : max(first, round(span.end * SAMPLE_RATE) - window.start)]
            length = seconds(len(samples)) + SILENCE_SECONDS
            with self._lock:
                if not len(samples) or self._unheard_seconds + length > self._missing_seconds:
                    continue
                self._unheard.append((channel, window.start + first, samples.copy()))
                self._unheard_seconds += length

    def ask_once(self) -> None:
        """The file's chunks and its audit are done: ask, on a thread. Further calls do nothing."""
        with self._lock:
            if self._has_begun:
                return
            self._has_begun = True
            doubts, self._doubts = self._doubts, []
            kept = [(_Stretch(doubt.first, doubt.channel, doubt.end, None), part) for _, _, doubt, part in doubts]
            unheard, self._unheard = self._unheard, []
        try:
            self._threads.submit(self._ask, kept, unheard)
        except RuntimeError:
            self._end()  # the process ends

    @property
    def is_done(self) -> bool:
        """Whether the answer is there, or none will come."""
        return self._is_done

    @property
    def heard(self) -> tuple[HeardAgain, ...]:
        """The answer. Read it when it is done."""
        return self._heard

    def _ask(self, kept: list[tuple[_Stretch, Samples]], unheard: Sequence[tuple[int, int, Samples]]) -> None:
        try:
            if unheard and self._is_incomplete():
                kept += self._missing(unheard)
            kept.sort(key=lambda one: one[0][:3])
            if not kept or self._is_cancelled():
                self._end()
            elif self._store.begin():
                recording = np.concatenate([part for _, samples in kept for part in (samples, _SILENCE)])
                stretches = [stretch for stretch, _ in kept]
                self._submit(Chunk(0, recording), lambda result: self._answered(stretches, result))
            else:
                self._end(self._store.load())
        except Exception:
            # An opinion less: the first engine's words stand.
            _log.warning("no second opinion", exc_info=True)
            self._end()

    def _missing(self, unheard: Sequence[tuple[int, int, Samples]]) -> list[tuple[_Stretch, Samples]]:
        """Without what the other engine has heard already: its part of a hybrid, or what it took over."""
        missed = (
            (_Stretch(first, channel, first + len(samples), self._engine_at(channel, first)), samples)
            for channel, first, samples in unheard
        )
        return [(stretch, samples) for stretch, samples in missed if stretch.missed_by is not Engine.DEEPGRAM]

    def _answered(self, stretches: Sequence[_Stretch], result: ChunkResult) -> None:
        if result.failure is not None:
            _log.warning("no second opinion", extra={"fields": {"reason": result.failure}})
            self._end()
            return
        heard = _parted(stretches, result)
        try:
            self._store.save(heard)
        except Exception:
            _log.warning("a second opinion was not stored", exc_info=True)
        self._end(heard)

    def _end(self, heard: Sequence[HeardAgain] = ()) -> None:
        with self._lock:
            if self._is_done:
                return
            self._heard, self._is_done = tuple(heard), True
        self._on_done()


def _parted(stretches: Sequence[_Stretch], result: ChunkResult) -> list[HeardAgain]:
    """The tokens of the recording -> those of each stretch, on the upload's clock. A token that begins in the silence
    behind a stretch is still its own."""
    heard: list[HeardAgain] = []
    begin = 0.0
    for stretch in stretches:
        end = begin + stretch.seconds + SILENCE_SECONDS
        later, last = seconds(stretch.first) - begin, seconds(stretch.end)
        own = [token.later(later) for token in result.tokens if begin <= token.start < end]
        tokens = tuple(_within(one, last) for one in own)
        heard.append(HeardAgain(stretch.channel, stretch.first, stretch.end, result.engine, tokens, stretch.missed_by))
        begin = end
    return heard


def _within(token: Token, last: float) -> Token:
    """The token, no later than the end of its stretch."""
    start = min(token.start, last - 1 / SAMPLE_RATE)
    return token._replace(start=start, end=max(start, min(token.end, last)))
