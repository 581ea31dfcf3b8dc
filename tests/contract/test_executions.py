"""How an execution ends before its time: cancelled, timed out or killed, and with it what its task has started."""

from __future__ import annotations

import fcntl
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import pytest
import requests

from infra.emulators.executions import Execution, LocalJob, Phase
from infra.emulators.run_server import RunServer
from tests.support.waiting import PATIENCE, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOB = "projects/dropscribe/locations/us-central1/jobs/transcribe"

POLITE = """
import signal, sys, time
def leave(*_):
    print("terminated", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("ready", flush=True)
time.sleep(600)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: print("no", flush=True))
print("ready", flush=True)
while True:
    time.sleep(600)
"""
CHILD = """
import fcntl, os, time
lock = open(os.environ["LOCK"], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(600)
"""
"""Holds a lock for as long as it lives."""
PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {CHILD!r}])
"""
LEAVER = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdout=subprocess.PIPE).stdout.readline()
"""
"""Ends before its child does."""


class Start(Protocol):
    def __call__(self, job: LocalJob, grace_seconds: float = PATIENCE) -> Execution: ...


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts executions, which end with the test."""
    started: list[Execution] = []

    def start(job: LocalJob, grace_seconds: float = PATIENCE) -> Execution:
        started.append(Execution(f"transcribe-{len(started)}", job, tmp_path / "logs", grace_seconds))
        return started[-1]

    yield start
    for execution in started:
        execution.cancel()
        assert execution.join(PATIENCE)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """What CHILD holds."""
    return tmp_path / "lock"


def python(code: str, lock: Path | None = None) -> LocalJob:
    """A job whose task runs `code`, and is tried once."""
    return LocalJob(JOB, (sys.executable, "-c", code), {"LOCK": str(lock)}, max_retries=0)


def is_locked(path: Path) -> bool:
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def output(execution: Execution) -> str:
    log = execution.state.log
    return log.read_text() if log.exists() else ""


def cancelled(execution: Execution) -> Execution:
    """The execution, cancelled once its task is ready, at its end."""
    wait_until(lambda: "ready" in output(execution), "the task is ready")
    execution.cancel()
    assert execution.join(PATIENCE)
    return execution


def test_a_cancelled_task_gets_term_and_is_not_tried_again(start: Start) -> None:
    execution = cancelled(start(replace(python(POLITE), max_retries=3)))
    assert output(execution).split() == ["ready", "terminated"]
    assert (execution.state.phase, execution.state.attempt) == (Phase.CANCELLED, 0)


def test_a_task_that_does_not_terminate_is_killed_after_its_grace(start: Start) -> None:
    execution = cancelled(start(python(STUBBORN), grace_seconds=0.3))
    assert output(execution).split() == ["ready", "no"]
    assert (execution.state.phase, execution.state.exit_code) == (Phase.CANCELLED, -9)


def test_cancelling_what_has_ended_changes_nothing(start: Start) -> None:
    execution = start(python(""))
    assert execution.join(PATIENCE)
    before = execution.state
    execution.cancel()
    assert execution.state == before
    assert before.phase is Phase.SUCCEEDED


def test_each_attempt_has_its_own_timeout(start: Start) -> None:
    began = time.monotonic()
    execution = start(replace(python("import time; time.sleep(600)"), timeout_seconds=0.5, max_retries=1))
    assert execution.join(PATIENCE)
    assert time.monotonic() - began >= 2 * 0.5
    state = execution.state
    assert (state.phase, state.attempt, state.failure) == (Phase.FAILED, 1, "the timeout was reached")


def test_a_task_that_leaves_in_time_after_its_timeout_has_failed_all_the_same(start: Start) -> None:
    execution = start(replace(python(POLITE), timeout_seconds=1.0))
    assert execution.join(PATIENCE)
    assert execution.state.phase is Phase.FAILED


def test_a_task_that_is_killed_from_outside_is_tried_again(start: Start) -> None:
    code = "import os, signal; os.environ['CLOUD_RUN_TASK_ATTEMPT'] == '0' and os.kill(os.getpid(), signal.SIGKILL)"
    execution = start(replace(python(code), max_retries=1))
    assert execution.join(PATIENCE)
    assert (execution.state.phase, execution.state.attempt) == (Phase.SUCCEEDED, 1)


def test_the_children_of_a_task_end_with_it(start: Start, lock: Path) -> None:
    execution = start(python(PARENT, lock))
    wait_until(lambda: is_locked(lock), "the child holds the lock")
    execution.cancel()
    wait_until(lambda: not is_locked(lock), "the child is gone")


def test_what_a_task_leaves_behind_ends_with_it(start: Start, lock: Path) -> None:
    execution = start(python(LEAVER, lock))
    assert execution.join(PATIENCE)
    assert execution.state.phase is Phase.SUCCEEDED
    assert lock.exists()
    wait_until(lambda: not is_locked(lock), "the child is gone")


def test_stop_of_the_server_ends_every_task_and_its_children(tmp_path: Path, lock: Path) -> None:
    with RunServer([python(PARENT, lock)], tmp_path / "logs") as server:
        for _ in range(2):
            requests.post(f"{server.url}/v2/{JOB}:run", json={}, timeout=PATIENCE).raise_for_status()
        wait_until(lambda: is_locked(lock) and all(state.pid for state in server.executions()), "both tasks run")
    assert [state.phase for state in server.executions()] == [Phase.CANCELLED] * 2
    wait_until(lambda: not is_locked(lock), "the child is gone")
