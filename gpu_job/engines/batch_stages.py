"""The stages of a local engine: prepare, run, finish, each on a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from queue import Queue
from typing import Any

from gpu_job.asr.batch_fill import Fill
from gpu_job.asr.recognizer import Recognizer, TakesKeyterms
from gpu_job.asr.tokens import Token
from gpu_job.audio.samples import seconds
from gpu_job.engines.chain import ChainedEngine, FailureHandler
from gpu_job.engines.chunk_queue import ChunkQueue
from gpu_job.engines.listener import EngineListener
from gpu_job.engines.loaded_models import Borrowed, LoadedModels
from gpu_job.engines.task import Task
from gpu_job.engines.time_limits import BatchPace
from shared.enums import Engine
from shared.errors import REMEDIES, EngineFailed, FailureKind, Remedy, kind_of
from shared.telemetry import metrics

_log = logging.getLogger(__name__)

FAILURES_IN_A_ROW = 3
"""So many failures, one after the other, of more than one upload mean a broken model rather than broken chunks; where
it is the engine's own, a broken engine."""

FAILURES_OF_ONE_UPLOAD = 12
"""The same where only one upload's chunks failed."""


@dataclass(frozen=True)
class _Batch:
    tasks: Sequence[Task]
    data: Any
    """What the next stage takes; an exception where preparing failed."""
    model: Borrowed | None = None
    """What it is heard with; None where it could not be loaded."""


_END = _Batch((), None)


@dataclass
class _FailuresInARow:
    count: int = 0
    jobs: set[str] = field(default_factory=set)

    @property
    def are_enough(self) -> bool:
        """To say that it is the model's fault."""
        # One upload may hold many chunks that upset the model; with nothing else to go by, more of them must.
        return self.count >= (FAILURES_IN_A_ROW if len(self.jobs) > 1 else FAILURES_OF_ONE_UPLOAD)


