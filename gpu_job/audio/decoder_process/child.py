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
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from gpu_job.audio.decoder.records import Account, DecodingRequest, Record, Refusal
from gpu_job.audio.decoder_process.forks import FORKS
from gpu_job.audio.decoder_process.record_reader import RecordReader
from gpu_job.audio.decoder_process.start import DecoderLimits, start
from gpu_job.fetch.arrival import ArrivalMap
from shared.errors import EngineFailed, FailureKind

MOST_STDERR_BYTES = 64 * 1024
"""A pipe holds no more."""
STDERR_TAIL_BYTES = 4096
"""How much of the end of a decoder's standard error is kept."""


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


class DecoderChild:
    """A running decoder. A context manager: on the way out it is ended and reaped."""

    def __init__(self, request: DecodingRequest, limits: DecoderLimits) -> None:
        self._stall_seconds = limits.stall_seconds
        self._is_ended = False
        self._arrival = ArrivalMap(Path(request.arrival)) if request.arrival is not None else None
        self._arrived = 0
        """Parts of the file, when it was looked at last."""
        self._child = start(request, limits)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.kill()
        status = self._child.wait()
        if sys.platform != "win32" and status < 0 and status != -signal.SIGKILL:
            FORKS.renew()  # it crashed
        for pipe in (self._child.stdout, self._child.stderr):
            if pipe:
                pipe.close()

    def records(self) -> Iterator[Record]:
        """All that it writes; the last record is an account or a refusal.

        Raises DecoderFailed where nothing comes for too long, and where it ends without either; DecoderKilled where it
        was not this process that killed it.
        """
        assert self._child.stdout is not None  # opened as a pipe
        reader = RecordReader()
        record: Record | None = None
        with FileIO(self._child.stdout.fileno(), closefd=False) as output:
            while True:
                count = self._read_into(reader.room(), output)
                while count is None and self._may_wait_for_bytes():
                    count = self._read_into(reader.room(), output)
                if not count:
                    # What was heard until then is good, however it ended.
                    for record in reader.end():
                        yield record
                if count is None:
                    reason = f"The decoder gave no audio for {self._stall_seconds:g} s."
                    raise DecoderFailed(reason, FailureKind.TIMEOUT)
                if not count:
                    break
                for record in reader.take(count):
                    yield record
        if not isinstance(record, Account | Refusal):
            detail = self._ending()
            raise DecoderFailed(f"The decoder broke off{detail}.", detail=detail)

    def _may_wait_for_bytes(self) -> bool:
        """Whether somebody waits for bytes of a file that arrives, or some have come since this was asked last."""
        if self._arrival is None:
            return False
        before, self._arrived = self._arrived, self._arrival.arrived
        return self._arrived != before or self._arrival.is_waited_for

    def _read_into(self, room: memoryview, output: FileIO) -> int | None:
        """How many bytes came; 0 at the end; None where nothing comes for too long."""
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(output, select.POLLIN)
            return output.readinto(room) if poll.poll(self._stall_seconds * 1000) else None
        # Windows waits for sockets only: a child that is silent for too long is ended, which ends the pipe.
        silent = threading.Event()

        def end() -> None:
            silent.set()
            self.kill()

        timer = threading.Timer(self._stall_seconds, end)
        timer.start()
        try:
            count = output.readinto(room)
        finally:
            timer.cancel()
        return None if silent.is_set() else count

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
        if sys.platform != "win32":
            os.set_blocking(self._child.stderr.fileno(), False)  # what it started may hold the pipe, and write on
        complaints = self._child.stderr.read(MOST_STDERR_BYTES) or b""
        written = complaints[-STDERR_TAIL_BYTES:].decode(errors="replace")
        lines = [line.strip() for line in written.splitlines() if line.strip()]
        if status < 0 or not lines:
            return f" (the decoder ended with status {status})"
        return f" ({lines[-1]})"
