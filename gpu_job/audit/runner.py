"""Run one channel's audit: a few threads query the speech detector, and engines transcribe windows again."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from contextvars import copy_context
from functools import partial
from typing import Protocol

from gpu_job.asr.tokens import Token
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import Samples
from gpu_job.audit.audit import Audit
from gpu_job.audit.findings import Findings
from gpu_job.audit.queries import Retry, VadQuery
from gpu_job.vad.segments import VadThresholds
from shared.errors import EngineFailed
from shared.transcript.model import Gap

_log = logging.getLogger(__name__)

MAX_WAITING_QUERIES = 32
"""Queries that may wait for the threads, each with its window: 40 MB at most with chunks of 20 s."""

DeliverTokens = Callable[[Sequence[Token]], None]
"""Takes the tokens of a window, on the upload's clock; none where the engine failed. From any thread."""


class Detector(Protocol):
    """A voice activity detector."""

    def speech(self, samples: Samples, rules: VadThresholds) -> list[tuple[float, float]]: ...


class AuditHost(Protocol):
    """What an audit needs of the file it belongs to."""

    def transcribe_window(self, window: Chunk, deliver: DeliverTokens) -> None:
        """Have a window transcribed again. May block. Raises EngineFailed where no engine is left."""

    def unheard(self, window: Chunk, gaps: Sequence[Gap]) -> None:
        """Speech in this window stays without words: copy what is to be kept of it. Must be quick, and call nothing of
        the audit."""

    def done(self) -> None:
        """The last query or retry is done. May be called twice; after `transcribed` and `end` check `is_done`."""

    def broke(self, error: Exception) -> None:
        """A thread of the audit ended with an exception: it will not be done."""


class AuditRunner:
    """Used from any thread. `cut` runs queries itself where too many wait, so its caller must hold no lock."""

    def __init__(
        self,
        audit: Audit,
        detector: Detector,
        threads: Executor,
        host: AuditHost,
    ) -> None:
        self._audit = audit
        self._detector = detector
        self._threads = threads
        self._host = host
        self._queries: deque[VadQuery] = deque()
        self._lock = threading.Lock()

    def cut(self, chunk: Chunk, *, is_neighbour: bool = False) -> None:
        """The next chunk was cut. Where the threads cannot keep up, the caller, who makes the work, helps.

        `is_neighbour`: as of Audit."""
        with self._lock:
            queries = self._audit.cut(chunk, is_neighbour=is_neighbour)
        self._submit(queries)
        while len(self._queries) > MAX_WAITING_QUERIES:
            self._run_one_query()

    def transcribed(self, start: int, tokens: Iterable[Token], *, failed: bool = False) -> None:
        """The tokens of the chunk that begins at this sample, on the upload's clock; or that its engine failed."""
        with self._lock:
            queries = self._audit.transcribed(start, tokens, failed=failed)
        self._submit(queries)

    def end(self, *, is_followed: bool = False) -> None:
        """No more chunks will be cut. `is_followed`: as of Audit."""
        with self._lock:
            queries = self._audit.end(is_followed=is_followed)
        self._submit(queries)

    @property
    def is_done(self) -> bool:
        """Whether the audit is done: the findings change no more."""
        with self._lock:
            return self._audit.is_done

    @property
    def findings(self) -> Findings:
        """What was found. Read it when the audit is done."""
        return self._audit.findings

    def _submit(self, queries: Sequence[VadQuery]) -> None:
        self._queries.extend(queries)
        for _ in queries:
            self._later(self._run_one_query)

    def _run_one_query(self) -> None:
        try:
            query = self._queries.popleft()
        except IndexError:
            return  # another thread took it
        try:
            speech = self._detector.speech(query.window.samples, query.detection)
        except Exception:
            # Whatever the detector raises, the words are there; the coverage only says that they are not audited.
            _log.exception("speech detection failed")
            with self._lock:
                self._audit.query_failed(query)
            retry = None
        else:
            with self._lock:
                known = len(self._audit.findings.gaps)
                retry = self._audit.answer(query, speech)
                self._report(query.window, known)
        self._continue(retry)

    def _report(self, window: Chunk, known: int) -> None:
        """Tell of the gaps behind the known ones. Under the lock: once the audit is done the file waits for no more."""
        if gaps := self._audit.findings.gaps[known:]:
            self._host.unheard(window, gaps)

    def _continue(self, retry: Retry | None) -> None:
        if retry is None:
            if self.is_done:
                self._host.done()
            return
        try:
            self._host.transcribe_window(retry.window, partial(self._retranscribed, retry))
        except EngineFailed as error:
            # Left open, so that the upload does not end with a gap that another attempt can fill.
            _log.warning("audit abandoned", extra={"fields": {"why": error.reason}})

    def _retranscribed(self, retry: Retry, tokens: Sequence[Token]) -> None:
        with self._lock:
            known = len(self._audit.findings.gaps)
            further = self._audit.retranscribed(retry, tokens)
            self._report(retry.query.window, known)
        # Not here: the engine's thread must not wait until there is room for another window.
        self._later(partial(self._continue, further))

    def _later(self, work: Callable[[], None]) -> None:
        try:
            # In the caller's context: what is logged there is logged for the same upload.
            self._threads.submit(copy_context().run, self._guarded, work)
        except RuntimeError:
            _log.warning("audit abandoned", extra={"fields": {"why": "The threads were shut down."}})

    def _guarded(self, work: Callable[[], None]) -> None:
        """The boundary of the threads, whose results nobody looks at: the file must not wait for ever."""
        try:
            work()
        except Exception as error:
            self._host.broke(error)
