"""What the function and the job of a whole cloud tell: every line of their logs, and one trace for each upload."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.emulators.cloud import FUNCTION, CloudOptions
from infra.emulators.cloud_events import finalized
from infra.emulators.eventarc import Eventarc
from infra.emulators.function_host import FunctionHost
from infra.recordings import recording
from shared.telemetry.logs import SEVERITIES
from tests.support.faulty_cloud import FaultyLaptopCloud
from tests.support.forked_process import ForkedProcessGroup
from tests.support.loopback_cloud import GPU_JOB
from tests.support.otlp_collector import Collector, ReceivedSpan, collector
from tests.support.user_client import Message, user_client_of
from tests.support.waiting import PATIENCE, wait_until

Line = dict[str, Any]

CALL = recording("call").path
JOB_SPANS = ("transcribe", "fetch", "decode", "assemble")


def lines_of(log: Path) -> list[Line]:
    """All of a process's lines. Fails where one is no JSON object; there is no list of exceptions."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert all(isinstance(line, dict) for line in lines)
    return lines


NOT_IMPLEMENTED = 501


@dataclass(frozen=True)
class Run:
    """Uploads of all kinds through a cloud that has stopped again."""

    messages: dict[str, Message]
    function: Sequence[Line]
    jobs: dict[str, Sequence[Line]]
    """By execution."""
    collecting: Collector

    def job_id(self, name: str) -> str:
        return str(self.messages[name]["job_id"])

    def span(self, name: str, upload: str) -> ReceivedSpan:
        """The first of a name in the trace that began with an upload's first event."""
        began = next(one for one in self.collecting.all("upload") if self.job_id(upload) in str(one.span.attributes))
        return next(one for one in self.collecting.all(name) if one.id[0] == began.id[0])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    root = tmp_path_factory.mktemp("cloud")
    letter = root / "letter.mp3"
    letter.write_text("This is no recording. " * 50)
    with collector() as collecting:
        settings = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": collecting.url}
        cloud = FaultyLaptopCloud(root / "deployment", CloudOptions(settings=settings))
        with cloud:
            user = user_client_of(cloud)
            user.drop(letter, "ignored.part")
            # It cannot be read at first, for a reason that Google's client does not repeat: its event comes again.
            cloud.storage_server.fail_next(1, NOT_IMPLEMENTED, method="GET", name_prefix="refused")
            names = [user.drop(CALL, "heard.opus"), user.drop(letter, "refused.mp3")]
            messages = user.outcomes(names)
            cloud.runner.wait_idle(PATIENCE)
            states = cloud.runner.executions()
            cloud.reconcile()
        jobs = {state.name.rpartition("/")[2]: lines_of(state.log) for state in states}
        function = [line for target in ("on_upload", "reconcile") for line in lines_of(cloud.logs / f"{target}.log")]
        yield Run(messages, function, jobs, collecting)


def test_every_line_is_json_with_a_severity_a_message_and_whom_it_concerns(run: Run) -> None:
    job_ids = {run.job_id(name) for name in run.messages}
    executions = {message["execution"] for message in run.messages.values()} - {None}
    assert {line["message"] for line in run.function} > {"ignored", "routed", "execution launched", "job ended"}
    assert executions == run.jobs.keys()
    for line in [*run.function, *(line for lines in run.jobs.values() for line in lines)]:
        assert line["severity"] in SEVERITIES, line
        assert line["message"], line
        assert line["time"].endswith("+00:00"), line
    ignored = {line["job_id"] for line in run.function if line["message"] == "ignored"}
    assert len(ignored) == 1
    assert all(line["job_id"] in job_ids | ignored for line in run.function)
    for execution, lines in run.jobs.items():
        assert all(line["execution"] == execution for line in lines)
        assert {line["job_id"] for line in lines if "job_id" in line} <= job_ids
        assert run.job_id("heard.opus") in {line.get("job_id") for line in lines}


def test_lines_of_an_upload_stand_in_its_trace(run: Run) -> None:
    of_heard = run.job_id("heard.opus")
    lines = [line for lines in (run.function, *run.jobs.values()) for line in lines if line.get("job_id") == of_heard]
    trace_id = run.span("upload", "heard.opus").id[0]
    assert len(lines) > 2
    assert {line["logging.googleapis.com/trace"] for line in lines} == {f"projects/laptop/traces/{trace_id}"}
    assert {line["logging.googleapis.com/trace_sampled"] for line in lines} == {True}
    known = {one.id[1] for one in run.collecting.sent}
    assert {line["logging.googleapis.com/spanId"] for line in lines} <= known


