"""The chunk queue: chunks of all jobs between the decoders and an engine, bounded, and taken in batches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Protocol

from gpu_job.asr.batching import MODEL_PATIENCE, BatchCandidate, BatchLimits, next_batch
from gpu_job.asr.recognizer import SpeechModel
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.engines.task import Task
from shared.enums import Engine
from shared.errors import EngineFailed

BUFFERED_AUDIO_SECONDS = 2400.0
"""Decoded audio that may wait for the model where nothing else is set: two full batches; 4 bytes x 16 kHz: 154 MB."""

LINGER_SECONDS = 0.2
"""How long an idle engine waits for a batch to fill; a decoder makes about 200 s of audio in that time."""


class QueuedModels(Protocol):
    """What the queue has to know of the models that its chunks are for; None: the engine's own."""

    def limits(self, model: SpeechModel | None) -> BatchLimits:
        """How large its batches may be."""

    def is_loaded(self, model: SpeechModel | None) -> bool:
        """Whether it is in memory."""


@dataclass(frozen=True)
class _QueuedChunk:
    task: Task
    since: int
    """Batches that had been taken when it was queued."""

    @property
    def samples(self) -> int:
        return len(self.task.chunk.samples)

    def describe(self, batches: int, loaded_at: int, models: QueuedModels) -> BatchCandidate:
        """What the batch plan looks at, after so many batches; a model was loaded last for the one with this number."""
        task = self.task
        return BatchCandidate(
            self.samples,
            task.chunk.speech_share,
            task.urgent,
            batches - self.since,
            model=task.model,
            is_loaded=models.is_loaded(task.model),
            since_load=batches - loaded_at,
        )


