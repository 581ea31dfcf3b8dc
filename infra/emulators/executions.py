"""Executions of Cloud Run jobs as processes: tasks, attempts, timeouts, cancellation."""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING

from infra.emulators.processes import ProcessGroup

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

JOB_NAME = re.compile(r"projects/[^/:]+/locations/[^/:]+/jobs/[^/:]+")
MAX_TASKS = 10_000
MAX_RETRIES = 10
EXIT_CANNOT_START = 127
"""What a shell answers for a command that it does not find."""
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class LocalJob:
    """A Cloud Run job whose container is a command of this machine; raises ValueError for what Cloud Run refuses.

    A task runs `command` followed by `args`, and sees exactly `env` and the CLOUD_RUN_* variables.
    """

    name: str
    """`projects/P/locations/R/jobs/J`"""
    command: tuple[str, ...]
    env: Mapping[str, str]
    args: tuple[str, ...] = ()
    task_count: int = 1
    max_retries: int = 3
    """Per task; a task is tried at most once more than that."""
    timeout_seconds: float = 3600.0
    """Per attempt."""
    parallelism: int = 0
    """Tasks that may run at a time; 0: all of them."""

    def __post_init__(self) -> None:
        if not JOB_NAME.fullmatch(self.name):
            raise ValueError(f"not the name of a job: {self.name!r}")
        if not 1 <= self.task_count <= MAX_TASKS:
            raise ValueError(f"task count {self.task_count} is not in 1..{MAX_TASKS}")
        if not 0 <= self.max_retries <= MAX_RETRIES:
            raise ValueError(f"max retries {self.max_retries} is not in 0..{MAX_RETRIES}")
        if self.timeout_seconds <= 0:
            raise ValueError(f"timeout of {self.timeout_seconds} s is not positive")
        if self.parallelism < 0:
            raise ValueError(f"parallelism {self.parallelism} is negative")

    @property
    def id(self) -> str:
        """The last part of the name."""
        return self.name.rpartition("/")[2]


class Phase(Enum):
    """How far a task or an execution is."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class TaskState:
    """One task at one moment; `pid` and `exit_code` (-N: ended by signal N) are those of the latest attempt."""

    index: int
    log: Path
    phase: Phase = Phase.PENDING
    attempt: int = 0
    pid: int | None = None
    exit_code: int | None = None
    failure: str = ""
    """Why the latest attempt failed; empty if it did not."""


@dataclass(frozen=True)
class ExecutionState:
    """One execution at one moment; `job` is the job with the overrides of this run."""

    name: str
    job: LocalJob
    created: datetime
    started: datetime | None
    completed: datetime | None
    cancelling: bool
    tasks: tuple[TaskState, ...]

    @property
    def phase(self) -> Phase:
        """The tasks' phases in one word."""
        if self.completed is None:
            return Phase.RUNNING if self.started else Phase.PENDING
        for phase in (Phase.CANCELLED, Phase.FAILED):
            if self.count(phase):
                return phase
        return Phase.SUCCEEDED

    @property
    def retried(self) -> int:
        """Tasks that were tried more than once."""
        return sum(task.attempt > 0 for task in self.tasks)

    def count(self, phase: Phase) -> int:
        """Tasks in `phase`."""
        return sum(task.phase is phase for task in self.tasks)


def task_environment(job: LocalJob, execution_id: str, index: int, attempt: int) -> dict[str, str]:
    """All that the process of a task finds in its environment."""
    return {
        **job.env,
        "CLOUD_RUN_JOB": job.id,
        "CLOUD_RUN_EXECUTION": execution_id,
        "CLOUD_RUN_TASK_INDEX": str(index),
        "CLOUD_RUN_TASK_COUNT": str(job.task_count),
        "CLOUD_RUN_TASK_ATTEMPT": str(attempt),
    }


class Execution:
    """Runs the tasks of `job`, a process per attempt, from construction on; a task that failed does not stop another.

    Each task appends its output to a file in `logs`. A task that has to end gets TERM and, `grace_seconds` later, KILL.
    """

    def __init__(self, execution_id: str, job: LocalJob, logs: Path, grace_seconds: float) -> None:
        self._id = execution_id
        self._job = job
        self._grace_seconds = grace_seconds
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._created = datetime.now(UTC)
        self._started: datetime | None = None
        self._completed: datetime | None = None
        self._tasks = [TaskState(index, logs / f"{execution_id}-{index}.log") for index in range(job.task_count)]
        self._thread = threading.Thread(target=self._run, name=execution_id)
        self._thread.start()

    @property
    def name(self) -> str:
        """`projects/P/locations/R/jobs/J/executions/E`"""
        return f"{self._job.name}/executions/{self._id}"

    def state(self) -> ExecutionState:
        """What is true now."""
        with self._lock:
            return ExecutionState(
                name=self.name,
                job=self._job,
                created=self._created,
                started=self._started,
                completed=self._completed,
                cancelling=self._cancelled.is_set(),
                tasks=tuple(self._tasks),
            )

    def cancel(self) -> None:
        """End what runs and start nothing more; answers at once, `join` waits."""
        self._cancelled.set()

    def join(self, timeout: float | None = None) -> bool:
        """Whether all tasks have ended, at the latest after `timeout` seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        with ThreadPoolExecutor(self._job.parallelism or self._job.task_count) as slots:
            tuple(slots.map(self._run_task, range(self._job.task_count)))
        with self._lock:
            self._completed = datetime.now(UTC)

    def _run_task(self, index: int) -> None:
        task = self._tasks[index]
        for attempt in range(self._job.max_retries + 1):
            if self._cancelled.is_set():
                task = replace(task, phase=Phase.CANCELLED)
                break
            task = self._run_attempt(replace(task, phase=Phase.RUNNING, attempt=attempt))
            if task.phase is not Phase.FAILED:
                break
        self._publish(task)

    def _run_attempt(self, task: TaskState) -> TaskState:
        self._publish(task)
        command = (*self._job.command, *self._job.args)
        env = task_environment(self._job, self._id, task.index, task.attempt)
        try:
            process = ProcessGroup(command, env, task.log)
        except OSError as error:
            return replace(task, phase=Phase.FAILED, exit_code=EXIT_CANNOT_START, failure=f"cannot start: {error}")
        task = replace(task, pid=process.pid)
        self._publish(task)
        return self._watch(task, process)

    def _watch(self, task: TaskState, process: ProcessGroup) -> TaskState:
        deadline = time.monotonic() + self._job.timeout_seconds
        while (exit_code := process.poll()) is None:
            if self._cancelled.wait(POLL_SECONDS):
                return replace(task, phase=Phase.CANCELLED, exit_code=process.end(self._grace_seconds))
            if time.monotonic() >= deadline:
                exit_code = process.end(self._grace_seconds)
                return replace(task, phase=Phase.FAILED, exit_code=exit_code, failure="the timeout was reached")
        if exit_code == 0:
            return replace(task, phase=Phase.SUCCEEDED, exit_code=0, failure="")
        return replace(task, phase=Phase.FAILED, exit_code=exit_code, failure=f"exit code {exit_code}")

    def _publish(self, task: TaskState) -> None:
        with self._lock:
            self._tasks[task.index] = task
            if task.phase is Phase.RUNNING and self._started is None:
                self._started = datetime.now(UTC)
