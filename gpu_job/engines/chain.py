"""The engine chain: what one engine cannot transcribe, the next one does. For the missing chunks only.

Within an engine a batch that fails is halved until the chunk at fault stands alone; such a chunk goes on to the next
engine. An engine that fails for good hands on everything it had. A chunk that every engine failed on has no words; but
where an engine of another process may do it, because this process lost its GPU or no engine is left at all, it stays
unanswered, and the worker gives its job back to the queue.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from gpu_job.asr.recognizer import SpeechModel
from gpu_job.engines.listener import EngineListener
from gpu_job.engines.task import Task
from shared.enums import Engine
from shared.errors import REMEDIES, EngineFailed, FailureKind, Remedy
from shared.keyterms.report import EngineTerms
from shared.keyterms.terms import Keyterm

_log = logging.getLogger(__name__)


class ChainedEngine(Protocol):
    """An engine of a chain. It reports chunks it cannot do, and its own end, to its FailureHandler."""

    @property
    def engine(self) -> Engine: ...
    @property
    def model(self) -> str: ...
    @property
    def failure(self) -> EngineFailed | None:
        """Why it transcribes nothing more; None while it works."""

    @property
    def is_local(self) -> bool:
        """Whether audio stays on this machine."""

    def keyterm_support(self, terms: tuple[Keyterm, ...], model: SpeechModel | None = None) -> EngineTerms | None:
        """What it makes of an upload's key terms; None where that is not known before its model is loaded."""

    def model_of(self, model: SpeechModel | None) -> str:
        """What transcripts call the model that such chunks are heard with; None: the engine's own."""

    def holds(self, model: SpeechModel) -> bool:
        """Whether such a model is in its memory."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def submit(self, task: Task, *, wait: bool) -> None:
        """Queue a task; `wait`: block while the queue is full. Raises EngineFailed where the engine has ended."""

    def has_tasks(self, job_id: str) -> bool:
        """Whether it has chunks of this job without a result."""

    def drop(self, job_id: str) -> None: ...
    def add_feeder(self) -> None: ...
    def remove_feeder(self) -> None: ...


class FailureHandler(Protocol):
    """Finds another engine for what one has failed on."""

    def chunk_failed(self, source: ChainedEngine, task: Task, error: EngineFailed) -> None:
        """`source` cannot transcribe this chunk."""

    def engine_failed(self, source: ChainedEngine, tasks: Sequence[Task], error: EngineFailed) -> None:
        """`source` will transcribe nothing more; it had these tasks."""

    def has_alternative(self, source: ChainedEngine, task: Task) -> bool:
        """Whether another engine would take this chunk."""


class EngineChain:
    """Engines in the order in which they are tried; the first is started at once, others when they are needed."""

    def __init__(self, *, fallback: bool = True, listener: EngineListener | None = None) -> None:
        """`fallback`: whether engines after the first are tried where it fails."""
        self._fallback = fallback
        self._listener = listener or EngineListener()
        self._engines: list[ChainedEngine] = []
        self._started: list[ChainedEngine] = []
        self._lock = threading.Lock()
        self._stopped = False

    def add(self, engine: ChainedEngine) -> None:
        """Append an engine; before `start`."""
        self._engines.append(engine)

    def start(self) -> None:
        """Start the first engine."""
        self.ensure_started(self._engines[0])

    def stop(self) -> None:
        """Take no more chunks. A running batch may still deliver."""
        with self._lock:
            self._stopped = True
        for engine in self._engines:
            engine.stop()

    def ensure_started(self, engine: ChainedEngine) -> None:
        """Start an engine of the chain unless it runs, so that it can be given chunks."""
        with self._lock:
            if not self._stopped and engine not in self._started:
                engine.start()
                self._started.append(engine)

    @property
    def failure(self) -> EngineFailed | None:
        """Why no engine is left; None while there is one."""
        failures = [self._failure_of(engine) for engine in self._tried]
        known = [failure for failure in failures if failure is not None]
        return None if len(known) < len(failures) else _combined(known)

    @property
    def process_failure(self) -> EngineFailed | None:
        """Why no local engine is left, where those of another process may work. None while one is left here, and where
        none would be anywhere, such as without a model.

        A chunk that no engine transcribes is then left unanswered, even if others, such as Deepgram, still work.
        """
        failures = [self._failure_of(engine) for engine in self._tried if engine.is_local]
        elsewhere = [failure for failure in failures if failure and REMEDIES[failure.kind] is not Remedy.LEAVE_ENGINE]
        return _combined(elsewhere) if elsewhere and None not in failures else None

    @property
    def is_available(self) -> bool:
        """Whether chunks can still be submitted: it was not stopped, and an engine is left."""
        return not self._stopped and self.failure is None

    def model(self, engines: Sequence[Engine], model: SpeechModel | None = None) -> str:
        """The models of these engines for such chunks, as the transcript names them."""
        names = [engine.model_of(model) for engine in self._engines if engine.engine in engines]
        return " + ".join(dict.fromkeys(names)) or self._engines[0].model_of(model)

    def holds(self, model: SpeechModel) -> bool:
        """Whether the engine that gets chunks now has such a model in memory."""
        first = next((engine for engine in self._tried if self._failure_of(engine) is None), None)
        return first is not None and first.holds(model)

    def keyterm_support(self, terms: tuple[Keyterm, ...], model: SpeechModel | None = None) -> list[EngineTerms]:
        """What its engines, with such a model, make of an upload's key terms, as far as that is known."""
        return [known for engine in self._engines if (known := engine.keyterm_support(terms, model)) is not None]

    @contextmanager
    def feeding(self) -> Iterator[None]:
        """A decoder submits chunks inside: engines may wait a moment for a batch to fill up."""
        for engine in self._engines:
            engine.add_feeder()
        try:
            yield
        finally:
            for engine in self._engines:
                engine.remove_feeder()

    def has_tasks(self, job_id: str) -> bool:
        """Whether an engine has chunks of this job without a result."""
        return any(engine.has_tasks(job_id) for engine in self._engines)

    @property
    def engine(self) -> Engine:
        """The first of the chain."""
        return self._engines[0].engine

    def drop(self, job_id: str) -> None:
        """Discard the queued chunks of a job that ended."""
        for engine in self._engines:
            engine.drop(job_id)

    def submit(self, task: Task) -> None:
        """Queue a chunk; blocks while the queue is full. Raises EngineFailed where no engine can take it."""
        rejected = self._pass_on(task, wait=True)
        if rejected is not None:
            raise _combined(list(rejected.failures.values()))

    def chunk_failed(self, source: ChainedEngine, task: Task, error: EngineFailed) -> None:
        """Give the chunk to another engine, unless nobody wants it; a chunk that none can do has no words."""
        if task.is_cancelled():
            return
        fields = {"job_id": task.job_id, "engine": source.engine, "kind": error.kind, "reason": error.reason}
        _log.warning("chunk failed", extra={"fields": fields})
        task = task.after(source.engine, error)
        if REMEDIES[error.kind] is Remedy.GIVE_UP:
            task.fail(source.engine)
        else:
            self._find_engine(task, source)

    def engine_failed(self, source: ChainedEngine, tasks: Sequence[Task], error: EngineFailed) -> None:
        """Give its chunks to other engines. Where there is none, they stay unanswered for another attempt."""
        fields = {"engine": source.engine, "kind": error.kind, "reason": error.reason, "chunks": len(tasks)}
        _log.error("engine failed for good", extra={"fields": fields})
        for task in tasks:
            if not task.is_cancelled():
                self._find_engine(task.after(source.engine, error), source)
        self._listener.engine_failed(source.engine, error, list(dict.fromkeys(task.job_id for task in tasks)))

    def has_alternative(self, source: ChainedEngine, task: Task) -> bool:
        """Whether another engine would take this chunk."""
        return any(engine is not source and self._failure_of(engine) is None for engine in self._allowed(task))

    def _allowed(self, task: Task) -> list[ChainedEngine]:
        """Those that have not failed on it, and may have its audio."""
        return [
            engine
            for engine in (self._engines if task.any_engine else self._tried)
            if engine.engine not in task.failures and (engine.is_local or not task.stays_local)
        ]

    @property
    def _tried(self) -> Sequence[ChainedEngine]:
        return self._engines if self._fallback else self._engines[:1]

    def _find_engine(self, task: Task, last: ChainedEngine) -> None:
        rejected = self._pass_on(task, wait=False)
        # Where no engine is left at all, whoever waits for it sees that; the next attempt may have a sounder one.
        if rejected is None or not self.is_available:
            return
        if (failure := self.process_failure) is not None:
            rejected.leave_open(failure)
        else:
            rejected.fail(last.engine)

    def _failure_of(self, engine: ChainedEngine) -> EngineFailed | None:
        """An engine's failure; of a local one that was not started, that of another which took the process with it."""
        if engine.failure is not None or not engine.is_local or engine in self._started:
            return engine.failure
        failures = (other.failure for other in self._tried)
        return next((failure for failure in failures if failure and _ends_process(failure)), None)

    def _pass_on(self, task: Task, *, wait: bool) -> Task | None:
        """To the first engine that takes it and has not failed on it. None; or the task with every engine's reason."""
        for engine in self._allowed(task):
            try:
                if (failure := self._failure_of(engine)) is not None:
                    raise failure
                self.ensure_started(engine)
                engine.submit(task, wait=wait)
            except EngineFailed as error:
                task = task.after(engine.engine, error)
                continue
            return None
        return task


def _ends_process(failure: EngineFailed) -> bool:
    return REMEDIES[failure.kind] is Remedy.LEAVE_PROCESS


def _combined(failures: Sequence[EngineFailed]) -> EngineFailed:
    """Failures of one engine after the other as one, of the last one's kind."""
    if not failures:
        return EngineFailed("No engine may be used for this file.", FailureKind.REFUSED)
    return EngineFailed(" ".join(dict.fromkeys(failure.reason for failure in failures)), failures[-1].kind)
