"""Structured logs: one JSON object a line, in the fields Cloud Logging reads, each with the job it belongs to."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

from opentelemetry import trace

_log = logging.getLogger(__name__)

_job_id: ContextVar[str | None] = ContextVar("job_id", default=None)

SEVERITIES = frozenset({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"})
"""Of Cloud Logging's severities, those that have a level of Python's."""


@contextmanager
def job_context(job_id: str) -> Iterator[None]:
    """Every line logged inside carries `job_id`."""
    token = _job_id.set(job_id)
    try:
        yield
    finally:
        _job_id.reset(token)


@contextmanager
def log_telemetry_errors() -> Iterator[None]:
    """Around telemetry calls: any exception, an exporter's included, is logged and goes no further."""
    try:
        yield
    except Exception:
        _log.warning("telemetry failed", exc_info=True)


class JsonFormatter(logging.Formatter):
    """A log record as one line of JSON: severity, time, message, logger, job_id, trace, the fields of its `extra`."""

    def __init__(self, project: str | None = None, execution: str | None = None) -> None:
        super().__init__()
        self._project = project
        self._process = {"execution": execution} if execution else {}

    def format(self, record: logging.LogRecord) -> str:
        """Never raises: a record that cannot be formatted is still written."""
        line: dict[str, Any] = {
            "severity": record.levelname if record.levelname in SEVERITIES else "DEFAULT",
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "message": _message(record),
            "logger": record.name,
            **self._process,
            **self._trace(),
        }
        if (job_id := _job_id.get()) is not None:
            line["job_id"] = job_id
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return json.dumps(line, default=_text, allow_nan=False)
        except (TypeError, ValueError):  # a key that is no text, or a number that JSON has not
            return json.dumps({_text(key): _text(value) for key, value in line.items()})

    def _trace(self) -> dict[str, Any]:
        """Where the line belongs in Cloud Trace, whether or not anything is sent there."""
        span = trace.get_current_span().get_span_context()
        if not span.is_valid:
            return {}
        name = trace.format_trace_id(span.trace_id)
        return {
            "logging.googleapis.com/trace": f"projects/{self._project}/traces/{name}" if self._project else name,
            "logging.googleapis.com/spanId": trace.format_span_id(span.span_id),
            "logging.googleapis.com/trace_sampled": span.trace_flags.sampled,
        }


def configure_logging(level: str = "INFO", stream: TextIO = sys.stderr, *, execution: str | None = None) -> None:
    """Send the root logger to `stream` as JSON lines, every one with the `execution` where the process has one."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(os.environ.get("GOOGLE_CLOUD_PROJECT"), execution))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # It logs the address of every request, with the token of a callback's address in it.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    remove_library_handlers()


def remove_library_handlers() -> None:
    """Remove handlers that libraries gave their own loggers, so that their lines go through the root logger's."""
    # A copy: another thread may be importing something.
    for logger in list(logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger) and logger.handlers:
            logger.handlers.clear()
            logger.propagate = True


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:
        return f"{_text(record.msg)} {_text(record.args)}"


def _text(value: object) -> str:
    """`str(value)`, or its type where that fails: a tensor on a lost GPU raises."""
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"
