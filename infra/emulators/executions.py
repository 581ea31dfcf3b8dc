"""Executions of Cloud Run jobs as processes: one task each, as terraform/job.tf has it, with attempts and a timeout."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

from infra.emulators.processes import ProcessGroup

EXIT_CANNOT_START = 127
"""What a shell answers for a command that it does not find."""
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class LocalJob:
    """A Cloud Run job whose container is a command of this machine.

    Its task sees exactly `env` and the CLOUD_RUN_* variables.
    """

    name: str
    """`projects/P/locations/R/jobs/J`"""
    command: tuple[str, ...]
    env: Mapping[str, str]
    max_retries: int = 3
    """The task is tried at most once more than that."""
    timeout_seconds: float = 3600.0
    """Per attempt."""

    @property
    def id(self) -> str:
        """The last part of the name."""
        return self.name.rpartition("/")[2]


class Phase(Enum):
    """How far an execution is."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class ExecutionState:
    """One execution at one moment; `pid` and `exit_code` (-N: ended by signal N) are those of the latest attempt."""

    name: str
    job: LocalJob
    log: Path
    """What the task prints, all attempts one after the other."""
    started: datetime
    phase: Phase = Phase.RUNNING
    attempt: int = 0
    pid: int | None = None
    exit_code: int | None = None
    failure: str = ""
    """Why the latest attempt failed; empty if it did not."""


class Execution:
    """Runs the task of `job`, a process per attempt, from construction on.

    A task that has to end gets TERM and, `grace_seconds` later, KILL.
    """

    def __init__(
        self,
        execution_id: str,
        job: LocalJob,
        logs: Path,
        grace_seconds: float,
        process_type: type[ProcessGroup] = ProcessGroup,
    ) -> None:
        self._id = execution_id
        self._job = job
        self._grace_seconds = grace_seconds
        self._process_type = process_type
        self._cancelled = threading.Event()
        self.name = f"{job.name}/executions/{execution_id}"
        self.state = ExecutionState(self.name, job, logs / f"{execution_id}.log", datetime.now(UTC))
        """What is true now; replaced as a whole."""
        self._thread = threading.Thread(target=self._run, name=execution_id)
        self._thread.start()

    def cancel(self) -> None:
        """End what runs and start nothing more; returns at once, `join` waits."""
        self._cancelled.set()

    def join(self, timeout: float | None = None) -> bool:
        """Whether the task has ended, at the latest after `timeout` seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        for attempt in range(self._job.max_retries + 1):
            if self._cancelled.is_set():
                self.state = replace(self.state, phase=Phase.CANCELLED)
            else:
                self.state = replace(self.state, attempt=attempt, pid=None, exit_code=None, failure="")
                self.state = self._attempt(self.state, last=attempt == self._job.max_retries)
            if self.state.phase is not Phase.RUNNING:
                return

    def _attempt(self, state: ExecutionState, *, last: bool) -> ExecutionState:
        """How an attempt ended; RUNNING where another one follows."""
        failed = Phase.FAILED if last else Phase.RUNNING
        env = {
            **self._job.env,
            "CLOUD_RUN_JOB": self._job.id,
            "CLOUD_RUN_EXECUTION": self._id,
            "CLOUD_RUN_TASK_INDEX": "0",
            "CLOUD_RUN_TASK_COUNT": "1",
            "CLOUD_RUN_TASK_ATTEMPT": str(state.attempt),
        }
        try:
            process = self._process_type(self._job.command, env, state.log)
        except OSError as error:
            return replace(state, phase=failed, exit_code=EXIT_CANNOT_START, failure=f"cannot start: {error}")
        self.state = state = replace(state, pid=process.pid)
        deadline = time.monotonic() + self._job.timeout_seconds
        while (exit_code := process.poll()) is None:
            if self._cancelled.wait(POLL_SECONDS):
                return replace(state, phase=Phase.CANCELLED, exit_code=process.end(self._grace_seconds))
            if time.monotonic() >= deadline:
                exit_code = process.end(self._grace_seconds)
                return replace(state, phase=failed, exit_code=exit_code, failure="the timeout was reached")
        if exit_code == 0:
            return replace(state, phase=Phase.SUCCEEDED, exit_code=0)
        return replace(state, phase=failed, exit_code=exit_code, failure=f"exit code {exit_code}")
