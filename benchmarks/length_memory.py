"""Memory of the job against the length of an upload: everything real but the model, which answers at once."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.report import Measurement
from benchmarks.resident import PeakMemory
from benchmarks.runs import JobCloud, looped, run, worker_pid

HOURS = (1 / 6, 1.0, 6.0, 24.0)
REFERENCE_HOURS = 1.0
"""From here on, memory must not grow."""
MAX_GROWTH = 1.1
TIMEOUT_SECONDS = 1800.0


NULL_COMMAND = (sys.executable, "-m", "benchmarks.null_job")
"""The job without a model."""


@dataclass(frozen=True)
class Peak:
    """The largest memory of worker and decoders, for one upload in a new worker."""

    hours: float
    megabytes: float
    wall_seconds: float
    """From the worker's start to its message."""


def memory_against_length() -> Iterator[Measurement]:
    """Each length with a word a chunk, and beside it what the words of the longest take when it ends.

    Decoding 31 h of audio takes three minutes on two free cores.
    """
    yield from rows([peak(hours) for hours in HOURS], transcript_megabytes(max(HOURS)))


def peak(hours: float) -> Peak:
    """Memory for one upload so long."""
    with tempfile.TemporaryDirectory() as folder:
        path = looped(hours * 3600, Path(folder))
        with (
            JobCloud(Path(folder) / "cloud", command=NULL_COMMAND) as cloud,
            PeakMemory(partial(worker_pid, cloud)) as memory,
        ):
            done = run(cloud, path, timeout=TIMEOUT_SECONDS)
        return Peak(hours, memory.megabytes, done.wall_seconds)


def transcript_megabytes(hours: float) -> float:
    """What assembling and rendering takes, with as many words as people say."""
    command = [sys.executable, "-m", "benchmarks.long_transcript", str(hours)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def rows(peaks: Sequence[Peak], transcript: float) -> Iterator[Measurement]:
    """Each length against the reference; and the words of the longest, in MB."""
    (reference,) = (one for one in peaks if one.hours == REFERENCE_HOURS)
    for one in peaks:
        growth = one.megabytes / reference.megabytes
        held = one.hours > REFERENCE_HOURS
        yield Measurement(
            f"length: peak memory without model and words, {_length(one.hours)}",
            one.megabytes,
            "MB",
            f"{growth:.2f} x that of {_length(REFERENCE_HOURS)}; took {one.wall_seconds:.0f} s",
            f"<= {MAX_GROWTH} x that of {_length(REFERENCE_HOURS)}" if held else "-",
            growth <= MAX_GROWTH if held else None,
        )
    longest = max(one.hours for one in peaks)
    peer = f"{transcript / longest:.0f} MB per hour of 150 words a minute, when decoding is over"
    yield Measurement(f"length: the transcript of {_length(longest)}", transcript, "MB", peer, "-", None)


def _length(hours: float) -> str:
    return f"{hours:g} h" if hours >= 1 else f"{hours * 60:.0f} min"
