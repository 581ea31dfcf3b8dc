"""What a process says without its loggers becomes log lines too: warnings, uncaught exceptions, what is printed.

What native code writes to the file descriptors stays as it is: a reader of it would die with the process whose last
words matter most. Cloud Logging takes such a line as text.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
from types import TracebackType

_log = logging.getLogger(__name__)


def log_all_that_is_said() -> None:
    """From now on. For a process of our own, never for one that belongs to a test or a command."""
    # A handler that cannot write would print why, to the very stream that is logged.
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable
    sys.stdout = Printed(logging.getLogger("stdout"), logging.INFO, sys.stdout.fileno())
    sys.stderr = Printed(logging.getLogger("stderr"), logging.WARNING, sys.stderr.fileno())


class Printed(io.TextIOBase):
    """A standard stream whose lines are logged."""

    encoding = "utf-8"

    def __init__(self, logger: logging.Logger, level: int, descriptor: int) -> None:
        self._logger, self._level, self._descriptor = logger, level, descriptor
        self._lock = threading.Lock()
        self._begun = ""

    def writable(self) -> bool:
        """Yes."""
        return True

    def fileno(self) -> int:
        """Of the real stream, for child processes."""
        return self._descriptor

    def write(self, text: str) -> int:
        """Log every whole line; the rest waits for its end."""
        with self._lock:
            *lines, self._begun = (self._begun + text).splitlines(keepends=False) or [""]
            if text.endswith(("\n", "\r")):
                lines, self._begun = [*lines, self._begun], ""
        for line in filter(str.strip, lines):
            self._logger.log(self._level, "%s", line)
        return len(text)


def finish_printed() -> None:
    """At the end of the process: log what was begun, for no end of its line will come."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, Printed):
            stream.write("\n")


def _uncaught(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    _log.critical("uncaught exception", exc_info=(kind, error, where))


def _uncaught_in_thread(told: threading.ExceptHookArgs) -> None:
    if told.exc_value is not None and not isinstance(told.exc_value, SystemExit):
        name = told.thread.name if told.thread else None
        why = (told.exc_type, told.exc_value, told.exc_traceback)
        _log.error("uncaught exception in a thread", exc_info=why, extra={"fields": {"thread": name}})


def _unraisable(told: sys.UnraisableHookArgs) -> None:
    error = told.exc_value
    _log.error("ignored exception", exc_info=error, extra={"fields": {"in": repr(told.object)}})
