"""Processes of the function and the job that need not import Google's libraries again: they are forked.

`python -m gpu_job` takes more than a second of CPU before its first line of work, all of it imports. A server process
imports the same once and forks for each start. What it forks is an ordinary process: it has a pid, a session, an
environment and a log of its own, and signals end it as they end any other. Nothing is called before the fork, so there
is no thread and no state that it could inherit. tests/e2e/test_command_line starts the real commands.
"""

from __future__ import annotations

import atexit
import gc
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

from infra.emulators.processes import ProcessGroup
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
FUNCTION = ("functions_framework._cli", "functions_framework._http.gunicorn", "trigger_function.main")
JOB = ("gpu_job.__main__", "dropscribe.local_media")
IMPORTED = {"functions_framework": FUNCTION, "gpu_job": JOB, "infra.emulators.transcriber": JOB}
"""What modules that are run import sooner or later. A server for each list, as to fork little is fast."""
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
"""So that no library starts threads where it is imported."""
FORKED_THREADS = {"jemalloc_bg_thd"}
"""Those of libraries that start them again after a fork."""
MOST_FDS = 16


@dataclass(frozen=True)
class Start:
    """A module to be run as `python -m` does."""

    module: str
    arguments: Sequence[str]
    env: Mapping[str, str]
    folder: str
    passed_fds: Sequence[int]
    """The numbers that inherited file descriptors are to have."""


class ForkedProcess:
    """As `subprocess.Popen(command, ...)` with the arguments of ProcessGroup, where the command is `python -m ...`."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        stdin: int,
        stdout: IO[bytes],
        stderr: int,
        pass_fds: Sequence[int],
        start_new_session: bool,
    ) -> None:
        interpreter, option, module, *arguments = command
        assert (interpreter, option) == (sys.executable, "-m")
        assert (stdin, stderr, start_new_session) == (subprocess.DEVNULL, subprocess.STDOUT, True)
        self._supervisor, theirs = Pipe()
        with theirs:
            _server(IMPORTED[module]).fork(theirs.fileno(), stdout.fileno(), *pass_fds)
        self._supervisor.send(Start(module, arguments, env, str(Path.cwd()), pass_fds))
        self.pid: int = self._supervisor.recv()
        self._exit_code: int | None = None
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """The exit code (-N: ended by signal N), or None while it runs."""
        return self._status(0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code once it has ended; TimeoutExpired after `timeout` seconds."""
        code = self._status(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return code

    def terminate(self) -> None:
        """SIGTERM."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def _status(self, timeout: float | None) -> int | None:
        with self._lock:
            if self._exit_code is None and self._supervisor.poll(timeout):
                self._exit_code = self._supervisor.recv()
                self._supervisor.close()
            return self._exit_code


class ForkedProcessGroup(ProcessGroup):
    """Its command is forked from a process that has imported most of it."""

    popen = ForkedProcess


class _Server:
    """The process that imports and forks: one for all workers of a test run. Who comes first starts it, and it ends
    with that worker's process, as all workers do once the last test has run."""

    def __init__(self, imported: Sequence[str]) -> None:
        path = _run_folder() / imported[0]
        with socket.socket(socket.AF_UNIX) as listening:
            try:
                listening.bind(str(path))
            except OSError:
                self._requests = wait_until(lambda: _connected(path), f"another worker's server of {imported[0]}")
                return
            listening.listen()
            self._requests, theirs = socket.socketpair()
            with theirs:
                fds = (theirs.fileno(), listening.fileno())
                command = (sys.executable, "-m", "tests.support.forked_process", *imported, *map(str, fds))
                self._process = subprocess.Popen(command, pass_fds=fds, cwd=ROOT)
        atexit.register(self._stop, path)

    def fork(self, *fds: int) -> None:
        """Fork a supervisor that gets these file descriptors."""
        socket.send_fds(self._requests, [b"."], fds)

    def _stop(self, path: Path) -> None:
        self._requests.close()
        self._process.wait()
        path.unlink()
        with suppress(OSError):  # not empty yet
            path.parent.rmdir()


def _run_folder() -> Path:
    """Where the workers of this test run find each other's servers; a socket's path may have 104 characters at most."""
    folder = Path(tempfile.gettempdir()) / f"fork-{os.environ.get('PYTEST_XDIST_TESTRUNUID', str(os.getpid()))[:12]}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _connected(path: Path) -> socket.socket | None:
    """A connection to the server there, or None where it does not listen yet."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        return None
    return connection


@cache
def _server(imported: tuple[str, ...]) -> _Server:
    return _Server(imported)


def serve(imported: Sequence[str], owner: socket.socket, listening: socket.socket) -> None:
    """Fork for each request, the owner's and others', until the owner is gone; also returns in each forked process,
    ready to be run."""
    # No cycle is looked for among what is imported: a fifth of the time, and all of it stays.
    gc.disable()
    # Ctrl-C reaches every process of the terminal; who ends what is the tests' decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(THREADS)
    for module in imported:
        import_module(module)
    running = {
        file.read_text().strip()
        for file in Path("/proc").glob("self/task/*/comm")
        if file.parent.name != str(os.getpid())
    }
    assert running <= FORKED_THREADS, f"{running}: a fork is without these threads"
    gc.collect()
    gc.freeze()
    gc.enable()
    clients = [owner]
    while owner in clients:
        for ready in select.select([listening, *clients], [], [])[0]:
            if ready is listening:
                clients.append(listening.accept()[0])
                continue
            sent, fds, _, _ = socket.recv_fds(ready, 1, MOST_FDS)
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            if not sent:
                clients.remove(ready)
                ready.close()
            elif os.fork() == 0:
                for one in (listening, *clients):
                    one.close()
                supervise(*fds)
                return
            for fd in fds:
                os.close(fd)


def supervise(connection_fd: int, output: int, *passed: int) -> None:
    """Tell the pid and the exit code of the process whose parent this is; returns in that process alone."""
    connection: Connection[Any, Start] = Connection(connection_fd)
    start = connection.recv()
    pid = os.fork()
    if pid:
        for fd in (output, *passed):
            os.close(fd)
        connection.send(pid)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with suppress(OSError):  # nobody wants to know any more
            connection.send(code)
        os._exit(0)
    os.setsid()
    connection.close()
    become(start, output, passed)


def become(start: Start, output: int, passed: Sequence[int]) -> None:
    """What exec would make of this process: its files, environment, folder and arguments."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a number is wanted, not a path
        os.dup2(nothing.fileno(), 0)
    for number in (1, 2):
        os.dup2(output, number)
    for number, fd in zip(start.passed_fds, passed, strict=True):
        os.dup2(fd, number)
    for fd in {output, *passed} - {1, 2, *start.passed_fds}:
        os.close(fd)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(start.env)
    os.chdir(start.folder)
    # Run again, under the name __main__: runpy warns where it is imported already.
    sys.modules.pop(f"{start.module}.__main__", None)
    sys.argv = [start.module, *start.arguments]
    # The job bills from its first moment on, which was that of the server.
    import_module("gpu_job").BEGAN = time.monotonic()


if __name__ == "__main__":
    *names, owner_fd, listening_fd = sys.argv[1:]
    with socket.socket(fileno=int(owner_fd)) as owner, socket.socket(fileno=int(listening_fd)) as listening:
        serve(names, owner, listening)
    if sys.argv[0] == __file__:
        os._exit(0)
    # At the top, so that the interpreter ends with it as it does after `python -m`.
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