class BatchStages:
    """The three stages around loaded models: prepare, run, finish."""

    def __init__(
        self,
        models: LoadedModels,
        source: ChainedEngine,
        queue: ChunkQueue,
        failures: FailureHandler,
        listener: EngineListener,
        end: Callable[[Exception], None],
        limit: Callable[[Sequence[Task], BatchPace], AbstractContextManager[None]],
    ) -> None:
        """`source`: the engine whose stages they are. `end`: has it transcribe nothing more. `limit`: around each
        call of the model with these tasks, with the pace of such calls."""
        self._models = models
        self._source = source
        self._queue = queue
        self._failure_handler = failures
        self._listener = listener
        self._end = end
        self._limit = limit
        self._prepared: Queue[_Batch] = Queue(maxsize=1)
        self._outputs: Queue[_Batch] = Queue(maxsize=2)
        self._in_a_row: dict[str, _FailuresInARow] = {}
        """By model: one that is broken does not end the others."""

    def run(self) -> None:
        """Until the last output is delivered: a task without a result then gets none here, and can go elsewhere."""
        feeder = threading.Thread(target=self._guarded, args=(self._prepare,), name="engine-feeder", daemon=True)
        finisher = threading.Thread(
            target=self._guarded, args=(self._finish, self._outputs), name="engine-finisher", daemon=True
        )
        feeder.start()
        finisher.start()
        self._guarded(self._transcribe, self._prepared)
        self._outputs.put(_END)
        finisher.join()

    def _guarded(self, stage: Callable[[], None], source: Queue[_Batch] | None = None) -> None:
        """The boundary of a stage's thread; `source`: where it takes its batches from."""
        try:
            stage()
        except Exception as error:
            self._end(error)
            # The stage before it must not wait for ever until there is room for its next batch.
            while source is not None and (batch := source.get()) is not _END:
                self._give_back(batch)

    def _give_back(self, batch: _Batch) -> None:
        if batch.model is not None:
            self._models.give_back(batch.model)

    def _prepare(self) -> None:
        try:
            while tasks := self._queue.take_batch(self._models):
                self._queue.set_engine_idle(idle=False)
                self._prepared.put(self._batch_with_model(tasks))
        finally:
            self._prepared.put(_END)

    def _batch_with_model(self, tasks: Sequence[Task]) -> _Batch:
        """As `_batch`, its model loaded; without one where that fails."""
        try:
            model = self._models.borrow(tasks[0].model)
        except EngineFailed as error:
            return _Batch(tasks, error)
        return self._batch(tasks, model)

    def _batch(self, tasks: Sequence[Task], model: Borrowed) -> _Batch:
        """A batch made ready, or the exception that prevented it: whose fault it is shows when the batch is halved."""
        try:
            with self._limit(tasks, model.paces.prepare):
                return _Batch(tasks, _prepared_data(model.recognizer, tasks), model)
        except Exception as error:
            return _Batch(tasks, error, model)

    def _transcribe(self) -> None:
        while True:
            if self._prepared.empty():
                self._queue.set_engine_idle(idle=True)
            batch = self._prepared.get()
            self._queue.set_engine_idle(idle=False)
            if batch is _END:
                return
            try:
                self._transcribe_batch(batch)
            finally:
                self._give_back(batch)
                del batch  # whose model may have to go while the next batch is waited for

    def _transcribe_batch(self, batch: _Batch) -> None:
        if self._queue.is_stopped:
            return
        if all(task.is_cancelled() for task in batch.tasks):
            self._queue.take_done(batch.tasks)
            return
        if batch.model is None:
            # Other models may well work: the engine goes on, and other engines have these chunks.
            for task in self._queue.take_done(batch.tasks):
                self._failure_handler.chunk_failed(self._source, task, batch.data)
            return
        self._listener.batch_started(self._source.engine)
        self._attempt(batch, batch.model)
        self._listener.batch_finished(self._source.engine, batch.tasks)

    def _attempt(self, batch: _Batch, model: Borrowed) -> None:
        """Run a batch; one that fails is halved until the chunk at fault stands alone."""
        recognizer = model.recognizer
        try:
            if isinstance(batch.data, Exception):
                raise batch.data
            began = time.monotonic()
            with self._limit(batch.tasks, model.paces.run):
                output = recognizer.run(batch.data)
        except Exception as error:
            # A chunk can upset the model in ways no list of exceptions holds; isolating it is what matters.
            if len(batch.tasks) == 1 or _ends_engine(error):
                self._failed(batch.tasks, error, model)
                return
            if kind_of(error) is FailureKind.OUT_OF_MEMORY:
                longest = max(len(task.chunk.samples) for task in batch.tasks)
                recognizer.batch_limits = recognizer.batch_limits.without(longest, len(batch.tasks))
                self._listener.batch_limits_reduced(recognizer)
            half = len(batch.tasks) // 2
            _log.warning("batch failed, halving", extra={"fields": {"chunks": len(batch.tasks)}}, exc_info=True)
            for tasks in (batch.tasks[:half], batch.tasks[half:]):
                self._attempt(self._batch(tasks, model), model)
            return
        _record_batch(recognizer.engine, batch.tasks, time.monotonic() - began)
        self._models.hold(model)
        self._outputs.put(_Batch(batch.tasks, output, model))

    def _finish(self) -> None:
        while (batch := self._outputs.get()) is not _END:
            try:
                if batch.model is not None:
                    self._finish_batch(batch, batch.model)
            finally:
                self._give_back(batch)
                del batch  # as above

    def _finish_batch(self, batch: _Batch, model: Borrowed) -> None:
        try:
            with self._limit(batch.tasks, model.paces.finish):
                results = model.recognizer.finish(batch.data)
        except Exception as error:
            self._failed(batch.tasks, error, model)
            return
        self._in_a_row.pop(model.name, None)
        for task, tokens in zip(batch.tasks, results, strict=True):
            if self._queue.take_done([task]):
                self._complete(task, tokens)

    def _complete(self, task: Task, tokens: list[Token]) -> None:
        engine = self._source.engine
        metrics.AUDIO.add(seconds(len(task.chunk.samples)), engine=engine.value)
        try:
            task.complete(engine, tokens)
        except Exception as error:
            # Tokens that make no result: nobody else has the task any more.
            _log.exception("a result could not be made")
            failure = EngineFailed(f"The engine's answer makes no result ({type(error).__name__}).")
            self._failure_handler.chunk_failed(self._source, task, failure)

    def _failed(self, tasks: Sequence[Task], error: Exception, model: Borrowed) -> None:
        if _ends_engine(error):
            raise error
        failures = self._in_a_row.setdefault(model.name, _FailuresInARow())
        failures.count += 1
        failures.jobs |= {task.job_id for task in tasks}
        if failures.are_enough:
            if self._models.is_own(model):
                raise EngineFailed(f"The engine failed {failures.count} times in a row.", kind_of(error)) from error
            self._models.leave(model, f"The model {model.name} failed {failures.count} times in a row.")
        _log.error("chunks not transcribed", extra={"fields": {"chunks": len(tasks)}}, exc_info=error)
        reason = error.reason if isinstance(error, EngineFailed) else f"The engine failed ({type(error).__name__})."
        for task in self._queue.take_done(tasks):
            self._failure_handler.chunk_failed(self._source, task, EngineFailed(reason, kind_of(error)))


def _prepared_data(recognizer: Recognizer, tasks: Sequence[Task]) -> Any:
    batch = [task.chunk.samples for task in tasks]
    terms = [task.asked.keyterms for task in tasks]
    if any(terms) and isinstance(recognizer, TakesKeyterms):
        return recognizer.prepare_with_keyterms(batch, terms)
    return recognizer.prepare(batch)


def _ends_engine(error: Exception) -> bool:
    return REMEDIES[kind_of(error)] in {Remedy.LEAVE_ENGINE, Remedy.LEAVE_PROCESS}


def _record_batch(engine: Engine, tasks: Sequence[Task], spent: float) -> None:
    """Into the metrics: a batch that ran, in so many seconds."""
    fill = Fill.of([len(task.chunk.samples) for task in tasks])
    metrics.BATCH_CHUNKS.record(len(tasks), engine=engine.value)
    metrics.BATCH_AUDIO.record(fill.audio_seconds, engine=engine.value)
    metrics.BATCH_TIME.record(spent, engine=engine.value)
    if fill.share is not None:
        metrics.BATCH_FILL.record(fill.share, engine=engine.value)
