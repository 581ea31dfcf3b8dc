"""Output that bypasses logging becomes log lines too: warnings, uncaught exceptions, printed text.

What native code writes to the file descriptors stays as it is: a thread that read them would die with the process,
whose last words matter most. Cloud Logging takes such lines as text.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
from types import TracebackType

_log = logging.getLogger(__name__)


def capture_output() -> None:
    """Log warnings, uncaught exceptions and standard output from now on. Only for processes of the product itself."""
    # A handler that cannot write would print why, to the very stream that is logged.
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable
    sys.stdout = LoggedStream(logging.getLogger("stdout"), logging.INFO, sys.stdout.fileno())
    sys.stderr = LoggedStream(logging.getLogger("stderr"), logging.WARNING, sys.stderr.fileno())


class LoggedStream(io.TextIOBase):
    """A standard stream whose lines are logged."""

    encoding = "utf-8"

    def __init__(self, logger: logging.Logger, level: int, descriptor: int) -> None:
        self._logger, self._level, self._descriptor = logger, level, descriptor
        self._lock = threading.Lock()
        self._pending = ""

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The real stream's descriptor, for child processes."""
        return self._descriptor

    def write(self, text: str) -> int:
        """Log every complete line; the rest is kept until its line ends."""
        with self._lock:
            *lines, self._pending = (self._pending + text).splitlines(keepends=False) or [""]
            if text.endswith(("\n", "\r")):
                lines, self._pending = [*lines, self._pending], ""
        for line in filter(str.strip, lines):
            self._logger.log(self._level, "%s", line)
        return len(text)


def flush_captured_output() -> None:
    """At the end of the process: log text whose line has not ended."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, LoggedStream):
            stream.write("\n")


def _uncaught(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    _log.critical("uncaught exception", exc_info=(kind, error, where))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        name = args.thread.name if args.thread else None
        why = (args.exc_type, args.exc_value, args.exc_traceback)
        _log.error("uncaught exception in a thread", exc_info=why, extra={"fields": {"thread": name}})


def _unraisable(args: sys.UnraisableHookArgs) -> None:
    error = args.exc_value
    _log.error("ignored exception", exc_info=error, extra={"fields": {"in": repr(args.object)}})
