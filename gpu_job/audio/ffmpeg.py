"""Run ffmpeg as a child process and read its samples and its stderr as they come.

A child, because a codec's crash must not end the worker, and because limits on memory and time can be set on it.
"""

from __future__ import annotations

import fcntl
import os
import resource
import select
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from gpu_job.audio.samples import SAMPLE_RATE
from shared.errors import EngineFailed, FailureKind

PIPE_BYTES = 256 * 1024
"""How far a child may be ahead of its reader: 4 s of mono samples."""

STDERR_TAIL_BYTES = 4096
"""How much of the end of a decoder's standard error is kept."""


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
        """The decoder's last error message, in brackets; empty where there is none."""


class DecoderChild:
    """A running ffmpeg, or a pipe of them. A context manager: on the way out all are ended and reaped."""

    def __init__(self, commands: Sequence[list[str]], limits: DecoderLimits) -> None:
        self.stderr_tail = b""
        """The end of what it wrote to standard error until now."""
        self._stall_seconds = limits.stall_seconds
        self._processes: list[subprocess.Popen[bytes]] = []
        self._errors, theirs = os.pipe()
        os.set_blocking(self._errors, False)
        try:
            for arguments in commands:
                self._start(arguments, theirs, limits)
        except OSError:
            self.__exit__(None, None, None)
            raise
        finally:
            os.close(theirs)

    def _start(self, arguments: list[str], errors: int, limits: DecoderLimits) -> None:
        source = self._processes[-1].stdout if self._processes else subprocess.DEVNULL
        child = subprocess.Popen(arguments, stdin=source, stdout=subprocess.PIPE, stderr=errors)
        if self._processes and self._processes[-1].stdout:
            self._processes[-1].stdout.close()
        self._processes.append(child)
        assert child.stdout is not None  # opened as a pipe above
        # From outside, after the start: code between fork and exec is not safe in a program with threads.
        if hasattr(resource, "prlimit"):
            size = limits.memory_mb * 1_000_000
            with suppress(ProcessLookupError):  # it may have ended already
                resource.prlimit(child.pid, resource.RLIMIT_AS, (size, size))
                resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (0, 0))
                resource.prlimit(child.pid, resource.RLIMIT_CORE, (0, 0))
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with suppress(OSError):  # a user's pipes may hold only so much together
                fcntl.fcntl(child.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.kill()
        for child in self._processes:
            child.wait()
            if child.stdout:
                child.stdout.close()
        os.close(self._errors)

    def reads(self) -> Iterator[tuple[bytes, bytes]]:
        """What came on standard output, and what came on standard error before that was written.

        Raises DecoderFailed where nothing comes for too long.
        """
        stdout = self._processes[-1].stdout
        assert stdout is not None  # opened as a pipe above
        output = stdout.fileno()
        poll = select.poll()
        poll.register(output, select.POLLIN)
        poll.register(self._errors, select.POLLIN)
        is_silent = has_ended = False
        while not has_ended:
            ready = [pipe for pipe, _ in poll.poll(self._stall_seconds * 1000)]
            if not ready:
                raise DecoderFailed(f"The decoder gave no audio for {self._stall_seconds:g} s.", FailureKind.TIMEOUT)
            data = os.read(output, PIPE_BYTES) if output in ready else b""
            has_ended = output in ready and not data
            errors = self._read_stderr()
            if errors is None and not is_silent:
                poll.unregister(self._errors)
                is_silent = True
            if data or errors:
                yield data, errors or b""

    def _read_stderr(self) -> bytes | None:
        """What came on standard error; None after its end."""
        try:
            read = os.read(self._errors, PIPE_BYTES)
        except BlockingIOError:
            return b""
        self.stderr_tail = (self.stderr_tail + read)[-STDERR_TAIL_BYTES:]
        return read or None

    def kill(self) -> None:
        """End it from any thread; its reader sees the end of the samples."""
        for child in self._processes:
            child.kill()

    def status(self) -> int:
        """Wait for the end -> 0 where all went well. Raises DecoderFailed where it does not come."""
        try:
            statuses = [child.wait(self._stall_seconds) for child in self._processes]
        except subprocess.TimeoutExpired:
            raise DecoderFailed("The decoder did not end.", FailureKind.TIMEOUT) from None
        self._read_stderr()
        return next(filter(None, statuses), 0)

    def detail(self, status: int) -> str:
        """The last error message, in brackets and without the path of our copy, else a bad exit status."""
        lines = [line for line in self.stderr_tail.decode(errors="replace").splitlines() if line.strip()]
        if lines:
            return f" ({lines[-1].rsplit('] ', 1)[-1].rsplit(': ', 1)[-1].strip()})"
        return f" (the decoder ended with status {status})" if status else ""


def read_blocks(child: DecoderChild, frame_bytes: int) -> Iterator[tuple[bytearray, bytes]]:
    """All that a child writes, in blocks of whole frames: a second or more, but for the last one.

    With each block, the end of what the child wrote to stderr before it had written all of the block. Raises
    DecoderFailed where it stalls, ends badly or writes nothing at all.
    """
    failure: DecoderFailed | None = None
    block, stderr, is_empty = bytearray(), b"", True
    least = SAMPLE_RATE * frame_bytes
    with child:
        try:
            for data, errors in child.reads():
                block += data
                stderr = (stderr + errors)[-PIPE_BYTES:]
                if len(block) >= least:
                    whole = len(block) // frame_bytes * frame_bytes
                    yield block[:whole], stderr
                    block, stderr, is_empty = block[whole:], b"", False
        except DecoderFailed as error:
            failure = error
        if block or stderr:
            yield block[: len(block) // frame_bytes * frame_bytes], stderr
        if failure:
            raise failure
        status = child.status()
        if status or (is_empty and not block):
            detail = child.detail(status)
            raise DecoderFailed(f"The decoder broke off{detail}.", detail=detail)
