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
TRANSCRIPT_HOURS = (6.0, 12.0, 24.0)
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
    """Each length with a word a chunk, and beside them what the words of some take when they end.

    Decoding 31 h of audio takes three minutes on two free cores.
    """
    yield from rows([peak(hours) for hours in HOURS], [transcript_megabytes(hours) for hours in TRANSCRIPT_HOURS])


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


@dataclass(frozen=True)
class TranscriptMemory:
    """What the words of an upload take when its audio is over, in MB."""

    hours: float
    worker: float
    """More than it had before."""
    rendering: float
    """All of the process that renders."""


def transcript_megabytes(hours: float) -> TranscriptMemory:
    """What assembling and rendering takes, with as many words as people say."""
    command = [sys.executable, "-m", "benchmarks.long_transcript", str(hours)]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return TranscriptMemory(hours, *map(float, found.split()))


def rows(peaks: Sequence[Peak], transcripts: Sequence[TranscriptMemory]) -> Iterator[Measurement]:
    """Each length against the reference; and the words of some, in MB."""
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
    for words in transcripts:
        peer = (
            f"{words.worker / words.hours:.1f} MB per hour of 150 words a minute, when decoding is over;"
            f" the process that renders {words.rendering:.0f} MB"
        )
        yield Measurement(f"length: the words of {_length(words.hours)}", words.worker, "MB", peer, "-", None)


def _length(hours: float) -> str:
    return f"{hours:g} h" if hours >= 1 else f"{hours * 60:.0f} min"
