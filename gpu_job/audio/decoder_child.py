"""Run the decoder as a child process and read its records as they come.

A child, because a codec's crash must not end the worker, and because limits on memory and time can be set on it.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from gpu_job.audio.decoder.records import Account, DecodingRequest, Record, RecordReader, Refusal
from gpu_job.fetch.arrival import ArrivalMap
from shared.errors import EngineFailed, FailureKind

if sys.platform != "win32":
    # Windows has neither: a child has no limits there, and its pipe the size that it comes with.
    import fcntl
    import resource

PIPE_BYTES = 256 * 1024
"""How far a child may be ahead of its reader: 4 s of mono samples."""

STDERR_TAIL_BYTES = 4096
"""How much of the end of a decoder's standard error is kept."""

_PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class DecoderLimits:
    """What one decoder may use."""

    stall_seconds: float = 60.0
    memory_mb: int = 2000


class DecoderFailed(EngineFailed):
    """The decoder ended before the file did; the samples that came until then are good."""

    def __init__(self, reason: str, kind: FailureKind | None = None, *, detail: str = "") -> None:
        super().__init__(reason, kind)
        self.detail = detail
        """Why, in brackets; empty where it is not known."""


class DecoderKilled(EngineFailed):
    """The decoder was killed from outside, as the kernel does where memory has run out: no word about the file.

    A crash in a codec ends it by another signal, and is the file's doing.
    """


PASSED_VARIABLES = frozenset({"PATH", "HOME", "LANG", "LANGUAGE", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "USERPROFILE"})
PASSED_PREFIXES = ("PYTHON", "LC_", "LD_", "DYLD_")
"""Of the environment: what Python and its libraries are found by. The rest has keys, and leads to the cloud."""


def command(request: DecodingRequest) -> list[str]:
    """The decoder's command line. `-P`: the folder that `dropscribe run` is called in is not searched for modules."""
    return [sys.executable, "-B", "-s", "-P", "-m", "gpu_job.audio.decoder", request.to_json()]


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What a decoder gets to see of its worker's environment."""
    kept = {
        name: value
        for name, value in environment.items()
        if name in PASSED_VARIABLES or name.startswith(PASSED_PREFIXES)
    }
    paths = [str(_PROJECT), *filter(None, [environment.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths)}


class DecoderChild:
    """A running decoder. A context manager: on the way out it is ended and reaped."""

    def __init__(self, request: DecodingRequest, limits: DecoderLimits) -> None:
        self._stall_seconds = limits.stall_seconds
        self._is_ended = False
        self._arrival = ArrivalMap(Path(request.arrival)) if request.arrival is not None else None
        self._child = subprocess.Popen(
            command(request),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=child_environment(os.environ),
        )
        assert self._child.stdout is not None  # opened as a pipe above
        if sys.platform == "win32":
            return
        # From outside, after the start: code between fork and exec is not safe in a program with threads.
        if hasattr(resource, "prlimit"):
            size = limits.memory_mb * 1_000_000
            with suppress(ProcessLookupError):  # it may have ended already
                resource.prlimit(self._child.pid, resource.RLIMIT_AS, (size, size))
                resource.prlimit(self._child.pid, resource.RLIMIT_FSIZE, (0, 0))
                resource.prlimit(self._child.pid, resource.RLIMIT_CORE, (0, 0))
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with suppress(OSError):  # a user's pipes may hold only so much together
                fcntl.fcntl(self._child.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.kill()
        self._child.wait()
        for pipe in (self._child.stdout, self._child.stderr):
            if pipe:
                pipe.close()

    def records(self) -> Iterator[Record]:
        """All that it writes; the last record is an account or a refusal.

        Raises DecoderFailed where nothing comes for too long, and where it ends without either; DecoderKilled where it
        was not this process that killed it.
        """
        assert self._child.stdout is not None  # opened as a pipe
        output = self._child.stdout.fileno()
        reader = RecordReader()
        record: Record | None = None
        while True:
            data = self._read(output)
            while data is None and self._arrival is not None and not self._arrival.has_ended:
                data = self._read(output)  # it may wait for bytes
            if not data:
                # What was heard until then is good, however it ended.
                for record in reader.end():
                    yield record
            if data is None:
                raise DecoderFailed(f"The decoder gave no audio for {self._stall_seconds:g} s.", FailureKind.TIMEOUT)
            if not data:
                break
            for record in reader.feed(data):
                yield record
        if not isinstance(record, Account | Refusal):
            detail = self._ending()
            raise DecoderFailed(f"The decoder broke off{detail}.", detail=detail)

    def _read(self, output: int) -> bytes | None:
        """What came; nothing at the end; None where nothing comes for too long."""
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(output, select.POLLIN)
            return os.read(output, PIPE_BYTES) if poll.poll(self._stall_seconds * 1000) else None
        # Windows waits for sockets only: a child that is silent for too long is ended, which ends the pipe.
        silent = threading.Event()

        def end() -> None:
            silent.set()
            self.kill()

        timer = threading.Timer(self._stall_seconds, end)
        timer.start()
        try:
            data = os.read(output, PIPE_BYTES)
        finally:
            timer.cancel()
        return None if silent.is_set() else data

    def kill(self) -> None:
        """End it from any thread; its reader sees the end of the records."""
        self._is_ended = True
        self._child.kill()

    def _ending(self) -> str:
        """How it ended, in brackets: the last line that it wrote to standard error, else its status."""
        try:
            status = self._child.wait(self._stall_seconds)
        except subprocess.TimeoutExpired:
            raise DecoderFailed("The decoder did not end.", FailureKind.TIMEOUT) from None
        if sys.platform != "win32" and status == -signal.SIGKILL and not self._is_ended:
            reason = "A decoder of the file was killed, as where an instance has no memory left."
            raise DecoderKilled(reason, FailureKind.OUT_OF_MEMORY)
        assert self._child.stderr is not None  # opened as a pipe
        written = self._child.stderr.read()[-STDERR_TAIL_BYTES:].decode(errors="replace")
        lines = [line.strip() for line in written.splitlines() if line.strip()]
        if status < 0 or not lines:
            return f" (the decoder ended with status {status})"
        return f" ({lines[-1]})"
