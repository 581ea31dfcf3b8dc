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
from typing import NamedTuple, Protocol

import numpy as np

from gpu_job.asr.tokens import Token
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.assembly.heard_again import HeardAgain
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE, seconds
from gpu_job.transcription.opinions.kept_audio import KeptAudio
from gpu_job.transcription.opinions.worst_audio import SILENCE, Stretch
from shared.enums import Engine

_log = logging.getLogger(__name__)

_SILENCE = np.zeros(SILENCE, np.float32)


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


class _Sent(NamedTuple):
    """A stretch that is heard again."""

    stretch: Stretch
    missed_by: Engine | None
    """As `HeardAgain` has it."""


class SecondOpinions:
    """Of one file. Used from any thread."""

    def __init__(
        self,
        store: OpinionStore,
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
        self._store = store
        self._threads = threads
        self._submit = submit
        self._is_incomplete = is_incomplete
        self._engine_at = engine_at
        self._on_done = on_done
        self._is_cancelled = is_cancelled
        self._lock = threading.Lock()
        self._has_begun = False
        self._is_done = False
        self._heard: tuple[HeardAgain, ...] = ()

    def ask_once(self, kept: KeptAudio) -> None:
        """The file's chunks and its audit are done: ask, on a thread. Further calls do nothing."""
        with self._lock:
            if self._has_begun:
                return
            self._has_begun = True
        doubtful, missing = kept.taken()
        try:
            self._threads.submit(self._ask, [_Sent(one, None) for one in doubtful], missing)
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

    def _ask(self, sent: list[_Sent], missing: Sequence[Stretch]) -> None:
        try:
            if missing and self._is_incomplete():
                sent += self._missing(missing)
            sent.sort(key=lambda one: (one.stretch.rank.first, one.stretch.rank.channel, one.stretch.end))
            if not sent or self._is_cancelled():
                self._end()
            elif self._store.begin():
                recording = np.concatenate([part for one in sent for part in (one.stretch.samples, _SILENCE)])
                self._submit(Chunk(0, recording), lambda result: self._answered(sent, result))
            else:
                self._end(self._store.load())
        except Exception:
            # An opinion less: the first engine's words stand.
            _log.warning("no second opinion", exc_info=True)
            self._end()

    def _missing(self, missing: Sequence[Stretch]) -> list[_Sent]:
        """Without what the other engine has heard already: its part of a hybrid, or what it took over."""
        sent = (_Sent(one, self._engine_at(one.rank.channel, one.rank.first)) for one in missing)
        return [one for one in sent if one.missed_by is not Engine.DEEPGRAM]

    def _answered(self, sent: Sequence[_Sent], result: ChunkResult) -> None:
        if result.failure is not None:
            _log.warning("no second opinion", extra={"fields": {"reason": result.failure}})
            self._end()
            return
        heard = _parted(sent, result)
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


def _parted(sent: Sequence[_Sent], result: ChunkResult) -> list[HeardAgain]:
    """The tokens of the recording -> those of each stretch, on the upload's clock. A token that begins in the silence
    behind a stretch is still its own."""
    heard: list[HeardAgain] = []
    begin = 0.0
    for stretch, missed_by in sent:
        rank = stretch.rank
        end = begin + seconds(stretch.sent)
        later, last = seconds(rank.first) - begin, seconds(stretch.end)
        own = [token.later(later) for token in result.tokens if begin <= token.start < end]
        tokens = tuple(_within(one, last) for one in own)
        heard.append(HeardAgain(rank.channel, rank.first, stretch.end, result.engine, tokens, missed_by))
        begin = end
    return heard


def _within(token: Token, last: float) -> Token:
    """The token, no later than the end of its stretch."""
    start = min(token.start, last - 1 / SAMPLE_RATE)
    return token._replace(start=start, end=max(start, min(token.end, last)))
