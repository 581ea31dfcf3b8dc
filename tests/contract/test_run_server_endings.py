"""How tasks of the Cloud Run jobs server end before their time: cancelled, timed out, or with the server."""

from __future__ import annotations

import fcntl
import sys
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import run_v2

from infra.emulators.executions import LocalJob, Phase
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


class Serve(Protocol):
    def __call__(self, job: LocalJob, grace_seconds: float = PATIENCE) -> RunServer: ...


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts servers that offer one job each."""
    with ExitStack() as servers:

        def start(job: LocalJob, grace_seconds: float = PATIENCE) -> RunServer:
            return servers.enter_context(RunServer([job], tmp_path / "logs", grace_seconds))

        yield start


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """What CHILD holds."""
    return tmp_path / "lock"


def python(code: str, lock: Path | None = None) -> LocalJob:
    """A job whose tasks run `code`, and are tried once."""
    return LocalJob(JOB, (sys.executable, "-c", code), {"LOCK": str(lock)}, max_retries=0)


def is_locked(path: Path) -> bool:
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def reach(server: RunServer) -> dict[str, Any]:
    """What makes a client of Google's talk to `server`."""
    endpoint = ClientOptions(api_endpoint=server.url)
    return {"transport": "rest", "client_options": endpoint, "credentials": AnonymousCredentials()}


def run(server: RunServer, **overrides: object) -> str:
    """The name of a new execution."""
    request = run_v2.RunJobRequest(name=JOB, overrides=run_v2.RunJobRequest.Overrides(**overrides))
    return str(run_v2.JobsClient(**reach(server)).run_job(request).metadata.name)


def executions(server: RunServer) -> run_v2.ExecutionsClient:
    return run_v2.ExecutionsClient(**reach(server))


def output(server: RunServer) -> str:
    log = server.executions()[0].tasks[0].log
    return log.read_text() if log.exists() else ""


def completed(execution: run_v2.Execution) -> run_v2.Condition:
    return next(condition for condition in execution.conditions if condition.type_ == "Completed")


def test_a_cancelled_task_is_told_to_terminate_and_not_tried_again(serve: Serve) -> None:
    server = serve(replace(python(POLITE), max_retries=3))
    name = run(server, task_count=1)
    wait_until(lambda: "ready" in output(server), "the task is ready")
    assert executions(server).get_execution(name=name).running_count == 1
    executions(server).cancel_execution(name=name)
    server.wait_idle(PATIENCE)
    execution = executions(server).get_execution(name=name)
    assert output(server).split() == ["ready", "terminated"]
    assert (execution.cancelled_count, execution.running_count, execution.failed_count) == (1, 0, 0)
    assert completed(execution).state == run_v2.Condition.State.CONDITION_FAILED
    assert completed(execution).execution_reason == run_v2.Condition.ExecutionReason.CANCELLED
    assert execution.completion_time is not None


def test_a_task_that_does_not_terminate_is_killed_after_its_grace(serve: Serve) -> None:
    server = serve(python(STUBBORN), grace_seconds=0.3)
    name = run(server)
    wait_until(lambda: "ready" in output(server), "the task is ready")
    executions(server).cancel_execution(name=name)
    server.wait_idle(PATIENCE)
    [state] = server.executions()
    assert output(server).split() == ["ready", "no"]
    assert (state.phase, state.tasks[0].exit_code) == (Phase.CANCELLED, -9)


def test_while_a_task_takes_its_grace_the_execution_is_cancelling(serve: Serve) -> None:
    server = serve(python(STUBBORN), grace_seconds=0.5)
    name = run(server)
    wait_until(lambda: "ready" in output(server), "the task is ready")
    operation = executions(server).cancel_execution(name=name)
    assert completed(operation.metadata).execution_reason == run_v2.Condition.ExecutionReason.CANCELLING
    assert operation.metadata.completion_time is None


