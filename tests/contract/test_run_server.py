"""The Cloud Run jobs server, called by Google's unmodified client, with real processes as tasks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import run_v2

from infra.emulators.executions import ExecutionState, LocalJob, Phase
from tests.support.faulty_run_server import FaultyRunServer
from tests.support.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

JOB = "projects/dropscribe/locations/us-central1/jobs/transcribe"

REPORT = "import json, os; print(json.dumps(dict(os.environ)))"

Serve = Callable[[LocalJob], FaultyRunServer]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts servers that offer one job each."""
    with ExitStack() as servers:
        yield lambda job: servers.enter_context(FaultyRunServer([job], tmp_path / "logs"))


def python(code: str) -> LocalJob:
    """A job whose task runs `code`."""
    return LocalJob(JOB, (sys.executable, "-c", code), {"COLOR": "red", "SIZE": "10"})


def jobs(server: FaultyRunServer) -> run_v2.JobsClient:
    endpoint = ClientOptions(api_endpoint=server.url)
    return run_v2.JobsClient(transport="rest", client_options=endpoint, credentials=AnonymousCredentials())


def run(server: FaultyRunServer) -> str:
    """The name of the execution that the client gets at once."""
    return str(jobs(server).run_job(run_v2.RunJobRequest(name=JOB)).metadata.name)


def finish(server: FaultyRunServer) -> ExecutionState:
    """Run to the end."""
    name = run(server)
    server.wait_idle(PATIENCE)
    [state] = [state for state in server.executions() if state.name == name]
    return state


def test_a_run_is_answered_with_its_execution_while_the_task_still_runs(serve: Serve) -> None:
    server = serve(python("import time; time.sleep(600)"))
    name = run(server)
    assert name.startswith(f"{JOB}/executions/transcribe-")
    [state] = server.executions()
    assert (state.name, state.phase) == (name, Phase.RUNNING)


def test_executions_are_listed_the_oldest_first(serve: Serve) -> None:
    server = serve(python(""))
    names = [run(server) for _ in range(3)]
    assert [state.name for state in server.executions()] == names


def test_a_successful_execution_says_so(serve: Serve) -> None:
    state = finish(serve(python("print('done')")))
    assert state.log.read_text() == "done\n"
    assert (state.phase, state.exit_code, state.failure) == (Phase.SUCCEEDED, 0, "")


def test_the_task_sees_the_environment_of_the_job_and_nothing_of_the_host(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "1")
    state = finish(serve(python(REPORT)))
    environment: dict[str, Any] = json.loads(state.log.read_text())
    environment.pop("LC_CTYPE", None)  # set by Python itself
    assert environment == {
        "COLOR": "red",
        "SIZE": "10",
        "CLOUD_RUN_JOB": "transcribe",
        "CLOUD_RUN_EXECUTION": state.name.rpartition("/")[2],
        "CLOUD_RUN_TASK_INDEX": "0",
        "CLOUD_RUN_TASK_COUNT": "1",
        "CLOUD_RUN_TASK_ATTEMPT": "0",
        # The project's modules are found, and none in the folder that the process starts in.
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTHONSAFEPATH": "1",
    }


def test_a_failing_task_is_tried_again_with_the_next_attempt_number(serve: Serve) -> None:
    code = "import os, sys; a = int(os.environ['CLOUD_RUN_TASK_ATTEMPT']); print(a); sys.exit(3 if a < 2 else 0)"
    state = finish(serve(replace(python(code), max_retries=3)))
    assert state.log.read_text().split() == ["0", "1", "2"]
    assert (state.phase, state.attempt, state.failure) == (Phase.SUCCEEDED, 2, "")


def test_a_task_that_uses_up_its_retries_fails_the_execution(serve: Serve) -> None:
    state = finish(serve(replace(python("print('try'); raise SystemExit(3)"), max_retries=1)))
    assert state.log.read_text().split() == ["try", "try"]
    assert (state.phase, state.exit_code, state.failure) == (Phase.FAILED, 3, "exit code 3")


def test_a_command_that_does_not_exist_fails_the_execution(serve: Serve) -> None:
    state = finish(serve(replace(python(""), command=("no-such-program",), max_retries=0)))
    assert state.phase is Phase.FAILED
    assert "no-such-program" in state.failure


def test_a_run_that_is_refused_for_quota_raises_too_many_requests_and_starts_nothing(
    serve: Serve,
) -> None:
    server = serve(python(""))
    server.refuse_next(2, message="Quota exceeded for NvidiaL4GpuAllocNoZonalRedundancyPerProjectRegion.")
    for _ in range(2):
        with pytest.raises(exceptions.TooManyRequests, match="Quota exceeded for NvidiaL4"):
            run(server)
    assert server.executions() == ()
    assert finish(server).phase is Phase.SUCCEEDED


def test_other_refusals_raise_what_their_status_means(serve: Serve) -> None:
    server = serve(python(""))
    server.refuse_next(1, status=503, message="The service is currently unavailable.")
    server.refuse_next(1, status=403, message="Permission run.jobs.run denied.")
    with pytest.raises(exceptions.ServiceUnavailable):
        run(server)
    with pytest.raises(exceptions.Forbidden):
        run(server)


def test_a_job_that_is_not_there_is_not_found(serve: Serve) -> None:
    with pytest.raises(exceptions.NotFound):
        jobs(serve(python(""))).run_job(name=f"{JOB}-2")


def test_overrides_are_refused_and_start_nothing(serve: Serve) -> None:
    server = serve(python(""))
    request = run_v2.RunJobRequest(name=JOB, overrides=run_v2.RunJobRequest.Overrides(task_count=2))
    with pytest.raises(exceptions.MethodNotImplemented, match="overrides"):
        jobs(server).run_job(request)
    assert server.executions() == ()


@pytest.mark.parametrize("body", ["{", b"\xff"])
def test_a_malformed_body_is_a_bad_request(serve: Serve, body: str | bytes) -> None:
    answer = requests.post(f"{serve(python('')).url}/v2/{JOB}:run", data=body, timeout=PATIENCE)
    assert answer.status_code == 400


def test_waiting_for_a_task_that_does_not_end_times_out(serve: Serve) -> None:
    server = serve(python("import time; time.sleep(600)"))
    name = run(server)
    with pytest.raises(TimeoutError, match=name):
        server.wait_idle(0.1)
