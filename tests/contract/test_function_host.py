"""The real functions-framework under Eventarc: what a function of ours may rely on, and what it must bear."""

from __future__ import annotations

import fcntl
import json
import urllib.request
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import pytest

from infra.emulators.cloud_events import finalized
from infra.emulators.eventarc import Eventarc
from infra.emulators.function_host import FunctionHost
from tests.support.waiting import PATIENCE, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


FUNCTIONS = """
import fcntl, json, os
import functions_framework

lock = open(os.environ["LOCK"], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
calls = 0

def say(**what):
    # One write: lines of two threads must not run together.
    os.write(1, (json.dumps(what) + "\\n").encode())

@functions_framework.cloud_event
def on_upload(event):
    global calls
    calls += 1
    say(call=calls, id=event["id"], subject=event["subject"])
    say(name=event.data["name"], generation=event.data["generation"])
    if calls <= int(os.environ.get("FAILURES", "0")):
        raise RuntimeError("not yet")

@functions_framework.http
def environment(request):
    print("called")
    return dict(os.environ)
"""
SIGNATURES: dict[str, Literal["cloudevent", "http"]] = {"on_upload": "cloudevent", "environment": "http"}


@pytest.fixture
def running() -> Iterator[ExitStack]:
    """Ends what it is given."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """What the function prints."""
    return tmp_path / "function.log"


@pytest.fixture
def on_upload(tmp_path: Path, log: Path) -> FunctionHost:
    """Fails at its first two calls."""
    return host("on_upload", tmp_path, log, FAILURES="2")


def host(target: str, folder: Path, log: Path, **env: str) -> FunctionHost:
    source = folder / "main.py"
    source.write_text(FUNCTIONS)
    return FunctionHost(target, source, SIGNATURES[target], {"LOCK": str(folder / "lock"), **env}, log)


def printed(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


def is_locked(path: Path) -> bool:
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_a_function_that_fails_twice_is_called_a_third_time_and_no_more(
    running: ExitStack, on_upload: FunctionHost, log: Path
) -> None:
    running.enter_context(on_upload)
    eventarc = running.enter_context(Eventarc(on_upload.url, first_backoff=0.01))
    eventarc.deliver({"bucket": "uploads", "name": "a.mp3", "generation": "17"})
    eventarc.wait_idle(PATIENCE)
    calls = [line for line in printed(log) if "call" in line]
    assert [(line["call"], line["id"]) for line in calls] == [(n, eventarc.events[0].id) for n in (1, 2, 3)]
    assert (eventarc.delivered, eventarc.retried) == (1, 2)


def test_a_name_in_unicode_is_whole_in_the_data_and_still_encoded_in_the_subject(
    running: ExitStack, tmp_path: Path, log: Path
) -> None:
    function = running.enter_context(host("on_upload", tmp_path, log))
    eventarc = running.enter_context(Eventarc(function.url))
    eventarc.deliver({"bucket": "uploads", "name": "Gespräch 😀.mp3", "generation": "17"})
    eventarc.wait_idle(PATIENCE)
    [context, data] = printed(log)
    assert data == {"name": "Gespräch 😀.mp3", "generation": "17"}
    # The CloudEvents binding asks the receiver to decode; the framework's SDK does not.
    assert context["subject"] == "objects/Gespr%C3%A4ch%20%F0%9F%98%80.mp3"


def test_a_body_that_is_not_json_crashes_a_careless_function_again_and_again_but_stops_no_other_event(
    running: ExitStack, tmp_path: Path, log: Path
) -> None:
    function = running.enter_context(host("on_upload", tmp_path, log))
    eventarc = running.enter_context(Eventarc(function.url, first_backoff=0.05, max_backoff=0.05))
    poison = replace(finalized({"bucket": "uploads", "name": "poison.mp3"}), body=b"\xff\x00 not JSON")
    eventarc.publish(poison)
    eventarc.deliver({"bucket": "uploads", "name": "good.mp3", "generation": "17"})
    wait_until(lambda: eventarc.delivered and eventarc.retried >= 3, "the good event and three tries of the bad one")
    assert eventarc.delivered == 1
    assert [line["id"] for line in printed(log) if "call" in line].count(poison.id) >= 3
    assert "byte indices must be integers" in log.read_text()


def test_the_function_sees_the_given_environment_and_none_of_the_hosts(
    running: ExitStack, tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "1")
    function = running.enter_context(host("environment", tmp_path, log, RESULTS="results"))
    with urllib.request.urlopen(function.url, timeout=PATIENCE) as answer:
        environment = json.load(answer)
    assert environment["RESULTS"] == "results"
    assert "SECRET_OF_THE_HOST" not in environment


def test_starting_and_waiting_does_not_call_the_function(running: ExitStack, tmp_path: Path, log: Path) -> None:
    running.enter_context(host("environment", tmp_path, log))
    assert "called" not in log.read_text()


def test_a_function_that_cannot_be_imported_says_why(tmp_path: Path, log: Path) -> None:
    source = tmp_path / "main.py"
    source.write_text("import no_such_module")
    with pytest.raises(RuntimeError, match="No module named 'no_such_module'"):
        FunctionHost("on_upload", source, "cloudevent", {}, log).start()


def test_a_failure_is_told_by_the_last_line_of_the_log(tmp_path: Path, log: Path) -> None:
    function = host("environment", tmp_path, log)
    for printed, says in (
        ("", ""),
        ("one\ntwo\n", "two"),
        ('{"message": "X: It has to be set"}\n', "X: It has to be set"),
        ('{"message": "Exception on /", "exception": "Traceback\\n  line\\nValueError: why"}\n', "ValueError: why"),
    ):
        log.write_text(printed)
        assert str(function.failure("fails")) == f"The local function environment fails: {says}"


def test_stop_leaves_no_process(tmp_path: Path, log: Path) -> None:
    lock = tmp_path / "lock"
    with host("environment", tmp_path, log):
        assert is_locked(lock)
    wait_until(lambda: not is_locked(lock), "the child is gone")
    assert not is_locked(lock)
