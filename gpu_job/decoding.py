"""Decoding: any upload -> 16 kHz mono samples, streamed from an ffmpeg child process.

A child, because a codec's crash must not end the worker, and because limits on memory and time can be set on it. It
may open nothing but the one file: demuxers and protocols are allow-listed.
"""

from __future__ import annotations

import os
import resource
import selectors
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

import imageio_ffmpeg
import numpy as np

from gpu_job.audio import SAMPLE_RATE, Samples
from shared.failures import BadMedia, EngineFailed, FailureKind
from shared.media_formats import DEMUXERS

BLOCK_BYTES = 4 * SAMPLE_RATE
"""One second of float32 samples."""

MAX_ALLOCATION = 256 * 2**20
"""Bytes that one field of a file's header may have the decoder reserve."""

COMPLAINTS_BYTES = 64 * 1024
"""How much a decoder may write to a file, and so say on standard error."""


@dataclass(frozen=True)
class DecoderLimits:
    """What one decoder may use."""

    stall_seconds: float = 60.0
    memory_mb: int = 2000


class DecoderDied(EngineFailed):
    """The decoder ended before the file did; the samples that came until then are sound."""


@cache
def ffmpeg() -> str:
    """Path of the ffmpeg program that the imageio-ffmpeg wheel brings."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def command(path: Path) -> list[str]:
    """The decoder's command line; samples go to its standard output."""
    return [
        ffmpeg(), "-nostdin", "-hide_banner", "-v", "error", "-max_alloc", str(MAX_ALLOCATION),
        "-protocol_whitelist", "file,pipe",
        "-format_whitelist", ",".join(DEMUXERS),
        "-i", f"file:{path}",
        "-map", "0:a:0", "-vn", "-sn", "-dn",
        # Late starts and holes in the timestamps become silence, so that a word's time is the player's time.
        "-af", f"aresample={SAMPLE_RATE}:async=1:first_pts=0",
        "-ac", "1", "-f", "f32le", "pipe:1",
    ]  # fmt: skip


def decode(path: Path, limits: DecoderLimits) -> Iterator[Samples]:
    """Blocks of one second of samples (the last is shorter), until the file's end.

    Raises BadMedia where nothing can be decoded, DecoderDied where the decoder stalls, crashes or breaks off.
    """
    decoded = 0
    with tempfile.TemporaryFile() as errors, _child(command(path), errors, limits) as child:
        for block in _blocks(child, limits.stall_seconds):
            decoded += len(block)
            yield block
        status = child.wait()
        if decoded == 0:
            raise BadMedia(f"No sound could be decoded from the file{_last_line(errors, status)}.")
        if status != 0:
            raise DecoderDied(f"The decoder broke off{_last_line(errors, status)}.")


@contextmanager
def _child(arguments: list[str], errors: IO[bytes], limits: DecoderLimits) -> Iterator[subprocess.Popen[bytes]]:
    """A running decoder, ended and reaped on the way out."""
    # Python ignores SIGXFSZ; left so in the child, a complaint that is too long is cut off instead of ending it.
    child = subprocess.Popen(
        arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, restore_signals=False
    )
    try:
        # From outside, after the start: code between fork and exec is not safe in a program with threads.
        if hasattr(resource, "prlimit"):
            size = limits.memory_mb * 1_000_000
            with suppress(ProcessLookupError):  # it may have ended already
                resource.prlimit(child.pid, resource.RLIMIT_AS, (size, size))
                resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (COMPLAINTS_BYTES, COMPLAINTS_BYTES))
                resource.prlimit(child.pid, resource.RLIMIT_CORE, (0, 0))
        yield child
    finally:
        child.kill()
        child.wait()
        if child.stdout:
            child.stdout.close()


def _blocks(child: subprocess.Popen[bytes], stall_seconds: float) -> Iterator[Samples]:
    assert child.stdout is not None  # opened as a pipe above
    pipe = child.stdout.fileno()
    pending = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            if not selector.select(timeout=stall_seconds):
                raise DecoderDied(f"The decoder gave no sound for {stall_seconds:g} s.", FailureKind.TIMEOUT)
            data = os.read(pipe, BLOCK_BYTES)
            pending += data
            while len(pending) >= BLOCK_BYTES:
                yield _samples(bytes(pending[:BLOCK_BYTES]))
                del pending[:BLOCK_BYTES]
            if not data:
                if len(pending) >= 4:
                    yield _samples(bytes(pending[: len(pending) // 4 * 4]))
                return


def _samples(data: bytes) -> Samples:
    """Raw little-endian float32 -> samples without NaN and infinity, limited to [-1, 1]."""
    samples = np.frombuffer(data, "<f4")
    clean: Samples = np.clip(np.nan_to_num(samples, posinf=1.0, neginf=-1.0), -1.0, 1.0).astype(np.float32, copy=False)
    return clean


def _last_line(errors: IO[bytes], status: int) -> str:
    """What the decoder complained of last, without the path of our copy."""
    errors.seek(0)
    lines = [line for line in errors.read().decode(errors="replace").splitlines() if line.strip()]
    if not lines:
        return f" (the decoder ended with status {status})" if status else ""
    return f" ({lines[-1].rsplit('] ', 1)[-1].rsplit(': ', 1)[-1].strip()})"
