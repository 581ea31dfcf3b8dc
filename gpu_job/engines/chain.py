"""The engine chain: what one engine cannot do, the next one does. For the missing chunks only.

Within an engine a batch that fails is halved until the chunk at fault stands alone; such a chunk goes on to the next
engine. An engine that is gone hands on everything it had. A chunk that no engine could do has no words; but where no
engine is left at all, chunks stay unanswered, and the worker hands their uploads over.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from gpu_job.engines.chunk_queue import Task
from shared.enums import Engine
from shared.errors import REMEDIES, EngineFailed, FailureKind, Remedy

_log = logging.getLogger(__name__)


class ChainedEngine(Protocol):
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
        self,
        rooms: Sequence[ChainedEngine],
        *,
        fallback: bool = True,
        on_delivered: Callable[[Sequence[Task]], None] = lambda tasks: None,
        on_gone: Callable[[Engine, EngineFailed, Sequence[str]], None] = lambda engine, error, jobs: None,
    ) -> None:
        """`fallback`: whether others than the first may stand in. `on_delivered`: told of chunks that an engine left
        behind, after they found their place. `on_gone`: told of an engine that is gone, why, and of which jobs it had
        chunks."""
        self._rooms = rooms
        self._asked = rooms if fallback else rooms[:1]
        self._on_delivered = on_delivered
        self._on_gone = on_gone
        self._started: list[ChainedEngine] = []
        self._lock = threading.Lock()
        self._stopped = False

    def start(self) -> None:
        """Load the first engine."""
        self.ready(self._rooms[0])

    def stop(self) -> None:
        """Take no more chunks."""
        with self._lock:
            self._stopped = True
        for room in self._rooms:
            room.stop()

    def ready(self, room: ChainedEngine) -> None:
        """Have a room of the chain started, so that it can be handed chunks."""
        with self._lock:
            if not self._stopped and room not in self._started:
                room.start(self)
                self._started.append(room)

    @property
    def failure(self) -> EngineFailed | None:
        """Why no engine is left; None while there is one."""
        failures = [room.failure for room in self._asked]
        known = [failure for failure in failures if failure is not None]
        return None if len(known) < len(failures) else _together(known)

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
        refused = self._pass_on(task, wait=True)
        if refused is not None:
            raise _together(list(refused.asked.values()))

    def failed(self, room: ChainedEngine, task: Task, error: EngineFailed) -> None:
        """`room` cannot do this chunk: another engine is asked, or the chunk has no words."""
        fields = {"job_id": task.job_id, "engine": room.engine, "kind": error.kind, "reason": error.reason}
        _log.warning("chunk failed", extra={"fields": fields})
        task = _after(task, room, error)
        if REMEDIES[error.kind] is Remedy.GIVE_UP:
            task.give_up(room.engine)
        else:
            self._find_place(task, room)

    def gone(self, room: ChainedEngine, left: Sequence[Task], error: EngineFailed) -> None:
        """`room` will answer nothing more: what it had goes to another engine. Without one the worker hands over."""
        fields = {"engine": room.engine, "kind": error.kind, "reason": error.reason, "chunks": len(left)}
        _log.error("engine gone", extra={"fields": fields})
        for task in left:
            self._find_place(_after(task, room, error), room)
        self._on_delivered(left)
        self._on_gone(room.engine, error, list(dict.fromkeys(task.job_id for task in left)))

    def _find_place(self, task: Task, last: ChainedEngine) -> None:
        refused = self._pass_on(task, wait=False)
        # Where nobody is left at all, the next attempt may have a sounder engine for it.
        if refused is not None and self.failure is None and not self._stopped:
            refused.give_up(last.engine)

    def _pass_on(self, task: Task, *, wait: bool) -> Task | None:
        """To the first engine that takes it and was not asked yet. None; or, where none does, the task with reasons."""
        for room in self._asked:
            if room.engine in task.asked or (task.stays and not room.takes_private):
                continue
            self.ready(room)
            try:
                room.submit(task, wait=wait)
            except EngineFailed as error:
                task = _after(task, room, error)
                continue
            return None
        return task


def _after(task: Task, room: ChainedEngine, error: EngineFailed) -> Task:
    return replace(task, asked={**task.asked, room.engine: error})


def _together(failures: Sequence[EngineFailed]) -> EngineFailed:
    """Failures of one engine after the other as one, of the last one's kind."""
    if not failures:
        return EngineFailed("There is no engine that may be asked.", FailureKind.REFUSED)
    return EngineFailed(" ".join(dict.fromkeys(failure.reason for failure in failures)), failures[-1].kind)
