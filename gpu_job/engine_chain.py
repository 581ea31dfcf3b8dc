"""The engine chain: what one engine cannot do, the next one does. For the missing chunks only.

Within an engine a batch that fails is halved until the chunk at fault stands alone; such a chunk goes on to the next
engine. An engine that is gone hands on everything it had. The last engine's failure is the chunk's.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from gpu_job.assembly import Part
from gpu_job.waiting_room import Task
from shared.failures import EngineFailed, FailureKind
from shared.vocabulary import Engine

_log = logging.getLogger(__name__)


class Room(Protocol):
    """An engine at work. It calls back `EngineChain.failed` and `EngineChain.gone`."""

    @property
    def engine(self) -> Engine: ...
    @property
    def model(self) -> str: ...
    @property
    def failure(self) -> EngineFailed | None: ...
    @property
    def takes_private(self) -> bool:
        """Whether audio stays here with it."""

    def start(self, chain: EngineChain) -> None: ...
    def stop(self) -> None: ...
    def submit(self, task: Task, *, wait: bool) -> None:
        """Raises EngineFailed where the engine is gone."""

    def drop(self, job_id: str) -> None: ...
    def feeding(self, change: int) -> None: ...


class EngineChain:
    """The engines in the order in which they are asked; the first is started at once, others when they are needed."""

    def __init__(
        self, rooms: Sequence[Room], on_gone: Callable[[Engine, EngineFailed, Sequence[str]], None] | None = None
    ) -> None:
        """`on_gone`: told of an engine that is gone, why, and the jobs of the chunks it had."""
        self._rooms = rooms
        self._on_gone = on_gone or (lambda engine, error, jobs: None)
        self._started: set[int] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def start(self) -> None:
        """Load the first engine."""
        self._start(0)

    def stop(self) -> None:
        """Take no more chunks."""
        with self._lock:
            self._stopped = True
            started = list(self._started)
        for place in started:
            self._rooms[place].stop()

    @property
    def failure(self) -> EngineFailed | None:
        """Why no engine is left; None while there is one."""
        failures = [room.failure for room in self._rooms]
        return None if None in failures else failures[0]

    def model(self, engines: Sequence[Engine]) -> str:
        """The models of these engines, as the transcript names them."""
        names = [room.model for room in self._rooms if room.engine in engines]
        return " + ".join(dict.fromkeys(names)) or self._rooms[0].model

    def feeding(self, change: int) -> None:
        """One more (+1) or one less (-1) decoder is feeding chunks."""
        for room in self._rooms:
            room.feeding(change)

    def drop(self, job_id: str) -> None:
        """Forget the waiting chunks of a job that ended."""
        for room in self._rooms:
            room.drop(job_id)

    def submit(self, task: Task) -> None:
        """Hand in a chunk; blocks while too much audio waits. Raises EngineFailed where no engine is left for it."""
        error = self._pass_on(task, wait=True)
        if error is not None:
            raise error

    def failed(self, room: Room, task: Task, error: EngineFailed) -> None:
        """`room` cannot do this chunk: another engine is asked, or the chunk has no words."""
        fields = {"job": task.job_id, "engine": room.engine, "kind": error.kind, "reason": error.reason}
        _log.warning("chunk failed", extra={"fields": fields})
        task = _after(task, room, error)
        if error.kind is not FailureKind.BAD_MEDIA and self._pass_on(task, wait=False) is None:
            return
        chunk, reason = task.chunk, " ".join(dict.fromkeys(task.asked.values()))
        task.deliver(Part(chunk.start, chunk.end, room.engine, failure=reason, channel=task.channel))

    def gone(self, room: Room, left: Sequence[Task], error: EngineFailed) -> None:
        """`room` will answer nothing more: what it had goes to another engine. Without one the worker hands over."""
        fields = {"engine": room.engine, "kind": error.kind, "reason": error.reason, "chunks": len(left)}
        _log.error("engine gone", extra={"fields": fields})
        self._on_gone(room.engine, error, [task.job_id for task in left])
        for task in left:
            self._pass_on(_after(task, room, error), wait=False)

    def _pass_on(self, task: Task, *, wait: bool) -> EngineFailed | None:
        """To the first engine that takes it and was not asked yet; the last one's failure where none does."""
        error = EngineFailed("There is no engine left for this part of the recording.")
        for place, room in enumerate(self._rooms):
            if room.engine in task.asked or (task.is_private and not room.takes_private):
                continue
            try:
                self._start(place)
                room.submit(task, wait=wait)
            except EngineFailed as failure:
                error = failure
                continue
            return None
        return error

    def _start(self, place: int) -> None:
        with self._lock:
            if self._stopped or place in self._started:
                return
            self._started.add(place)
        self._rooms[place].start(self)


def _after(task: Task, room: Room, error: EngineFailed) -> Task:
    return replace(task, asked={**task.asked, room.engine: error.reason})
