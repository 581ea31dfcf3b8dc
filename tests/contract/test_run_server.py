"""The Cloud Run jobs server, spoken to by Google's unmodified clients, with real processes as tasks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import requests
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import run_v2

from infra.emulators.executions import ExecutionState, LocalJob, Phase
from infra.emulators.run_server import RunServer
from tests.support.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOB = "projects/dropscribe/locations/us-central1/jobs/transcribe"

REPORT = "import json, os, sys; print(json.dumps({'env': dict(os.environ), 'args': sys.argv[1:]}))"

Overrides = run_v2.RunJobRequest.Overrides
Container = Overrides.ContainerOverride
Condition = run_v2.Condition
Serve = Callable[[LocalJob], RunServer]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts servers that offer one job each."""
    with ExitStack() as servers:
        yield lambda job: servers.enter_context(RunServer([job], tmp_path / "logs"))


def python(code: str) -> LocalJob:
    """A job whose tasks run `code`."""
    return LocalJob(JOB, (sys.executable, "-c", code), {"COLOR": "red", "SIZE": "10"})


def reach(server: RunServer) -> dict[str, Any]:
    """What makes a client of Google's talk to `server`."""
    endpoint = ClientOptions(api_endpoint=server.url)
    return {"transport": "rest", "client_options": endpoint, "credentials": AnonymousCredentials()}


def jobs(server: RunServer) -> run_v2.JobsClient:
    return run_v2.JobsClient(**reach(server))


def executions(server: RunServer) -> run_v2.ExecutionsClient:
    return run_v2.ExecutionsClient(**reach(server))


def run(server: RunServer, overrides: Overrides | None = None) -> str:
    """The name of the execution that the client is told at once."""
    operation = jobs(server).run_job(run_v2.RunJobRequest(name=JOB, overrides=overrides))
    return str(operation.metadata.name)


def finish(server: RunServer, overrides: Overrides | None = None) -> tuple[run_v2.Execution, ExecutionState]:
    """Run to the end: the execution as the client sees it, and as the server does."""
    name = run(server, overrides)
    server.wait_idle(PATIENCE)
    [state] = [state for state in server.executions() if state.name == name]
    return executions(server).get_execution(name=name), state


def reports(state: ExecutionState) -> list[dict[str, Any]]:
    return [json.loads(task.log.read_text()) for task in state.tasks]


def completed(execution: run_v2.Execution) -> Condition:
    return next(condition for condition in execution.conditions if condition.type_ == "Completed")


def test_a_run_is_answered_with_its_execution_while_the_task_still_runs(serve: Serve) -> None:
    server = serve(python("import time; time.sleep(600)"))
    name = run(server)
    assert name.startswith(f"{JOB}/executions/transcribe-")
    execution = executions(server).get_execution(name=name)
    assert execution.completion_time is None
    assert completed(execution).state in {
        Condition.State.CONDITION_PENDING,
        Condition.State.CONDITION_RECONCILING,
    }


def test_a_successful_execution_says_so(serve: Serve) -> None:
    execution, state = finish(serve(python("print('done')")))
    assert state.tasks[0].log.read_text() == "done\n"
    assert (execution.succeeded_count, execution.running_count, execution.failed_count) == (1, 0, 0)
    assert execution.create_time <= execution.start_time <= execution.completion_time
    assert completed(execution).state == Condition.State.CONDITION_SUCCEEDED
    assert not execution.reconciling


def test_without_overrides_the_task_sees_the_environment_of_the_job_and_nothing_of_the_host(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "1")
    execution, state = finish(serve(replace(python(REPORT), args=("--queue", "work"))))
    [report] = reports(state)
    report["env"].pop("LC_CTYPE", None)  # set by Python itself
    assert report == {
        "args": ["--queue", "work"],
        "env": {
            "COLOR": "red",
            "SIZE": "10",
            "CLOUD_RUN_JOB": "transcribe",
            "CLOUD_RUN_EXECUTION": execution.name.rpartition("/")[2],
            "CLOUD_RUN_TASK_INDEX": "0",
            "CLOUD_RUN_TASK_COUNT": "1",
            "CLOUD_RUN_TASK_ATTEMPT": "0",
        },
    }


def test_overrides_merge_env_and_replace_args_for_this_run_only(serve: Serve) -> None:
    server = serve(replace(python(REPORT), args=("--queue", "work")))
    env = [run_v2.EnvVar(name="COLOR", value="blue"), run_v2.EnvVar(name="SHARD", value="7")]
    _, state = finish(server, Overrides(container_overrides=[Container(env=env, args=["--once"])]))
    [report] = reports(state)
    assert report["args"] == ["--once"]
    assert {name: report["env"].get(name) for name in ("COLOR", "SIZE", "SHARD")} == {
        "COLOR": "blue",
        "SIZE": "10",
        "SHARD": "7",
    }
    _, next_state = finish(server)
    [next_report] = reports(next_state)
    assert next_report["args"] == ["--queue", "work"]
    assert next_report["env"]["COLOR"] == "red"


def test_args_can_be_cleared(serve: Serve) -> None:
    server = serve(replace(python(REPORT), args=("--queue", "work")))
    _, state = finish(server, Overrides(container_overrides=[Container(clear_args=True)]))
    assert reports(state)[0]["args"] == []


def test_each_of_three_tasks_has_its_index(serve: Serve) -> None:
    execution, state = finish(serve(python(REPORT)), Overrides(task_count=3))
    seen = [(report["env"]["CLOUD_RUN_TASK_INDEX"], report["env"]["CLOUD_RUN_TASK_COUNT"]) for report in reports(state)]
    assert seen == [("0", "3"), ("1", "3"), ("2", "3")]
    assert (execution.task_count, execution.succeeded_count) == (3, 3)


