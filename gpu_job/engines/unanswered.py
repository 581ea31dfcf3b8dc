"""A job's chunks that were submitted and have no result yet: those that no engine has any more are lost."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from itertools import count

from gpu_job.assembly.assemble import ChunkResult
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.task import Task

LOST_AFTER_SECONDS = 5.0
"""A chunk on its way from one engine to another, or a result on its way to its file, is with no engine for a moment."""

LOST_REASON = "The chunk was lost on its way to the engine."

_log = logging.getLogger(__name__)


class UnansweredTasks:
    """Of one job; used from any thread."""

    def __init__(self, engines: EngineChain, job_id: str) -> None:
        self._engines = engines
        self._job_id = job_id
        self._lock = threading.Lock()
        self._numbers = count()
        self._tasks: dict[int, Task] = {}
        """Queued somewhere, or in an engine."""
        self._suspects: dict[int, float] = {}
        """Those that no engine had when `fail_lost` looked last, and since when, in seconds of a clock."""

    def submit(self, task: Task) -> None:
        """Queue a chunk; blocks while the queue is full. Raises EngineFailed where no engine can take it."""
        number, answered = next(self._numbers), threading.Event()

        def deliver(result: ChunkResult) -> None:
            answered.set()
            with self._lock:
                self._tasks.pop(number, None)
            task.deliver(result)

        self._engines.submit(replace(task, deliver=deliver))
        with self._lock:
            if not answered.is_set():
                self._tasks[number] = task

    def fail_lost(self) -> None:
        """To be called now and then: deliver a failure for each chunk that no engine has had for LOST_AFTER_SECONDS.

        Where no engine is left, chunks wait for another attempt of the job.
        """
        if not self._engines.is_available or self._engines.has_tasks(self._job_id):
            self._suspects = {}
            return
        now = time.monotonic()
        with self._lock:
            self._suspects = {number: self._suspects.get(number, now) for number in self._tasks}
            overdue = [number for number, since in self._suspects.items() if now - since >= LOST_AFTER_SECONDS]
            lost = [self._tasks.pop(number) for number in overdue]
        if lost:
            _log.error("chunks lost", extra={"fields": {"job_id": self._job_id, "chunks": len(lost)}})
        engine = self._engines.engine
        for task in lost:
            start, end = task.chunk.start, task.chunk.end
            task.deliver(ChunkResult(start, end, engine, failure=LOST_REASON, channel=task.channel))
