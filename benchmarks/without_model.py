"""Everything but the model: what an hour of audio costs in processor time, with an engine that answers at once.

Processor seconds, for wall time says as much about what else the machine does. The worker's are those of one process
with one interpreter, whose lock is the limit of the whole job where the engine is fast and cores are many.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

from benchmarks.cpu_seconds import cpu_seconds, cpu_seconds_of, cpu_seconds_of_living_children
from benchmarks.gil_clock import GilClock
from benchmarks.null_job import FLAG, GIL_FLAG
from benchmarks.report import Measurement
from benchmarks.runs import JobCloud, looped, transcribed, worker_pid

HOURS = 2
WARM_UP_SECONDS = 60.0
"""Of audio: what is imported and opened once is no part of an hour's cost."""
IDLE_SECONDS = 5.0
TIMEOUT_SECONDS = 900.0
SETTINGS = {"WORK_IDLE_SECONDS": "30", "HEARTBEAT_SECONDS": "15", "LEASE_SECONDS": "90"}
"""The worker stays between uploads, and renews its claims as often as a deployment's."""
CORES = 8
WORKER_TARGET, GIL_TARGET, DECODER_TARGET, JOB_TARGET = 2.0, 0.8, 1.2, 4_000.0


@dataclass(frozen=True)
class Cost:
    """Of an hour of audio, in processor seconds."""

    worker: float
    """Of the worker's own process."""
    decoders: float
    ffmpeg: float
    """Of one plain ffmpeg that decodes the same hour to 16 kHz mono."""
    idle_share: float
    """What the worker takes in a second without work."""
    rendering: float
    """Of the process that renders long transcripts, and of the one that forks decoders."""
    gil_share: float | None
    """Of the worker's processor seconds, those under its interpreter's lock; None where it cannot be seen."""

    @property
    def gil(self) -> float:
        """Processor seconds under the lock; all of the worker's where that is not known."""
        return self.worker * (1.0 if self.gil_share is None else self.gil_share)

    @property
    def by_cores(self) -> float:
        """Seconds of audio per second where CORES do nothing else."""
        return CORES * 3600 / (self.worker + self.decoders + self.rendering)

    @property
    def by_gil(self) -> float:
        """Seconds of audio per second where the one interpreter does nothing else."""
        return 3600 / self.gil

    @property
    def ceiling(self) -> float:
        """Seconds of audio per second on CORES: the smaller of both."""
        return min(self.by_cores, self.by_gil)


def without_model() -> Iterator[Measurement]:
    """An hour of Ogg Opus, as often as HOURS says, all at once."""
    yield from rows(cost())


def cost(audio_seconds: float = 3600.0, copies: int = HOURS) -> Cost:
    """Measure it."""
    command = [sys.executable, "-m", "benchmarks.null_job", FLAG]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clock = GilClock.made(folder)
        if clock is not None:
            command.append(f"{GIL_FLAG}{folder}")
        path = looped(audio_seconds, folder)
        plain = cpu_seconds_of(plain_ffmpeg(path))
        with JobCloud(folder / "cloud", command=tuple(command), **SETTINGS) as cloud:
            transcribed(cloud, looped(min(WARM_UP_SECONDS, audio_seconds / 2), folder), 1, TIMEOUT_SECONDS)
            pid = worker_pid(cloud)
            assert pid is not None  # it has transcribed
            resting = cpu_seconds(pid)
            time.sleep(IDLE_SECONDS)
            looked = clock and clock.looks()
            before = cpu_seconds(pid)
            transcribed(cloud, path, copies, TIMEOUT_SECONDS)
            after = cpu_seconds(pid)
            gil_share = (clock.looks() - looked).share if clock and looked else None
            rendering = cpu_seconds_of_living_children(pid)
    hours = copies * audio_seconds / 3600
    spent, idle = after - before, (before - resting).own / IDLE_SECONDS
    return Cost(
        worker=spent.own / hours,
        decoders=spent.children / hours,
        ffmpeg=plain * 3600 / audio_seconds,
        idle_share=idle,
        rendering=rendering / hours,
        gil_share=gil_share,
    )


def plain_ffmpeg(path: Path) -> list[str | Path]:
    """Decode to 16 kHz mono, to nowhere."""
    output = ["-ar", "16000", "-ac", "1", "-f", "f32le", "-y", "/dev/null"]
    return [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-threads", "1", "-i", path, *output]


def rows(found: Cost) -> Iterator[Measurement]:
    """Beside their targets."""
    worker, ratio = found.worker, found.decoders / found.ffmpeg
    spent = f"{worker:.2f} + {found.decoders:.1f} + {found.rendering:.2f}"
    yield Measurement(
        "everything but the model: worker, an hour of audio",
        worker,
        "CPU s",
        f"{found.idle_share:.3f} CPU s a second without work are in it",
        f"<= {WORKER_TARGET} CPU s",
        worker <= WORKER_TARGET,
    )
    if found.gil_share is not None:
        yield Measurement(
            "everything but the model: under the worker's GIL, an hour of audio",
            found.gil,
            "CPU s",
            f"{100 * found.gil_share:.0f} % of the worker's",
            f"<= {GIL_TARGET} CPU s",
            found.gil <= GIL_TARGET,
        )
    yield Measurement(
        "everything but the model: decoders / plain ffmpeg",
        ratio,
        "x",
        f"{found.decoders:.1f} CPU s an hour of Opus, with the count of all packets; ffmpeg {found.ffmpeg:.1f} s",
        f"<= {DECODER_TARGET} x",
        ratio <= DECODER_TARGET,
    )
    yield Measurement(
        f"everything but the model: whole job on {CORES} cores, by these figures",
        found.ceiling,
        "x",
        f"{CORES} cores / ({spent}) CPU s an hour: {found.by_cores:,.0f} x; "
        f"one interpreter / {found.gil:.2f} s: {found.by_gil:,.0f} x",
        f">= {JOB_TARGET:,.0f} x",
        found.ceiling >= JOB_TARGET,
    )