def test_cancelling_what_has_ended_changes_nothing(serve: Serve) -> None:
    server = serve(python(""))
    name = run(server)
    server.wait_idle(PATIENCE)
    before = executions(server).get_execution(name=name)
    executions(server).cancel_execution(name=name)
    assert executions(server).get_execution(name=name) == before
    assert before.succeeded_count == 1


def test_each_attempt_has_its_own_timeout(serve: Serve) -> None:
    server = serve(replace(python("import time; time.sleep(600)"), timeout_seconds=0.5, max_retries=1))
    name = run(server)
    server.wait_idle(PATIENCE)
    execution = executions(server).get_execution(name=name)
    assert (execution.failed_count, execution.retried_count) == (1, 1)
    assert (execution.completion_time - execution.start_time).total_seconds() >= 2 * 0.5
    assert completed(execution).message == "task 0: the timeout was reached"


def test_a_run_can_shorten_the_timeout(serve: Serve) -> None:
    server = serve(python("import time; time.sleep(600)"))
    name = run(server, timeout="0.5s")
    server.wait_idle(PATIENCE)
    execution = executions(server).get_execution(name=name)
    assert execution.failed_count == 1
    assert execution.template.timeout.total_seconds() == 0.5


def test_a_task_that_leaves_in_time_after_its_timeout_has_failed_all_the_same(serve: Serve) -> None:
    server = serve(replace(python(POLITE), timeout_seconds=1.0))
    run(server)
    server.wait_idle(PATIENCE)
    assert server.executions()[0].phase is Phase.FAILED


def test_a_task_that_is_killed_from_outside_is_tried_again(serve: Serve) -> None:
    code = "import os, signal; os.environ['CLOUD_RUN_TASK_ATTEMPT'] == '0' and os.kill(os.getpid(), signal.SIGKILL)"
    server = serve(replace(python(code), max_retries=1))
    run(server)
    server.wait_idle(PATIENCE)
    [state] = server.executions()
    assert (state.phase, state.retried) == (Phase.SUCCEEDED, 1)


def test_the_children_of_a_task_end_with_it(serve: Serve, lock: Path) -> None:
    server = serve(python(PARENT, lock))
    name = run(server)
    wait_until(lambda: is_locked(lock), "the child holds the lock")
    executions(server).cancel_execution(name=name)
    wait_until(lambda: not is_locked(lock), "the child is gone")


def test_what_a_task_leaves_behind_ends_with_it(serve: Serve, lock: Path) -> None:
    server = serve(python(LEAVER, lock))
    run(server)
    server.wait_idle(PATIENCE)
    assert server.executions()[0].phase is Phase.SUCCEEDED
    assert lock.exists()
    wait_until(lambda: not is_locked(lock), "the child is gone")


def test_a_task_that_had_not_begun_when_its_execution_was_cancelled_never_does(serve: Serve) -> None:
    server = serve(replace(python(POLITE), task_count=3, parallelism=1))
    name = run(server)
    wait_until(lambda: "ready" in output(server), "the task is ready")
    executions(server).cancel_execution(name=name)
    server.wait_idle(PATIENCE)
    [state] = server.executions()
    assert [task.phase for task in state.tasks] == [Phase.CANCELLED] * 3
    assert [task.pid is None for task in state.tasks] == [False, True, True]


def test_stop_ends_every_task_and_its_children(serve: Serve, lock: Path) -> None:
    server = serve(python(PARENT, lock))
    run(server, task_count=2)
    wait_until(lambda: is_locked(lock) and server.executions()[0].count(Phase.RUNNING) == 2, "both tasks run")
    server.stop()
    [state] = server.executions()
    assert state.count(Phase.CANCELLED) == 2
    wait_until(lambda: not is_locked(lock), "the child is gone")


def test_waiting_for_a_task_that_does_not_end_times_out(serve: Serve) -> None:
    server = serve(python("import time; time.sleep(600)"))
    name = run(server)
    with pytest.raises(TimeoutError, match=name):
        server.wait_idle(0.1)