def test_the_trace_of_an_upload_goes_through_function_and_job(run: Run) -> None:
    def span(name: str) -> ReceivedSpan:
        return run.span(name, "heard.opus")

    assert span("dispatch").parent == span("upload").id
    assert span("queue").parent == span("dispatch").id
    assert span("transcribe").parent == span("queue").id
    assert {span(name).parent for name in (*JOB_SPANS[1:], "publish")} == {span("transcribe").id}
    assert {span(name).service for name in JOB_SPANS} == {"dropscribe-job"}
    assert span("transcribe").instance == f"{run.messages['heard.opus']['execution']}/0-0"
    assert {span(name).service for name in ("upload", "inspect", "decide")} == {"dropscribe-function"}
    assert any(span("transcribe").id in batch.links for batch in run.collecting.all("batch"))


def test_an_event_that_comes_again_goes_on_in_the_first_ones_trace(run: Run) -> None:
    (failure,) = [line for line in run.function if line["severity"] == "ERROR"]
    assert (failure["job_id"], failure["message"]) == (run.job_id("refused.mp3"), "the event will be delivered again")
    assert str(NOT_IMPLEMENTED) in failure["exception"]
    assert run.span("publish", "refused.mp3").parent == run.span("upload", "refused.mp3").id


PLACES = {"GOOGLE_CLOUD_PROJECT": "p", "RESULTS_BUCKET": "results", "STATE_BUCKET": "state", "GPU_JOB": GPU_JOB}
BAD_STARTS = {
    "not-set": ({"STATE_BUCKET": "s"}, "GOOGLE_CLOUD_PROJECT: It has to be set"),
    "no-price-book": (
        {**PLACES, "PRICE_BOOK": "/nowhere.toml"},
        "PRICE_BOOK: /nowhere.toml: No such file",
    ),
    "no-price-of-the-model": ({**PLACES, "DEEPGRAM_MODEL": "nova-9"}, "DEEPGRAM_MODEL: the price book has no "),
    "no-price-of-the-gpu": ({**PLACES, "JOB_GPU": "nvidia-h100"}, "JOB_GPU: the price book has no [gpu_second] line"),
    "no-credentials": (
        {**PLACES, "GOOGLE_APPLICATION_CREDENTIALS": "/nowhere.json"},
        "File /nowhere.json was not found.",
    ),
}
KEY = "deepgram-key-of-a-test"


@pytest.mark.parametrize(("environment", "says"), BAD_STARTS.values(), ids=BAD_STARTS)
def test_a_job_that_cannot_start_says_why_in_one_line(environment: dict[str, str], says: str) -> None:
    given = {"PATH": os.environ["PATH"], "CLOUD_RUN_EXECUTION": "transcribe-x7", "DEEPGRAM_API_KEY": KEY, **environment}
    done = subprocess.run([sys.executable, "-m", "gpu_job"], env=given, capture_output=True, timeout=PATIENCE)
    (line,) = [json.loads(line) for line in (done.stdout + done.stderr).splitlines()]
    assert done.returncode == 1
    assert (line["severity"], line["execution"]) == ("CRITICAL", "transcribe-x7")
    assert says in line["message"]
    assert "exception" not in line
    assert KEY not in json.dumps(line)


@pytest.mark.parametrize(("environment", "says"), BAD_STARTS.values(), ids=BAD_STARTS)
def test_a_function_that_cannot_start_says_why_in_one_line_and_gets_the_event_again(
    tmp_path: Path, environment: dict[str, str], says: str
) -> None:
    log = tmp_path / "log"
    given = {"PATH": os.environ["PATH"], "DEEPGRAM_API_KEY": KEY, **environment}
    host = FunctionHost("on_upload", FUNCTION, "cloudevent", given, log, process_type=ForkedProcessGroup)
    with host, Eventarc(host.url) as eventarc:
        eventarc.publish(finalized({"bucket": "uploads", "name": "a.mp3", "generation": "1"}))
        wait_until(lambda: eventarc.retried, "the event was refused")
    # One for each delivery until then.
    lines = lines_of(log)
    assert {line["severity"] for line in lines} == {"ERROR"}
    assert all(says in line["message"] and "exception" not in line for line in lines)
    assert KEY not in log.read_text()
