"""A decoder at work: a child process whose samples and complaints are read as they come.

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

COMPLAINTS_BYTES = 4096
"""The end of a decoder's standard error that is kept."""


@dataclass(frozen=True)
class DecoderLimits:
    """What one decoder may use."""

    stall_seconds: float = 60.0
    memory_mb: int = 2000


class DecoderDied(EngineFailed):
    """The decoder ended before the file did; the samples that came until then are sound."""

    def __init__(self, reason: str, kind: FailureKind | None = None, *, detail: str = "") -> None:
        super().__init__(reason, kind)
        self.detail = detail
        """What the decoder complained of, in brackets; empty where it said nothing."""


class DecoderChild:
    """A running ffmpeg, or a pipe of them. A context manager: on the way out all are ended and reaped."""

    def __init__(self, commands: Sequence[list[str]], limits: DecoderLimits) -> None:
        self.complaints = b""
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
        """What came on standard output, and what was complained of before that was written.

        Raises DecoderDied where nothing comes for too long.
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
                raise DecoderDied(f"The decoder gave no sound for {self._stall_seconds:g} s.", FailureKind.TIMEOUT)
            data = os.read(output, PIPE_BYTES) if output in ready else b""
            has_ended = output in ready and not data
            complaint = self._listen()
            if complaint is None and not is_silent:
                poll.unregister(self._errors)
                is_silent = True
            if data or complaint:
                yield data, complaint or b""

    def _listen(self) -> bytes | None:
        """What came on standard error; None after its end."""
        try:
            said = os.read(self._errors, PIPE_BYTES)
        except BlockingIOError:
            return b""
        self.complaints = (self.complaints + said)[-COMPLAINTS_BYTES:]
        return said or None

    def kill(self) -> None:
        """End it from any thread; whoever reads sees the end of the samples."""
        for child in self._processes:
            child.kill()

    def status(self) -> int:
        """Wait for the end -> 0 where all went well. Raises DecoderDied where it does not come."""
        try:
            statuses = [child.wait(self._stall_seconds) for child in self._processes]
        except subprocess.TimeoutExpired:
            raise DecoderDied("The decoder did not end.", FailureKind.TIMEOUT) from None
        self._listen()
        return next(filter(None, statuses), 0)

    def detail(self, status: int) -> str:
        """The last complaint, in brackets and without the path of our copy, else a bad exit status."""
        lines = [line for line in self.complaints.decode(errors="replace").splitlines() if line.strip()]
        if lines:
            return f" ({lines[-1].rsplit('] ', 1)[-1].rsplit(': ', 1)[-1].strip()})"
        return f" (the decoder ended with status {status})" if status else ""


def blocks(child: DecoderChild, frame_bytes: int) -> Iterator[tuple[bytearray, bytes]]:
    """All that a child writes, in blocks of whole frames: a second or more, but for the last one.

    With each block, the end of what the child complained of before it had written all of it. Raises DecoderDied where
    it stalls, ends badly or writes nothing at all.
    """
    died: DecoderDied | None = None
    block, said, is_empty = bytearray(), b"", True
    least = SAMPLE_RATE * frame_bytes
    with child:
        try:
            for data, complaint in child.reads():
                block += data
                said = (said + complaint)[-PIPE_BYTES:]
                if len(block) >= least:
                    whole = len(block) // frame_bytes * frame_bytes
                    yield block[:whole], said
                    block, said, is_empty = block[whole:], b"", False
        except DecoderDied as error:
            died = error
        if block or said:
            yield block[: len(block) // frame_bytes * frame_bytes], said
        if died:
            raise died
        status = child.status()
        if status or (is_empty and not block):
            detail = child.detail(status)
            raise DecoderDied(f"The decoder broke off{detail}.", detail=detail)
