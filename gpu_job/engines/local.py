"""The local engine: queued chunks of all jobs run in batches. One thread owns the model.

Three stages overlap: while the model runs a batch, one thread prepares the next one, and another turns the last one's
output into tokens. So the model never waits for Python.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from gpu_job.asr.memory import GIB
from gpu_job.asr.model_size import predicted_bytes
from gpu_job.asr.recognizer import Recognizer, SpeechModel, TakesKeyterms
from gpu_job.engines.batch_stages import BatchStages
from gpu_job.engines.chain import FailureHandler
from gpu_job.engines.chunk_queue import ChunkQueue
from gpu_job.engines.listener import EngineListener
from gpu_job.engines.loaded_models import LOADED_MODELS, LOADED_MODELS_GIB, LoadedModels
from gpu_job.engines.task import Task
from gpu_job.engines.time_limits import BatchPace, TimeLimits, audio_seconds, time_limit
from shared.enums import Engine
from shared.errors import EngineFailed, FailureKind, kind_of
from shared.keyterms.report import EngineTerms
from shared.keyterms.terms import Keyterm

_log = logging.getLogger(__name__)


class LocalEngine:
    """Models in this process: its own, and others by demand.

    Tasks go in from any thread; results come out on its own threads, in any order.
    """

    is_local = True

    def __init__(
        self,
        engine: Engine,
        model: str,
        load: Callable[[], Recognizer],
        max_queued_seconds: float,
        failures: FailureHandler,
        listener: EngineListener | None = None,
        limits: TimeLimits | None = None,
        *,
        load_other: Callable[[str], Recognizer] | None = None,
        loaded_models: int = LOADED_MODELS,
        loaded_models_gib: float = LOADED_MODELS_GIB,
    ) -> None:
        """`load` is called when it is started, on the engine's thread, and again where the model had to go meanwhile.
        `max_queued_seconds`: of audio. `load_other`: loads another model, by its name; None: there is none.
        `loaded_models`, `loaded_models_gib`: most that are in memory at once, and most of it that they take."""
        self.engine = engine
        self.model = model
        """Its own; the loaded model may have a better name."""
        self._own_name = model
        self.failure: EngineFailed | None = None
        self._queue = ChunkQueue(max_queued_seconds)
        self._load = load
        self._load_other = load_other
        self._most_models = loaded_models
        self._most_bytes = loaded_models_gib * GIB
        self._models: LoadedModels | None = None
        self._failures = failures
        self._listener = listener or EngineListener()
        self._limits = limits or TimeLimits()
        self._is_loaded = False
        self._reporting = threading.Lock()
        self._is_reported = False

    def start(self) -> None:
        """Load the model and run batches from now on."""
        threading.Thread(target=self._run, name=f"engine-{self.engine}", daemon=True).start()

    def stop(self) -> None:
        """Take no more batches. The running one may still deliver."""
        self._queue.stop()

    def submit(self, task: Task, *, wait: bool) -> None:
        """Queue a task; `wait`: block while the queue is full. Raises EngineFailed where the engine has ended."""
        self._queue.submit(task, wait=wait)

    @property
    def is_loaded(self) -> bool:
        """Whether the model is there."""
        return self._is_loaded

    def keyterm_support(self, terms: tuple[Keyterm, ...], model: SpeechModel | None = None) -> EngineTerms | None:
        """What a model makes of an upload's key terms; None while it is not loaded."""
        recognizer = None if self._models is None else self._models.recognizer(model)
        if recognizer is None:
            return None
        if not isinstance(recognizer, TakesKeyterms):
            phrases = tuple(term.phrase for term in terms)
            reason = f"The model {recognizer.name} takes no key terms."
            return EngineTerms(engine=self.engine, favoured=False, left_out=phrases, reason=reason)
        left_out, reason = recognizer.left_out(terms)
        favoured = len(left_out) < len(terms)
        return EngineTerms(engine=self.engine, favoured=favoured, left_out=left_out, reason=reason)

    def model_of(self, model: SpeechModel | None) -> str:
        """What transcripts call the model that such chunks are heard with."""
        if model is None or self._models is None:
            return self.model if model is None or model.name == self._own_name else model.name
        return self._models.name_of(model)

    def holds(self, model: SpeechModel) -> bool:
        """Whether such a model is in memory."""
        return self._models is not None and self._models.recognizer(model) is not None

    def take_last(self, job_id: str, max_seconds: float, engine: Engine) -> list[Task]:
        """Take a job's last queued chunks off the queue, in time order, for another engine."""
        return self._queue.take_last(job_id, max_seconds, engine)

    def has_tasks(self, job_id: str) -> bool:
        """Whether it has chunks of this job without a result."""
        return self._queue.has_tasks(job_id)

    def drop(self, job_id: str) -> None:
        """Discard the queued chunks of a job that ended."""
        self._queue.drop(job_id)

    def add_feeder(self) -> None:
        """One more decoder submits chunks."""
        self._queue.add_feeder()

    def remove_feeder(self) -> None:
        """A decoder submits no more chunks."""
        self._queue.remove_feeder()

    def _run(self) -> None:
        try:
            began = time.monotonic()
            with time_limit(self._limits.load_seconds, self._hung):
                recognizer = self._load()
        except Exception as error:
            self._end(error)
        else:
            self.model, self._is_loaded = recognizer.name, True
            fields = {"model": recognizer.name, "seconds": round(time.monotonic() - began, 2)}
            _log.info("model loaded", extra={"fields": fields})
            self._models = models = LoadedModels(
                self._own_name,
                recognizer,
                self._load_by_name,
                self._most_models,
                lambda: time_limit(self._limits.load_seconds, self._hung),
                most_bytes=self._most_bytes,
                predicted_bytes=predicted_bytes,
            )
            del recognizer  # it may have to go
            BatchStages(models, self, self._queue, self._failures, self._listener, self._end, self._limit).run()
        self._report_failure()

    def _load_by_name(self, name: str) -> Recognizer:
        if name == self._own_name:
            return self._load()
        if self._load_other is None:
            raise EngineFailed(f"This engine has one model, {self._own_name}.", FailureKind.MODEL_LOAD)
        return self._load_other(name)

    @contextmanager
    def _limit(self, tasks: Sequence[Task], pace: BatchPace) -> Iterator[None]:
        began = time.monotonic()
        with time_limit(self._limits.batch(tasks, pace), self._hung):
            yield
        pace.add(audio_seconds(tasks), time.monotonic() - began)

    def _hung(self, limit_seconds: float) -> None:
        """The model did not come back in time: its thread cannot be ended, but the chunks can have another engine."""
        reason = f"The model did not answer within {limit_seconds:.0f} s; only another process can use it."
        self._end(EngineFailed(reason, FailureKind.MODEL_HUNG))
        self._report_failure()

    def _report_failure(self) -> None:
        """Once, with what has no result; a hung model that answers in the end has nothing left to deliver."""
        with self._reporting:
            if self.failure is None or self._is_reported:
                return
            self._is_reported = True
        self._failures.engine_failed(self, self._queue.drain(), self.failure)

    def _end(self, error: Exception) -> None:
        """Whatever happened, those who submit must learn that the engine transcribes nothing more."""
        if not isinstance(error, EngineFailed):
            _log.error("engine failed", exc_info=error)
            error = EngineFailed(f"The engine failed ({type(error).__name__}).", kind_of(error))
        self.failure = self.failure or error
        self._queue.stop(self.failure)
