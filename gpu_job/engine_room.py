"""The engine room: one thread owns the model and runs waiting chunks of all uploads in batches."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gpu_job.assembly import Part, part
from gpu_job.audio import SAMPLE_RATE, Samples, seconds
from gpu_job.batching import BatchLimits, next_batch
from gpu_job.chunking import Chunk
from shared.failures import EngineFailed
from shared.transcript import Word
from shared.vocabulary import Engine

_log = logging.getLogger(__name__)

LINGER_SECONDS = 0.2
"""How long a batch that is not full waits for the decoders; a decoder makes about 200 s of audio in that time."""

FAILURES_IN_A_ROW = 3
"""So many chunks failing alone, one after the other, mean a broken engine rather than broken chunks."""


class Recognizer(Protocol):
    """A loaded model."""

    @property
    def name(self) -> str: ...
    @property
    def engine(self) -> Engine: ...
    @property
    def batch_limits(self) -> BatchLimits: ...
    def transcribe(self, batch: Sequence[Samples]) -> list[list[Word]]: ...


@dataclass(frozen=True)
class Task:
    """A chunk with the place its words go to."""

    job_id: str
    chunk: Chunk
    deliver: Callable[[Part], None]


class EngineRoom:
    """Chunks go in from any thread, and block while too much audio waits; parts come out on the engine's thread."""

    def __init__(
        self,
        load: Callable[[], Recognizer],
        max_waiting_seconds: float,
        on_batch: Callable[[Sequence[Task]], None],
        on_begin: Callable[[], None],
    ) -> None:
        self._load = load
        self._max_waiting = int(max_waiting_seconds * SAMPLE_RATE)
        self._on_batch = on_batch
        self._on_begin = on_begin
        self._changed = threading.Condition()
        self._waiting: list[Task] = []
        self._samples = 0
        self._feeding = 0
        self._stopped = False
        self._failures = 0
        self.failure: EngineFailed | None = None
        self.recognizer: Recognizer | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Load the model and take chunks from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more batches. The running one may still deliver."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def feeding(self, change: int) -> None:
        """One more (+1) or one less (-1) decoder is feeding chunks: whether lingering for a full batch makes sense."""
        with self._changed:
            self._feeding += change
            self._changed.notify_all()

    def submit(self, task: Task) -> None:
        """Hand in a chunk; blocks while too much audio waits. Raises EngineFailed where the engine is gone."""
        length = len(task.chunk.samples)
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopped or not self._waiting or self._samples + length <= self._max_waiting
            )
            if self._stopped:
                raise self.failure or EngineFailed("The engine was stopped.")
            self._waiting.append(task)
            self._samples += length
            self._changed.notify_all()

    def drop(self, job_id: str) -> None:
        """Forget the waiting chunks of a job that ended."""
        with self._changed:
            self._waiting = [task for task in self._waiting if task.job_id != job_id]
            self._samples = sum(len(task.chunk.samples) for task in self._waiting)
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            began = time.monotonic()
            self.recognizer = self._load()
            fields = {"model": self.recognizer.name, "seconds": round(time.monotonic() - began, 2)}
            _log.info("model loaded", extra={"fields": fields})
            while tasks := self._take(self.recognizer.batch_limits):
                self._on_begin()
                self._transcribe(self.recognizer, tasks)
                self._on_batch(tasks)
        except EngineFailed as error:
            self._fail(error)
        except Exception as error:
            # The boundary of the thread: whatever else happened, the worker must learn that the engine is gone.
            _log.exception("engine failed")
            self._fail(EngineFailed(f"The engine failed ({type(error).__name__})."))

    def _fail(self, error: EngineFailed) -> None:
        self.failure = error
        self.stop()

    def _take(self, limits: BatchLimits) -> list[Task]:
        """The next batch; empty when stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._waiting)
            self._changed.wait_for(lambda: self._stopped or self._is_full(limits) or not self._feeding, LINGER_SECONDS)
            if self._stopped:
                return []
            chosen = next_batch([len(task.chunk.samples) for task in self._waiting], limits)
            tasks = [self._waiting[index] for index in chosen]
            for index in sorted(chosen, reverse=True):
                del self._waiting[index]
            self._samples -= sum(len(task.chunk.samples) for task in tasks)
            self._changed.notify_all()
        return tasks

    def _is_full(self, limits: BatchLimits) -> bool:
        return len(self._waiting) >= limits.max_chunks or self._samples >= limits.max_samples

    def _transcribe(self, recognizer: Recognizer, tasks: Sequence[Task]) -> None:
        """Run a batch; one that fails is halved until the chunk at fault stands alone."""
        try:
            answers = recognizer.transcribe([task.chunk.samples for task in tasks])
        except Exception as error:
            # A chunk can upset the model in ways no list of exceptions holds; isolating it is what matters.
            if len(tasks) > 1:
                half = len(tasks) // 2
                _log.warning("batch failed, halving", extra={"fields": {"chunks": len(tasks)}}, exc_info=True)
                self._transcribe(recognizer, tasks[:half])
                self._transcribe(recognizer, tasks[half:])
                return
            self._chunk_failed(recognizer, tasks[0], error)
            return
        self._failures = 0
        for task, words in zip(tasks, answers, strict=True):
            task.deliver(part(task.chunk.start, task.chunk.end, recognizer.engine, words))

    def _chunk_failed(self, recognizer: Recognizer, task: Task, error: Exception) -> None:
        self._failures += 1
        if self._failures >= FAILURES_IN_A_ROW:
            raise EngineFailed(f"The engine failed on {self._failures} chunks in a row.") from error
        _log.error(
            "chunk failed", extra={"fields": {"job": task.job_id, "at_s": seconds(task.chunk.start)}}, exc_info=error
        )
        reason = error.reason if isinstance(error, EngineFailed) else f"The engine failed ({type(error).__name__})."
        task.deliver(Part(task.chunk.start, task.chunk.end, recognizer.engine, failure=reason))
