"""The waiting room: chunks of all uploads between the decoders and the engine, bounded, and taken in batches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from opentelemetry.trace import INVALID_SPAN, Span

from gpu_job.asr.batching import BatchLimits, Waiting, next_batch
from gpu_job.asr.tokens import Token
from gpu_job.assembly.assemble import ChunkResult, part
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE
from shared.enums import Engine
from shared.errors import EngineFailed
from shared.telemetry import tracing

LINGER_SECONDS = 0.2
"""How long an idle engine waits for a batch to fill; a decoder makes about 200 s of audio in that time."""


@dataclass(frozen=True)
class Task:
    """A chunk with the place its words go to."""

    job_id: str
    chunk: Chunk
    deliver: Callable[[ChunkResult], None]
    channel: int = 0
    stays: bool = False
    """Whether it may not leave for an API: it is private, or the upload may not cost so much."""
    asked: Mapping[Engine, EngineFailed] = field(default_factory=dict)
    """The engines asked before, and why they did not do it."""
    urgent: bool = False
    """Whether an upload that is otherwise done waits for it: it goes first."""
    span: Span = INVALID_SPAN
    """Of the upload, which may have left when the chunk's batch is told of."""

    def answer(self, engine: Engine, tokens: Iterable[Token]) -> None:
        """Deliver what an engine heard, in seconds from the chunk's start."""
        heard = part(self.chunk, engine, tokens, self.channel)
        with self.about():
            self.deliver(replace(heard, is_fallback=bool(self.asked)))

    def give_up(self, engine: Engine) -> None:
        """Deliver why nobody could hear it; `engine` was asked last."""
        reason = " ".join(dict.fromkeys(failure.reason for failure in self.asked.values()))
        with self.about():
            self.deliver(ChunkResult(self.chunk.start, self.chunk.end, engine, failure=reason, channel=self.channel))

    def about(self) -> AbstractContextManager[None]:
        """What is logged and traced inside concerns the upload."""
        return tracing.job_span_context(self.job_id, self.span)


@dataclass(frozen=True)
class _QueuedChunk:
    task: Task
    since: int
    """Batches that had been taken when it came."""

    @property
    def samples(self) -> int:
        return len(self.task.chunk.samples)

    def described(self, batches: int) -> Waiting:
        """What batching looks at."""
        return Waiting(self.samples, self.task.chunk.speech_share, self.task.urgent, batches - self.since)


class ChunkQueue:
    """Chunks go in from any thread, and block while too much audio waits; one thread takes them out."""

    def __init__(self, max_waiting_seconds: float) -> None:
        self._max_waiting = int(max_waiting_seconds * SAMPLE_RATE)
        self._changed = threading.Condition()
        self._waiting: list[_QueuedChunk] = []
        self._batches = 0
        self._taken: dict[int, Task] = {}
        """Given out, and not answered yet."""
        self._samples = 0
        self._feeding = 0
        self._hungry = True
        self._stopped = False
        self._failure: EngineFailed | None = None

    def stop(self, failure: EngineFailed | None = None) -> None:
        """Accept and give out nothing more. `failure`: what those who submit are told."""
        with self._changed:
            self._failure = self._failure or failure
            self._stopped = True
            self._changed.notify_all()

    @property
    def is_stopped(self) -> bool:
        """Whether what was given out is not to be begun any more."""
        with self._changed:
            return self._stopped

    def left(self) -> list[Task]:
        """The chunks without an answer, of an engine that gives no more; each is given out once."""
        with self._changed:
            left = [*self._taken.values(), *(guest.task for guest in self._waiting)]
            self._taken, self._waiting, self._samples = {}, [], 0
        return left

    def done(self, tasks: Iterable[Task]) -> None:
        """Chunks that were given out have their answer, or another engine has them."""
        with self._changed:
            for task in tasks:
                self._taken.pop(id(task), None)

    def feeding(self, change: int) -> None:
        """One more (+1) or one less (-1) decoder is feeding chunks: whether lingering for a full batch makes sense."""
        with self._changed:
            self._feeding += change
            self._changed.notify_all()

    def hungry(self, *, hungry: bool) -> None:
        """Whether the engine has nothing to do: a batch that is not full is given out only then."""
        with self._changed:
            self._hungry = hungry
            self._changed.notify_all()

    def submit(self, task: Task, *, wait: bool = True) -> None:
        """Hand in a chunk; `wait`: block while too much audio waits. Raises EngineFailed where the engine is gone."""
        length = len(task.chunk.samples)
        with self._changed:
            self._changed.wait_for(
                lambda: not wait or self._stopped or not self._waiting or self._samples + length <= self._max_waiting
            )
            if self._stopped:
                raise self._failure or EngineFailed("The engine was stopped.")
            self._waiting.append(_QueuedChunk(task, self._batches))
            self._samples += length
            self._changed.notify_all()

    def drop(self, job_id: str) -> None:
        """Forget the waiting chunks of a job that ended."""
        with self._changed:
            self._waiting = [guest for guest in self._waiting if guest.task.job_id != job_id]
            self._samples = sum(guest.samples for guest in self._waiting)
            self._changed.notify_all()

    def take_last(self, job_id: str, max_seconds: float, engine: Engine) -> list[Task]:
        """The last chunks of a job's that wait and that `engine` was not asked for, in time order, of one channel: at
        most so much audio, but at least one chunk."""
        with self._changed:
            own = sorted(
                (guest for guest in self._waiting if guest.task.job_id == job_id and _may_move(guest.task, engine)),
                key=lambda guest: (guest.task.channel, guest.task.chunk.start),
            )
            last: list[_QueuedChunk] = []
            room = int(max_seconds * SAMPLE_RATE)
            while own and own[-1].task.channel == (last or own)[-1].task.channel:
                if last and own[-1].samples > room:
                    break
                last.append(own.pop())
                room -= last[-1].samples
            taken = {id(guest) for guest in last}
            self._waiting = [guest for guest in self._waiting if id(guest) not in taken]
            self._samples = sum(guest.samples for guest in self._waiting)
            self._changed.notify_all()
        return [guest.task for guest in reversed(last)]

    def take(self, limits: BatchLimits) -> list[Task]:
        """The next batch; empty when stopped."""
        with self._changed:
            while True:
                self._await_batch(limits)
                if self._stopped:
                    return []
                if self._waiting:  # else it was dropped, or another engine has it
                    break
            chosen = next_batch([guest.described(self._batches) for guest in self._waiting], limits)
            tasks = [self._waiting[index].task for index in chosen]
            self._batches += 1
            self._taken |= {id(task): task for task in tasks}
            for index in sorted(chosen, reverse=True):
                del self._waiting[index]
            self._samples -= sum(len(task.chunk.samples) for task in tasks)
            self._changed.notify_all()
        return tasks

    def _await_batch(self, limits: BatchLimits) -> None:
        """Until a batch is full, or the engine is idle and no more chunks are to be expected soon."""
        self._changed.wait_for(lambda: self._stopped or self._is_full(limits) or (self._waiting and self._hungry))
        self._changed.wait_for(
            lambda: self._stopped or not self._waiting or self._is_full(limits) or not self._feeding, LINGER_SECONDS
        )

    def _is_full(self, limits: BatchLimits) -> bool:
        longest = max((guest.samples for guest in self._waiting), default=0)
        return len(self._waiting) >= limits.largest(longest)


def _may_move(task: Task, engine: Engine) -> bool:
    return not task.urgent and not task.stays and engine not in task.asked
