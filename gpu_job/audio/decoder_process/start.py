"""Start a decoder's process, within its limits: forked where that can be, else as a command of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Protocol

from gpu_job.audio.decoder.records import DecodingRequest
from gpu_job.audio.decoder_process.command import child_environment, module_command
from gpu_job.audio.decoder_process.forks import FORKS

if sys.platform != "win32":
    # Windows has neither: a child has no limits there, and its pipe the size that it comes with.
    import fcntl
    import resource

PIPE_BYTES = 256 * 1024
"""How far a child may be ahead of its reader: 4 s of mono samples."""


@dataclass(frozen=True)
class DecoderLimits:
    """What one decoder may use."""

    stall_seconds: float = 60.0
    memory_mb: int = 2000


class DecoderProcess(Protocol):
    """A child of this process, as `subprocess.Popen` has it."""

    pid: int

    @property
    def stdout(self) -> IO[bytes] | None:
        """Its records."""
        ...

    @property
    def stderr(self) -> IO[bytes] | None:
        """What it complains of."""
        ...

    def kill(self) -> None:
        """SIGKILL, from any thread; nothing where it has ended."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, -N by signal N, as often as it is asked for. Raises TimeoutExpired after so many seconds."""
        ...


def start(request: DecodingRequest, limits: DecoderLimits) -> DecoderProcess:
    """A decoder at work on the request."""
    copy = FORKS.fork()
    if copy is None:
        return start_command(command(request), limits)
    _limit(copy, limits)
    copy.give(request.to_json())
    return copy


def start_command(asked: Sequence[str], limits: DecoderLimits) -> DecoderProcess:
    """As `start`, of any program that writes what a decoder does."""
    quiet, pipe = subprocess.DEVNULL, subprocess.PIPE
    child = subprocess.Popen(asked, stdin=quiet, stdout=pipe, stderr=pipe, env=child_environment(os.environ))
    # From outside, after the start: code between fork and exec is not safe in a program with threads.
    _limit(child, limits)
    return child


def command(request: DecodingRequest) -> list[str]:
    """The command line of a decoder that is not forked."""
    return module_command("gpu_job.audio.decoder", request.to_json())


def _limit(child: DecoderProcess, limits: DecoderLimits) -> None:
    if sys.platform == "win32":
        return
    if hasattr(resource, "prlimit"):
        size = limits.memory_mb * 1_000_000
        with suppress(ProcessLookupError):  # it may have ended already
            resource.prlimit(child.pid, resource.RLIMIT_AS, (size, size))
            resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (0, 0))
            resource.prlimit(child.pid, resource.RLIMIT_CORE, (0, 0))
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        assert child.stdout is not None  # opened as a pipe
        with suppress(OSError):  # a user's pipes may hold only so much together
            fcntl.fcntl(child.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
