"""A process whose every word is a log line: what it warns of, prints and dies of."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.support.waiting import PATIENCE

PROGRAM = """
import logging, os, subprocess, sys, threading, warnings
from shared.telemetry.logs import configure_logging, job_context
from shared.telemetry.stdio import capture_output

configure_logging(execution="transcribe-x7")
capture_output()
{body}
"""


def said_by(body: str, status: int = 0) -> list[dict[str, Any]]:
    """The lines of both streams of a process that does this, each without its time."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
    )
    assert done.returncode == status, done.stdout.decode()
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert all(line.pop("time") and line.pop("execution") == "transcribe-x7" for line in lines)
    return lines


def test_what_is_printed_is_logged_line_by_line() -> None:
    body = "print('a', end=''); print('b\\nc\\n\\nd'); print('careful', file=sys.stderr); sys.stdout.flush()"
    assert said_by(body) == [
        {"severity": "INFO", "message": "ab", "logger": "stdout"},
        {"severity": "INFO", "message": "c", "logger": "stdout"},
        {"severity": "INFO", "message": "d", "logger": "stdout"},
        {"severity": "WARNING", "message": "careful", "logger": "stderr"},
    ]


def test_lines_of_several_threads_stay_whole() -> None:
    body = """
def say(name):
    for number in range(200):
        with job_context(name):
            print(f"{name} {number}")
threads = [threading.Thread(target=say, args=(name,)) for name in "abc"]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""
    lines = said_by(body)
    assert sorted(line["message"] for line in lines) == sorted(f"{n} {i}" for n in "abc" for i in range(200))


def test_warnings_are_logged() -> None:
    (line,) = said_by("warnings.warn('old ways', FutureWarning)")
    assert (line["severity"], line["logger"]) == ("WARNING", "py.warnings")
    assert "FutureWarning: old ways" in line["message"]


def test_an_uncaught_exception_is_one_line() -> None:
    (line,) = said_by("raise ValueError('why')", status=1)
    assert (line["severity"], line["message"]) == ("CRITICAL", "uncaught exception")
    assert line["exception"].endswith("ValueError: why")


def test_an_uncaught_exception_of_a_thread_is_one_line() -> None:
    body = """
def fail():
    raise ValueError('why')
thread = threading.Thread(target=fail, name='upload-3')
thread.start()
thread.join()
threading.Thread(target=sys.exit).start()
"""
    (line,) = said_by(body)
    assert (line["severity"], line["thread"]) == ("ERROR", "upload-3")
    assert line["exception"].endswith("ValueError: why")


def test_an_exception_that_python_ignores_is_one_line() -> None:
    body = """
class Odd:
    def __del__(self):
        raise ValueError('why')
Odd()
"""
    (line,) = said_by(body)
    assert (line["severity"], line["message"]) == ("ERROR", "ignored exception")
    assert "Odd" in line["in"]


def test_a_library_that_brings_its_own_handler_later_is_logged() -> None:
    body = """
theirs = logging.getLogger('nemo')
theirs.propagate = False
theirs.addHandler(logging.StreamHandler(sys.stdout))
theirs.warning('[NeMo W] two\\nlines')
"""
    assert [line["message"] for line in said_by(body)] == ["[NeMo W] two", "lines"]


def test_children_keep_the_real_streams() -> None:
    body = """subprocess.run([sys.executable, '-c', 'print(1)'], stdout=sys.stdout, check=True)"""
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(body=body)], capture_output=True, timeout=PATIENCE)
    assert done.stdout == b"1\n"


def test_last_words_without_an_end_of_line_are_logged() -> None:
    (line,) = said_by(
        "from shared.telemetry.stdio import flush_captured_output; sys.stderr.write('fatal'); flush_captured_output()"
    )
    assert (line["logger"], line["message"]) == ("stderr", "fatal")
