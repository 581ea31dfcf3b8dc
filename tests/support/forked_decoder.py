"""Decoders that need not import PyAV again: they are forked from a process that has.

`python -m gpu_job.audio.decoder` takes 0.11 s of CPU before it opens its file, all of it imports, and tests start more
than a thousand. A server process imports the same once and forks for each start. What it forks is an ordinary process,
a child of the process that asked for it: pipes, limits, signals and its exit status are as after an exec.
tests/gpu_job/audio/test_decode starts the real command, as workers that are processes do.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).parents[2]
DECODER = "gpu_job.audio.decoder"
START = (sys.executable, "-B", "-s", "-P", "-m")
REQUEST_BYTES = 1024 * 1024
"""More than any decoder is asked for."""
PR_SET_CHILD_SUBREAPER = 36
"""From linux/prctl.h: whose parent ends becomes a child of this process."""


class ForkedDecoder:
    """As `subprocess.Popen` with the arguments of DecoderChild, where its command is the decoder's."""

    def __init__(self, command: Sequence[str], *, stdin: int, stdout: int, stderr: int, env: Mapping[str, str]) -> None:
        assert (stdin, stdout, stderr) == (subprocess.DEVNULL, subprocess.PIPE, subprocess.PIPE)
        output, their_output = os.pipe()
        errors, their_errors = os.pipe()
        try:
            self.pid = _server().fork(command[-1], their_output, their_errors)
        finally:
            os.close(their_output)
            os.close(their_errors)
        self.stdout, self.stderr = os.fdopen(output, "rb"), os.fdopen(errors, "rb")
        self.returncode: int | None = None
        self._descriptor = os.pidfd_open(self.pid)
        self._lock = threading.Lock()

    def kill(self) -> None:
        """SIGKILL."""
        with self._lock:
            if self.returncode is None:
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code once it has ended (-N: by signal N); TimeoutExpired after `timeout` seconds."""
        if self.returncode is None and not self._has_ended(timeout):
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        with self._lock:
            if self.returncode is None:
                self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
                os.close(self._descriptor)
            return self.returncode

    def _has_ended(self, timeout: float | None) -> bool:
        # Not select.poll, which tests take away.
        with selectors.EpollSelector() as selector:
            selector.register(self._descriptor, selectors.EVENT_READ)
            return bool(selector.select(timeout))


def start(command: Sequence[str], **options: Any) -> ForkedDecoder | subprocess.Popen[bytes]:
    """As `subprocess.Popen`; the decoder is forked."""
    if tuple(command[:-1]) == (*START, DECODER):
        return ForkedDecoder(command, **options)
    return subprocess.Popen(command, **options)


FORKING = SimpleNamespace(**{**vars(subprocess), "Popen": start})
"""What stands for the module `subprocess` where decoders are started."""


class _Server:
    """The process that imports and forks, from the first start until this process ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-B", "-s", "-m", "tests.support.forked_decoder", str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[theirs.fileno()], cwd=ROOT
            )
        atexit.register(self._stop)

    def fork(self, request: str, output: int, errors: int) -> int:
        """The id of a child of this process that decodes as asked and writes to these pipes."""
        with self._lock, _adopting():
            socket.send_fds(self._requests, [request.encode()], [output, errors])
            pid = int(self._requests.recv(16))
            assert self._requests.recv(1) == b"."  # its parent is gone
            return pid

    def _stop(self) -> None:
        self._requests.close()
        self._process.wait()


_starting = threading.Lock()
"""Of two servers at once each would take the other's children for its own."""


def _server() -> _Server:
    with _starting:
        return _only_server()


@cache
def _only_server() -> _Server:
    return _Server()


@contextmanager
def _adopting() -> Iterator[None]:
    """What is left without a parent below this process becomes its child."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    assert prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0, os.strerror(ctypes.get_errno())
    try:
        yield
    finally:
        prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def serve(requests: socket.socket) -> str | None:
    """Fork for each request until there will be none; also returns, with its request, in each forked process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    runpy.run_module(DECODER, run_name="imported")
    gc.collect()
    gc.freeze()
    while True:
        request, fds, _, _ = socket.recv_fds(requests, REQUEST_BYTES, 2)
        if not request:
            return None
        between = os.fork()
        if between == 0:
            pid = os.fork()
            if pid == 0:
                _take_over(requests, fds)
                return request.decode()
            requests.send(str(pid).encode())
            os._exit(0)
        for fd in fds:
            os.close(fd)
        os.waitpid(between, 0)
        with suppress(OSError):  # who asked is gone
            requests.send(b".")


def _take_over(requests: socket.socket, fds: Sequence[int]) -> None:
    """The files and signals that the decoder's own start would leave it with."""
    requests.close()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, fd in enumerate(fds, 1):
        os.dup2(fd, number)
        os.close(fd)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[-1])) as listening:
        asked = serve(listening)
    if asked is not None:
        # At the top, so that the interpreter ends with it as it does after `python -m`.
        sys.argv = [DECODER, asked]
        runpy.run_module(DECODER, run_name="__main__", alter_sys=True)
