"""The engine room: waiting chunks of all uploads run in batches. One thread owns the model.

Three stages overlap: while the model runs a batch, one thread makes the next one ready, and another turns the last
one's answer into words. So the model never waits for Python.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Queue
from typing import Any

from gpu_job.asr.batch_fill import Fill
from gpu_job.asr.recognizer import Recognizer
from gpu_job.audio.samples import seconds
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.chunk_queue import ChunkQueue, Task
from shared.enums import Engine
from shared.errors import REMEDIES, EngineFailed, FailureKind, Remedy, kind_of
from shared.telemetry import metrics

_log = logging.getLogger(__name__)

FAILURES_IN_A_ROW = 3
"""So many failures, one after the other, of more than one upload mean a broken engine rather than broken chunks."""

FAILURES_OF_ONE_UPLOAD = 12
"""The same where only one upload's chunks failed."""


@dataclass(frozen=True)
class _Batch:
    tasks: Sequence[Task]
    prepared: Any


_END = _Batch((), None)


class LocalEngine:
    """Chunks go into the waiting room; parts come out on the finishing thread, in any order."""

    def __init__(
        self,
        engine: Engine,
        model: str,
        load: Callable[[], Recognizer],
        max_waiting_seconds: float,
        *,
        on_begin: Callable[[], None],
        on_batch: Callable[[Sequence[Task]], None],
        on_delivered: Callable[[Sequence[Task]], None],
        on_smaller: Callable[[Recognizer], None],
    ) -> None:
        self.engine = engine
        self.model = model
        """Its name; the loaded model may have a better one."""
        self._waiting = ChunkQueue(max_waiting_seconds)
        self._load = load
        self._on_begin, self._on_batch = on_begin, on_batch
        self._on_delivered, self._on_smaller = on_delivered, on_smaller
        self._ready: Queue[_Batch] = Queue(maxsize=1)
        self._heard: Queue[_Batch] = Queue(maxsize=2)
        self._failures = 0
        self._failed_jobs: set[str] = set()
        self._is_loaded = False
        self.failure: EngineFailed | None = None
        self._chain: EngineChain | None = None

    @property
    def takes_private(self) -> bool:
        """The model runs here: no audio leaves."""
        return True

    def start(self, chain: EngineChain) -> None:
        """Load the model and take chunks from now on."""
        self._chain = chain
        threading.Thread(target=self._run, name=f"engine-{self.engine}", daemon=True).start()

    def stop(self) -> None:
        """Take no more batches. The running one may still deliver."""
        self._waiting.stop()

    def submit(self, task: Task, *, wait: bool) -> None:
        """Hand in a chunk; `wait`: block while too much audio waits. Raises EngineFailed where the engine is gone."""
        self._waiting.submit(task, wait=wait)

    @property
    def is_loaded(self) -> bool:
        """Whether it transcribes already."""
        return self._is_loaded

    def take_last(self, job_id: str, max_seconds: float, engine: Engine) -> list[Task]:
        """Give up the last chunks of a job's that wait here, in time order: `engine` does them."""
        return self._waiting.take_last(job_id, max_seconds, engine)

    def drop(self, job_id: str) -> None:
        """Forget the waiting chunks of a job that ended."""
        self._waiting.drop(job_id)

    def feeding(self, change: int) -> None:
        """One more (+1) or one less (-1) decoder is feeding chunks."""
        self._waiting.feeding(change)

    def _run(self) -> None:
        try:
            began = time.monotonic()
            recognizer = self._load()
        except Exception as error:
            self._fail(error)
        else:
            self.model, self._is_loaded = recognizer.name, True
            fields = {"model": recognizer.name, "seconds": round(time.monotonic() - began, 2)}
            _log.info("model loaded", extra={"fields": fields})
            self._run_stages(recognizer)
        if self.failure is not None and self._chain is not None:
            self._chain.gone(self, self._waiting.left(), self.failure)

    def _run_stages(self, recognizer: Recognizer) -> None:
        """Until the last answer is out: what has none then gets none here, and can go to another engine."""
        feeder = threading.Thread(
            target=self._guarded, args=(self._prepare, recognizer), name="engine-feeder", daemon=True
        )
        finisher = threading.Thread(
            target=self._guarded, args=(self._finish, recognizer, self._heard), name="engine-finisher", daemon=True
        )
        feeder.start()
        finisher.start()
        self._guarded(self._transcribe, recognizer, self._ready)
        self._heard.put(_END)
        finisher.join()

    def _guarded(
        self, stage: Callable[[Recognizer], None], recognizer: Recognizer, source: Queue[_Batch] | None = None
    ) -> None:
        """The boundary of a stage's thread; `source`: where it takes its batches from."""
        try:
            stage(recognizer)
        except Exception as error:
            self._fail(error)
            # The stage before it must not wait for ever until there is room for its next batch.
            while source is not None and source.get() is not _END:
                pass

    def _fail(self, error: Exception) -> None:
        """Whatever happened, those who submit must learn that the engine is gone."""
        if not isinstance(error, EngineFailed):
            _log.error("engine failed", exc_info=error)
            error = EngineFailed(f"The engine failed ({type(error).__name__}).", kind_of(error))
        self.failure = self.failure or error
        self._waiting.stop(self.failure)

    def _prepare(self, recognizer: Recognizer) -> None:
        try:
            while tasks := self._waiting.take(recognizer.batch_limits):
                self._waiting.hungry(hungry=False)
                self._ready.put(_Batch(tasks, _prepared(recognizer, tasks)))
        finally:
            self._ready.put(_END)

    def _transcribe(self, recognizer: Recognizer) -> None:
        while True:
            if self._ready.empty():
                self._waiting.hungry(hungry=True)
            batch = self._ready.get()
            self._waiting.hungry(hungry=False)
            if batch is _END:
                return
            if self._waiting.is_stopped:
                continue
            self._on_begin()
            self._attempt(recognizer, batch)
            self._on_batch(batch.tasks)

    def _attempt(self, recognizer: Recognizer, batch: _Batch) -> None:
        """Run a batch; one that fails is halved until the chunk at fault stands alone."""
        try:
            if isinstance(batch.prepared, Exception):
                raise batch.prepared
            began = time.monotonic()
            heard = recognizer.run(batch.prepared)
        except Exception as error:
            # A chunk can upset the model in ways no list of exceptions holds; isolating it is what matters.
            if len(batch.tasks) == 1:
                self._failed(batch.tasks, error)
                return
            if kind_of(error) is FailureKind.OUT_OF_MEMORY:
                longest = max(len(task.chunk.samples) for task in batch.tasks)
                recognizer.batch_limits = recognizer.batch_limits.without(longest, len(batch.tasks))
                self._on_smaller(recognizer)
            half = len(batch.tasks) // 2
            _log.warning("batch failed, halving", extra={"fields": {"chunks": len(batch.tasks)}}, exc_info=True)
            for tasks in (batch.tasks[:half], batch.tasks[half:]):
                self._attempt(recognizer, _Batch(tasks, _prepared(recognizer, tasks)))
            return
        _count(recognizer.engine, batch.tasks, time.monotonic() - began)
        self._heard.put(_Batch(batch.tasks, heard))

    def _finish(self, recognizer: Recognizer) -> None:
        while (batch := self._heard.get()) is not _END:
            try:
                answers = recognizer.finish(batch.prepared)
            except Exception as error:
                self._failed(batch.tasks, error)
                continue
            self._failures, self._failed_jobs = 0, set()
            for task, tokens in zip(batch.tasks, answers, strict=True):
                metrics.AUDIO.add(seconds(len(task.chunk.samples)), engine=recognizer.engine.value)
                task.answer(recognizer.engine, tokens)
            self._done(batch.tasks)

    def _failed(self, tasks: Sequence[Task], error: Exception) -> None:
        if REMEDIES[kind_of(error)] is Remedy.LEAVE_ENGINE:
            raise error
        self._failures += 1
        self._failed_jobs |= {task.job_id for task in tasks}
        # One upload may hold many chunks that upset the model; with nothing else to go by, more of them must.
        allowed = FAILURES_IN_A_ROW if len(self._failed_jobs) > 1 else FAILURES_OF_ONE_UPLOAD
        if self._failures >= allowed:
            raise EngineFailed(f"The engine failed {self._failures} times in a row.", kind_of(error)) from error
        _log.error("engine could not do it", extra={"fields": {"chunks": len(tasks)}}, exc_info=error)
        reason = error.reason if isinstance(error, EngineFailed) else f"The engine failed ({type(error).__name__})."
        for task in tasks:
            assert self._chain is not None  # set at the start
            self._chain.failed(self, task, EngineFailed(reason, kind_of(error)))
        self._done(tasks)

    def _done(self, tasks: Sequence[Task]) -> None:
        self._waiting.done(tasks)
        self._on_delivered(tasks)


def _count(engine: Engine, tasks: Sequence[Task], spent: float) -> None:
    """Into the metrics: a batch that ran, in so many seconds."""
    fill = Fill.of([len(task.chunk.samples) for task in tasks])
    metrics.BATCH_CHUNKS.record(len(tasks), engine=engine.value)
    metrics.BATCH_AUDIO.record(fill.audio_seconds, engine=engine.value)
    metrics.BATCH_TIME.record(spent, engine=engine.value)
    if fill.share is not None:
        metrics.BATCH_FILL.record(fill.share, engine=engine.value)


def _prepared(recognizer: Recognizer, tasks: Sequence[Task]) -> Any:
    """A batch made ready, or the exception that prevented it: whose fault it is shows when the batch is halved."""
    try:
        return recognizer.prepare([task.chunk.samples for task in tasks])
    except Exception as error:
        return error