class ChunkQueue:
    """Tasks go in from any thread, which blocks while the queue is full; one thread takes them out."""

    def __init__(self, max_queued_seconds: float) -> None:
        self._max_queued = int(max_queued_seconds * SAMPLE_RATE)
        self._changed = threading.Condition()
        self._queued: list[_QueuedChunk] = []
        self._batches = 0
        self._loaded_at = -MODEL_PATIENCE
        """The number of the last batch for which a model had to be loaded, the first of all not counted."""
        self._taken: dict[int, Task] = {}
        """In a batch, without a result yet."""
        self._samples = 0
        self._feeders = 0
        self._engine_idle = True
        self._stopped = False
        self._failure: EngineFailed | None = None

    def stop(self, failure: EngineFailed | None = None) -> None:
        """Accept and give out nothing more. `failure`: what `submit` raises from now on."""
        with self._changed:
            self._failure = self._failure or failure
            self._stopped = True
            self._changed.notify_all()

    @property
    def is_stopped(self) -> bool:
        """Whether batches that were taken must not be started any more."""
        with self._changed:
            return self._stopped

    def drain(self) -> list[Task]:
        """Take out the tasks without a result, queued or in a batch, of an engine that has ended."""
        with self._changed:
            left = [*self._taken.values(), *(queued.task for queued in self._queued)]
            self._taken, self._queued, self._samples = {}, [], 0
        return left

    def take_done(self, tasks: Iterable[Task]) -> list[Task]:
        """Tasks of a batch are done, or failed: those that were not drained meanwhile, whose result is the caller's to
        deliver. Each is given out once."""
        with self._changed:
            return [task for task in tasks if self._taken.pop(id(task), None) is not None]

    def has_tasks(self, job_id: str) -> bool:
        """Whether a task of this job is queued or in a batch."""
        with self._changed:
            held = [*self._taken.values(), *(queued.task for queued in self._queued)]
        return any(task.job_id == job_id for task in held)

    def add_feeder(self) -> None:
        """One more decoder submits chunks: waiting a moment for a full batch makes sense."""
        self._change_feeders(+1)

    def remove_feeder(self) -> None:
        """A decoder submits no more chunks."""
        self._change_feeders(-1)

    def _change_feeders(self, change: int) -> None:
        with self._changed:
            self._feeders += change
            self._changed.notify_all()

    def set_engine_idle(self, *, idle: bool) -> None:
        """Whether the engine has nothing to run: a batch that is not full is given out only then."""
        with self._changed:
            self._engine_idle = idle
            self._changed.notify_all()

    def submit(self, task: Task, *, wait: bool = True) -> None:
        """Queue a task; `wait`: block while the queue is full. Raises EngineFailed where the engine has ended."""
        length = len(task.chunk.samples)
        with self._changed:
            self._changed.wait_for(
                lambda: not wait or self._stopped or not self._queued or self._samples + length <= self._max_queued
            )
            if self._stopped:
                raise self._failure or EngineFailed("The engine was stopped.")
            self._queued.append(_QueuedChunk(task, self._batches))
            self._samples += length
            self._changed.notify_all()

    def drop(self, job_id: str) -> None:
        """Discard the queued chunks of a job that ended."""
        with self._changed:
            self._discard(lambda task: task.job_id == job_id)

    def _discard(self, is_unwanted: Callable[[Task], bool]) -> None:
        self._queued = [queued for queued in self._queued if not is_unwanted(queued.task)]
        self._samples = sum(queued.samples for queued in self._queued)
        self._changed.notify_all()

    def take_last(self, job_id: str, max_seconds: float, engine: Engine) -> list[Task]:
        """A job's last queued tasks that `engine` has not failed on, in time order, of one channel: at most so much
        audio, but at least one chunk."""
        with self._changed:
            own = sorted(
                (queued for queued in self._queued if queued.task.job_id == job_id and _may_move(queued.task, engine)),
                key=lambda queued: (queued.task.channel, queued.task.chunk.start),
            )
            last: list[_QueuedChunk] = []
            room = int(max_seconds * SAMPLE_RATE)
            while own and own[-1].task.channel == (last or own)[-1].task.channel:
                if last and own[-1].samples > room:
                    break
                last.append(own.pop())
                room -= last[-1].samples
            taken = {id(queued) for queued in last}
            self._queued = [queued for queued in self._queued if id(queued) not in taken]
            self._samples = sum(queued.samples for queued in self._queued)
            self._changed.notify_all()
        return [queued.task for queued in reversed(last)]

    def take_batch(self, models: QueuedModels) -> list[Task]:
        """The next batch, all for one model; empty when stopped."""
        with self._changed:
            while True:
                self._await_batch(models)
                if self._stopped:
                    return []
                self._discard(lambda task: task.is_cancelled())
                if self._queued:  # else it was dropped, or another engine has taken it
                    break
            waiting = [queued.describe(self._batches, self._loaded_at, models) for queued in self._queued]
            chosen = next_batch(waiting, lambda model: models.limits(_speech_model(model)))
            tasks = [self._queued[index].task for index in chosen]
            if not waiting[chosen[0]].is_loaded:
                self._loaded_at = self._batches
            self._batches += 1
            self._taken |= {id(task): task for task in tasks}
            for index in sorted(chosen, reverse=True):
                del self._queued[index]
            self._samples -= sum(len(task.chunk.samples) for task in tasks)
            self._changed.notify_all()
        return tasks

    def _await_batch(self, models: QueuedModels) -> None:
        """Until a batch is full, or the engine is idle and no more chunks are to be expected soon."""
        self._changed.wait_for(lambda: self._stopped or self._is_full(models) or (self._queued and self._engine_idle))
        self._changed.wait_for(
            lambda: self._stopped or not self._queued or self._is_full(models) or not self._feeders, LINGER_SECONDS
        )

    def _is_full(self, models: QueuedModels) -> bool:
        by_model: dict[SpeechModel | None, list[int]] = {}
        for queued in self._queued:
            by_model.setdefault(queued.task.model, []).append(queued.samples)
        return any(len(lengths) >= models.limits(model).largest(max(lengths)) for model, lengths in by_model.items())


def _speech_model(model: Hashable) -> SpeechModel | None:
    """Batch plans know no more of a model than whether two are equal."""
    return model if isinstance(model, SpeechModel) else None


def _may_move(task: Task, engine: Engine) -> bool:
    return not task.urgent and not task.stays_local and engine not in task.failures
