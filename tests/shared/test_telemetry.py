"""Logs that Cloud Logging can read: one line, one JSON object, whatever is in it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from shared.telemetry import configure_logging, job_context

log = logging.getLogger("tests.telemetry")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging("info", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_the_fields_cloud_logging_reads(stream: io.StringIO) -> None:
    log.warning("two of %d", 3, extra={"fields": {"bytes": 7}})
    (line,) = lines(stream)
    time = datetime.fromisoformat(line.pop("time"))
    assert time.tzinfo is not None
    assert line == {"severity": "WARNING", "message": "two of 3", "logger": "tests.telemetry", "bytes": 7}


def test_an_exception_stays_on_its_line(stream: io.StringIO) -> None:
    try:
        raise ValueError("a\nb \U0001f600 \ud800")
    except ValueError:
        log.exception("failed\nbadly")
    (line,) = lines(stream)
    assert (line["severity"], line["message"]) == ("ERROR", "failed\nbadly")
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert "ValueError: a\nb" in line["exception"]


def test_what_json_does_not_know_is_written_as_text(stream: io.StringIO) -> None:
    log.info("x", extra={"fields": {"path": Path("a"), "error": ValueError("b"), "many": {1}}})
    assert lines(stream)[0] | {"time": ""} == {
        "severity": "INFO",
        "time": "",
        "message": "x",
        "logger": "tests.telemetry",
        "path": "a",
        "error": "b",
        "many": "{1}",
    }


def test_the_job_is_on_each_line_logged_inside_its_context(stream: io.StringIO) -> None:
    log.info("before")
    with job_context("one"):
        log.info("in one")
        with job_context("two"):
            log.info("in two")
        with pytest.raises(KeyError), job_context("three"):
            raise KeyError
        log.info("in one again")
    log.info("after")
    assert [line.get("job_id") for line in lines(stream)] == [None, "one", "two", "one", None]


def test_threads_do_not_see_each_others_job(stream: io.StringIO) -> None:
    def work(number: int) -> None:
        with job_context(f"job-{number}"):
            log.info("%d", number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(20)))
    assert {line["job_id"] for line in lines(stream)} == {f"job-{number}" for number in range(20)}
    assert all(line["job_id"] == f"job-{line['message']}" for line in lines(stream))


def test_less_severe_lines_are_left_out(stream: io.StringIO) -> None:
    log.debug("quiet")
    configure_logging("ERROR", stream)
    log.warning("quiet")
    log.error("loud")
    assert [line["message"] for line in lines(stream)] == ["loud"]
