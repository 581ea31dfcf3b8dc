"""Logs that Cloud Logging can read: one line, one JSON object, whatever is in it."""

from __future__ import annotations

import io
import json
import logging
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from shared.telemetry import tracing
from shared.telemetry.logs import (
    JsonFormatter,
    configure_logging,
    job_context,
    log_telemetry_errors,
    remove_library_handlers,
)

log = logging.getLogger("tests.logs")


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
    assert line == {"severity": "WARNING", "message": "two of 3", "logger": "tests.logs", "bytes": 7}


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
        "logger": "tests.logs",
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


def test_a_line_belongs_to_the_trace_it_was_logged_in(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "acme")
    configure_logging("INFO", stream)
    for flags in ("01", "00"):
        header = f"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}"
        with tracing.span("upload", parent=tracing.context_of(header)):
            log.info("inside")
    log.info("outside")
    sampled, unsampled, outside = lines(stream)
    # As Cloud Logging documents its special fields.
    assert sampled["logging.googleapis.com/trace"] == "projects/acme/traces/0af7651916cd43dd8448eb211c80319c"
    assert sampled["logging.googleapis.com/spanId"] == "b7ad6b7169203331"
    assert sampled["logging.googleapis.com/trace_sampled"] is True
    assert unsampled["logging.googleapis.com/trace_sampled"] is False
    assert not [field for field in outside if field.startswith("logging.googleapis.com/")]


def test_every_line_of_a_task_names_its_execution(stream: io.StringIO) -> None:
    configure_logging("INFO", stream, execution="transcribe-x7")
    log.info("one")
    logging.getLogger("library").warning("two")
    assert [line["execution"] for line in lines(stream)] == ["transcribe-x7"] * 2


def test_libraries_log_as_we_do(stream: io.StringIO) -> None:
    library, theirs = logging.getLogger("tests.library"), io.StringIO()
    library.addHandler(logging.StreamHandler(theirs))
    library.propagate = False
    remove_library_handlers()
    library.warning("careful")
    assert [line["message"] for line in lines(stream)] == ["careful"]
    assert theirs.getvalue() == ""


def test_whatever_is_logged_the_line_is_json(stream: io.StringIO) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    log.log(25, "between")
    log.info("numbers", extra={"fields": {"share": math.nan, "rest": math.inf}})
    log.info("keys", extra={"fields": {(1, 2): "pair"}})
    strict = [json.loads(line, parse_constant=refuse) for line in stream.getvalue().splitlines()]
    assert [line["severity"] for line in strict] == ["DEFAULT", "INFO", "INFO"]
    assert (strict[1]["share"], strict[2]["(1, 2)"]) == ("nan", "pair")
    # Not through a logger: pytest's own handler raises for it.
    record = logging.makeLogRecord({"levelname": "INFO", "msg": "%d of %d", "args": ("many",)})
    assert json.loads(JsonFormatter().format(record))["message"] == "%d of %d ('many',)"


def test_less_severe_lines_are_left_out(stream: io.StringIO) -> None:
    log.debug("quiet")
    configure_logging("ERROR", stream)
    log.warning("quiet")
    log.error("loud")
    assert [line["message"] for line in lines(stream)] == ["loud"]


def test_what_cannot_say_what_it_is_loses_no_line() -> None:
    class Lost:
        def __str__(self) -> str:
            raise RuntimeError("CUDA error")

        __repr__ = __str__

    # Past the loggers, whose other handlers would raise.
    record = logging.LogRecord("job", logging.ERROR, __file__, 1, "heard %s", (Lost(),), None)
    assert json.loads(JsonFormatter().format(record))["message"] == "heard %s <tuple>"
    record = logging.LogRecord("job", logging.ERROR, __file__, 1, "heard", (), None)
    record.fields = {"tensor": Lost()}
    assert json.loads(JsonFormatter().format(record))["tensor"] == "<Lost>"


def test_telemetry_that_fails_is_a_line_and_no_more(stream: io.StringIO) -> None:
    with log_telemetry_errors():
        raise RuntimeError("the exporter's fault")
    (line,) = lines(stream)
    assert (line["severity"], line["message"]) == ("WARNING", "telemetry failed")
    assert "the exporter's fault" in line["exception"]