def test_parallelism_one_runs_tasks_one_after_the_other(serve: Serve, tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    code = f"""
import os, time
def note(word):
    with open({str(diary)!r}, "a") as diary:
        diary.write(word + "\\n")
note("begin")
time.sleep(0.05)
note("end")
"""
    finish(serve(replace(python(code), task_count=3, parallelism=1)))
    assert diary.read_text().split() == ["begin", "end"] * 3


def test_a_failing_task_is_tried_again_with_the_next_attempt_number(serve: Serve) -> None:
    code = "import os, sys; a = int(os.environ['CLOUD_RUN_TASK_ATTEMPT']); print(a); sys.exit(3 if a < 2 else 0)"
    execution, state = finish(serve(replace(python(code), max_retries=3)))
    assert state.tasks[0].log.read_text().split() == ["0", "1", "2"]
    assert (execution.succeeded_count, execution.failed_count, execution.retried_count) == (1, 0, 1)


def test_a_task_that_uses_up_its_retries_fails_the_execution_but_not_the_other_tasks(
    serve: Serve,
) -> None:
    code = "import os, sys; print('try'); sys.exit(3 if os.environ['CLOUD_RUN_TASK_INDEX'] == '1' else 0)"
    execution, state = finish(serve(replace(python(code), task_count=3, max_retries=1)))
    assert [task.phase for task in state.tasks] == [Phase.SUCCEEDED, Phase.FAILED, Phase.SUCCEEDED]
    assert state.tasks[1].exit_code == 3
    assert state.tasks[1].log.read_text().split() == ["try", "try"]
    assert (execution.succeeded_count, execution.failed_count, execution.retried_count) == (2, 1, 1)
    condition = completed(execution)
    assert condition.state == Condition.State.CONDITION_FAILED
    assert condition.execution_reason == Condition.ExecutionReason.NON_ZERO_EXIT_CODE
    assert condition.message == "task 1: exit code 3"


def test_a_command_that_does_not_exist_fails_the_execution(serve: Serve) -> None:
    execution, _ = finish(serve(replace(python(""), command=("no-such-program",), max_retries=0)))
    assert execution.failed_count == 1
    assert "no-such-program" in completed(execution).message


def test_a_run_that_is_refused_for_quota_raises_too_many_requests_and_starts_nothing(
    serve: Serve,
) -> None:
    server = serve(python(""))
    server.refuse_next(2, message="Quota exceeded for NvidiaL4GpuAllocNoZonalRedundancyPerProjectRegion.")
    for _ in range(2):
        with pytest.raises(exceptions.TooManyRequests, match="Quota exceeded for NvidiaL4"):
            run(server)
    assert server.executions() == ()
    execution, _ = finish(server)
    assert execution.succeeded_count == 1


def test_other_refusals_raise_what_their_status_means(serve: Serve) -> None:
    server = serve(python(""))
    server.refuse_next(1, status=503, message="The service is currently unavailable.")
    server.refuse_next(1, status=403, message="Permission run.jobs.runWithOverrides denied.")
    with pytest.raises(exceptions.ServiceUnavailable):
        run(server)
    with pytest.raises(exceptions.Forbidden):
        run(server)


def test_what_is_not_there_is_not_found(serve: Serve) -> None:
    server = serve(python(""))
    with pytest.raises(exceptions.NotFound):
        jobs(server).run_job(name=f"{JOB}-2")
    with pytest.raises(exceptions.NotFound):
        jobs(server).get_job(name=f"{JOB}-2")
    with pytest.raises(exceptions.NotFound):
        list(executions(server).list_executions(parent=f"{JOB}-2"))
    with pytest.raises(exceptions.NotFound):
        executions(server).get_execution(name=f"{JOB}/executions/none")
    with pytest.raises(exceptions.NotFound):
        executions(server).cancel_execution(name=f"{JOB}/executions/none")


@pytest.mark.parametrize(
    "overrides",
    [Overrides(task_count=-1), Overrides(timeout="-5s"), Overrides(container_overrides=[Container(), Container()])],
    ids=["task count", "timeout", "containers"],
)
def test_overrides_that_make_no_sense_are_a_bad_request(serve: Serve, overrides: Overrides) -> None:
    server = serve(python(""))
    with pytest.raises(exceptions.BadRequest):
        run(server, overrides)
    assert server.executions() == ()


@pytest.mark.parametrize("body", ["{", '{"overrides": {"taskCount": "many"}}', '{"override": {}}', b"\xff"])
def test_a_malformed_body_is_a_bad_request(serve: Serve, body: str | bytes) -> None:
    answer = requests.post(f"{serve(python('')).url}/v2/{JOB}:run", data=body, timeout=PATIENCE)
    assert answer.status_code == 400
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"


def test_executions_are_listed_the_newest_first_over_pages(serve: Serve) -> None:
    server = serve(python(""))
    names = [run(server) for _ in range(3)]
    pages = executions(server).list_executions(run_v2.ListExecutionsRequest(parent=JOB, page_size=2)).pages
    assert [[execution.name for execution in page.executions] for page in pages] == [names[:0:-1], names[:1]]


def test_the_job_knows_its_latest_execution(serve: Serve) -> None:
    server = serve(replace(python("raise SystemExit(1)"), max_retries=0, task_count=2, timeout_seconds=90.0))
    finish(server)
    execution, _ = finish(server)
    job = jobs(server).get_job(name=JOB)
    assert job.execution_count == 2
    assert job.latest_created_execution.name == execution.name
    assert job.latest_created_execution.completion_status == run_v2.ExecutionReference.CompletionStatus.EXECUTION_FAILED
    assert (job.template.task_count, job.template.template.timeout.total_seconds()) == (2, 90.0)
