"""The real functions-framework, in production mode, serving one function from child processes."""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import tempfile
from typing import TYPE_CHECKING, Literal

from infra.emulators.processes import ProcessGroup
from infra.emulators.server import Server
from shared.errors import DropscribeError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

START_SECONDS = 300.0
"""For the imports of the function on a busy machine."""


class FunctionFailed(DropscribeError, RuntimeError):
    """The function does not come up, or answers with an error."""


class FunctionHost(Server):
    """Serves the function `target` of the file `source` on a free port of 127.0.0.1; usable once.

    The function sees exactly `env` and what its server needs. What it prints is appended to `log`. At `stop()` it gets
    TERM and, `grace_seconds` later, KILL.
    """

    def __init__(
        self,
        target: str,
        source: Path,
        signature: Literal["cloudevent", "http"],
        env: Mapping[str, str],
        log: Path,
        grace_seconds: float = 10.0,
        process_type: type[ProcessGroup] = ProcessGroup,
    ) -> None:
        self._target = target
        self._source = source
        self._signature = signature
        self._env = env
        self._log = log
        self._grace_seconds = grace_seconds
        self._process_type = process_type
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port: int = self._listener.getsockname()[1]
        # gunicorn's control socket cannot be switched off here; this folder keeps it out of the home directory.
        self._runtime = tempfile.TemporaryDirectory()
        self._process: ProcessGroup | None = None

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, known before `start()`."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        """Of gunicorn's master, whose children serve; None before `launch()`."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Return when the function can be called; raises FunctionFailed if it does not come up."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start the process, whose imports take seconds, and return at once."""
        # The framework cannot bind port 0, and a port that was free a moment ago may be taken. So it inherits the bound
        # socket, the way gunicorn hands its own to its successor. Closed here, it dies with the child: no call hangs.
        with self._listener:
            self._process = self._process_type(
                self._command(),
                {
                    "PYTHONUNBUFFERED": "1",
                    "K_SERVICE": self._target,
                    **self._env,
                    "XDG_RUNTIME_DIR": self._runtime.name,
                    "GUNICORN_PID": str(os.getpid()),
                    "GUNICORN_FD": str(self._listener.fileno()),
                },
                self._log,
                pass_fds=[self._listener.fileno()],
            )

    def wait_until_ready(self) -> None:
        """Return when the function can be called; it is stopped where that fails, as `start` says."""
        try:
            self._await_answer()
        except BaseException:
            self.stop()
            raise

    def failure(self, what: str) -> FunctionFailed:
        """`what` the function does, and why: the last line of its log, or of the traceback in that."""
        *_, last = ["", *self._log.read_text(errors="replace").splitlines()]
        try:
            fields: dict[str, str] = json.loads(last)
            last = fields.get("exception", fields["message"]).splitlines()[-1]
        except (ValueError, KeyError, IndexError):
            pass  # not one of our own lines: as it is
        return FunctionFailed(f"The local function {self._target} {what}: {last}")

    def stop(self) -> None:
        """End the function and all that it has started; idempotent."""
        self._listener.close()
        if self._process is not None:
            self._process.end(self._grace_seconds)
        self._runtime.cleanup()

    def _command(self) -> tuple[str, ...]:
        return (
            *(sys.executable, "-m", "functions_framework"),
            *("--target", self._target),
            *("--source", str(self._source)),
            *("--signature-type", self._signature),
            *("--host", "127.0.0.1"),
            *("--port", str(self._port)),
        )

    def _await_answer(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=START_SECONDS)
        try:
            # The framework answers this path itself (404 or 405), whatever the function is.
            connection.request("GET", "/robots.txt")
            connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise self.failure("does not come up") from error
        finally:
            connection.close()
