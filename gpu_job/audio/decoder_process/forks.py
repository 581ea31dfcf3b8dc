"""Decoders as copies of a process that has imported what they need (`fork_server.py`), started with the first of them.

All copies of one server have the same addresses in memory, which a process that is started anew draws by lot. So where
a decoder crashes, as it does where an upload tries addresses, the next ones are copies of another server; and so they
are after MOST_FORKS.
"""

from __future__ import annotations

import atexit
import logging
import math
import os
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from gpu_job.audio.decoder_process.command import child_environment, module_command
from gpu_job.audio.decoder_process.fork_server import ANSWER, MESSAGE, can_fork_siblings

MOST_FORKS = 200
"""Of one server: a start of another one is less than a millisecond for each of them then."""

ANSWER_SECONDS = 60.0
"""In which a server has started and forked, however busy the machine is."""

LAST_ANSWER_SECONDS = 5.0
"""In which a copy whose server was ended says that it is there."""

PAUSE_SECONDS = 60.0
"""After an error, in which decoders are started anew; it doubles with each error more."""

MOST_PAUSE_SECONDS = 3600.0

SERVER = "gpu_job.audio.decoder_process.fork_server"

_log = logging.getLogger(__name__)


class ForkedProcess:
    """A decoder, with what of `subprocess.Popen` is used."""

    def __init__(self, pid: int, stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes]) -> None:
        """Raises OSError where it is no child of this process."""
        self.pid = pid
        self._stdin = stdin
        self.stdout, self.stderr = stdout, stderr
        self.returncode: int | None = None
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        try:
            self._descriptor = os.pidfd_open(pid)
        except OSError:  # no more files may be open
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        self._lock = threading.Lock()
        """Held while it is reaped: its id may be another process's from then on."""

    def give(self, request: str) -> None:
        """What it waits for, once."""
        with suppress(BrokenPipeError), self._stdin:  # it may have ended already
            self._stdin.write(request.encode())

    def kill(self) -> None:
        """SIGKILL, from any thread; nothing where it has ended."""
        with self._lock, suppress(ProcessLookupError):
            if self.returncode is None:
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, -N by signal N; 0, as `subprocess` has it, where this process ignores SIGCHLD and the kernel
        reaps. Raises TimeoutExpired after so many seconds."""
        if self.returncode is None and not self._has_ended(timeout):
            raise subprocess.TimeoutExpired(SERVER, timeout or 0.0)
        with self._lock:
            if self.returncode is None:
                status = 0
                with suppress(ChildProcessError):
                    _, status = os.waitpid(self.pid, 0)
                self.returncode = os.waitstatus_to_exitcode(status)
                os.close(self._descriptor)
            return self.returncode

    def _has_ended(self, timeout: float | None) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(self._descriptor, selectors.EVENT_READ)
            return bool(selector.select(timeout))


class ForkServer:
    """The process that forks."""

    def __init__(self, module: str = SERVER) -> None:
        """It may still be starting when this returns. Raises OSError."""
        self.forks = 0
        """Also the number of the last one."""
        self._is_awaited = False
        """Whether the last one's answer may still come."""
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._requests.settimeout(ANSWER_SECONDS)
        quiet = subprocess.DEVNULL
        with theirs:
            self._process = subprocess.Popen(
                module_command(module, str(theirs.fileno())),
                stdin=quiet,
                stdout=quiet,
                stderr=quiet,
                pass_fds=[theirs.fileno()],
                env=child_environment(os.environ),
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def fork(self) -> ForkedProcess:
        """A decoder that waits for its request. Raises OSError where there is none."""
        self.forks += 1
        (asked, asking), (output, written), (errors, complaining) = _pipe(), _pipe(), _pipe()
        try:
            with asked, written, complaining:
                theirs = [each.fileno() for each in (asked, written, complaining)]
                socket.send_fds(self._requests, [MESSAGE.pack(self.forks)], theirs)
                return ForkedProcess(self._answer(), asking, output, errors)
        except OSError:
            for pipe in (asking, output, errors):
                pipe.close()
            raise

    def end(self) -> None:
        """What it forked goes on, but for a copy whose answer nobody waited for: it is reaped."""
        self._process.kill()
        self._process.wait()
        self._requests.settimeout(LAST_ANSWER_SECONDS)
        with suppress(OSError), self._requests:
            # Nobody is left who would send more but that copy.
            if self._is_awaited and (pid := self._answer()) > 0:
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # none of another process
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def leave(self) -> None:
        """In a copy of the process that started it: it is that one's."""
        self._requests.close()
        self._process.returncode = 0

    def _answer(self) -> int:
        """The last copy's id, from it or from the server, whoever is faster."""
        self._is_awaited = True
        number = 0
        while number != self.forks:  # else the other one's of a copy before
            answer = self._requests.recv(ANSWER.size)
            if len(answer) != ANSWER.size:
                raise ConnectionError("the server has ended")
            number, pid = ANSWER.unpack(answer)
        self._is_awaited = False
        if pid < 0:
            raise OSError("the server cannot fork")
        return int(pid)


class Forks:
    """Of one process: its server, and whether there can be any. From any thread."""

    def __init__(self, module: str = SERVER, clock: Callable[[], float] = time.monotonic) -> None:
        """`module`: what is started as the server."""
        self._module = module
        self._clock = clock
        self._is_possible = can_fork_siblings()
        self._errors = 0
        """In a row."""
        self._paused_until = -math.inf
        self._server: ForkServer | None = None
        self._lock = threading.Lock()

    def fork(self) -> ForkedProcess | None:
        """A decoder that waits for its request; None where decoders have to be started anew."""
        with self._lock:
            if not self._is_possible or self._clock() < self._paused_until:
                return None
            # A server that had nothing to do has ended. Behind an error there is none, and one that does not answer
            # takes a minute of everybody's time.
            for _ in range(1 if self._errors else 2):
                try:
                    if self._server is not None and self._server.forks >= MOST_FORKS:
                        self._end()
                    self._server = self._server or ForkServer(self._module)
                    copy = self._server.fork()
                except OSError as error:
                    self._end()
                    reason = str(error)
                else:
                    self._errors = 0
                    return copy
            pause = min(PAUSE_SECONDS * 2**self._errors, MOST_PAUSE_SECONDS)
            self._errors += 1
            self._paused_until = self._clock() + pause
        _log.warning("decoders are not forked for a while", extra={"fields": {"reason": reason, "seconds": pause}})
        return None

    def renew(self) -> None:
        """The next decoders are copies of another server."""
        with self._lock:
            self._end()

    def leave(self) -> None:
        """In a copy of the process that these are of: it has a server of its own."""
        server, self._server = self._server, None
        self._lock = threading.Lock()
        if server is not None:
            server.leave()

    @property
    def server_pid(self) -> int | None:
        """None where there is none yet."""
        server = self._server
        return None if server is None else server.pid

    def _end(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.end()


def _pipe() -> tuple[IO[bytes], IO[bytes]]:
    reading, writing = os.pipe()
    return os.fdopen(reading, "rb"), os.fdopen(writing, "wb")


FORKS = Forks()
atexit.register(FORKS.renew)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=FORKS.leave)
