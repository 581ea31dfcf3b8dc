"""The front end: decoding an hour, its memory with the decoders', and the search for cuts."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from benchmarks.report import Measurement
from benchmarks.resident import family_megabytes
from benchmarks.runs import HOUR, hour
from gpu_job.audio.chunker import chunks
from gpu_job.audio.cuts import CutRules
from gpu_job.audio.decode import decode
from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.parallel import usable_cores
from gpu_job.audio.samples import SAMPLE_RATE
from infra.recordings import recording
from shared.media import Media

RUNS = 5
CUT_MINUTES = 45
_KINDS = {"mp3": ("mp3", "mp3"), "m4a": ("mov,mp4,m4a,3gp,3g2,mj2", "aac")}
_DECODE = """
import pathlib, sys
from gpu_job.audio.decode import decode
from gpu_job.audio.decode_options import DecodeOptions
from shared.media import Media
for _ in decode(pathlib.Path(sys.argv[1]), DecodeOptions(media=Media.model_validate_json(sys.argv[2]))): pass
"""


def decoding() -> Iterator[Measurement]:
    """An hour of MP3 and of AAC, against one ffmpeg process and against one for each core on ranges of its own.

    The peers write to nowhere; all three take turns, so that a busy machine is as busy for each.
    """
    cores = usable_cores()
    with tempfile.TemporaryDirectory() as folder:
        for suffix in _KINDS:
            path = hour(Path(folder), suffix)
            media = _media(path, suffix)

            def ours(path: Path = path, media: Media = media) -> None:
                for _ in decode(path, DecodeOptions(media=media)):
                    pass

            def single(path: Path = path) -> None:
                _wait([_ffmpeg(path)])

            def split(path: Path = path) -> None:
                part = HOUR // cores
                _wait([_ffmpeg(path, "-ss", str(part * number), "-t", str(part)) for number in range(cores)])

            mine, one, ranges = _medians(ours, single, split)
            peer = f"one ffmpeg: {one:.2f} s, us: {mine:.2f} s"
            yield Measurement(f"front end: 1 h {suffix}, speed", one / mine, "x", peer, ">= 1.5 x", one / mine >= 1.5)
            peer = f"{cores} ffmpegs on ranges: {ranges:.2f} s"
            name = f"front end: 1 h {suffix}, time / split ffmpegs' time"
            yield Measurement(name, mine / ranges, "x", peer, "<= 1.1 x", mine / ranges <= 1.1)
            peak = _peak_megabytes([sys.executable, "-c", _DECODE, str(path), media.model_dump_json()])
            alone = _peak_megabytes(_command(path))
            peer = f"one ffmpeg: {alone:.0f} MB"
            yield Measurement(f"front end: 1 h {suffix}, memory", peak, "MB", peer, "< 250 MB", peak < 250)


def cut_search() -> Iterator[Measurement]:
    """Levels and cuts of 45 minutes that are decoded already."""
    blocks = list(decode(recording("long_seen.opus").path))
    wanted = CUT_MINUTES * 60 * SAMPLE_RATE
    repeated = (blocks * (wanted // sum(map(len, blocks)) + 1))[: wanted // len(blocks[0])]

    def search() -> None:
        for _ in chunks(iter(repeated), CutRules()):
            pass

    def levels_alone() -> None:
        for block in repeated:
            np.square(block).mean()

    seconds, peer = _medians(search, levels_alone)
    name = f"front end: cuts of {CUT_MINUTES} min"
    yield Measurement(name, seconds, "s", f"mean squares alone: {peer:.2f} s", "< 0.5 s", seconds < 0.5)


def _media(path: Path, suffix: str) -> Media:
    container, codec = _KINDS[suffix]
    return Media(
        container=container,
        codec=codec,
        duration_seconds=HOUR,
        sample_rate_hz=44_100,
        channels=2,
        size_bytes=path.stat().st_size,
    )


def _command(path: Path, *part: str) -> list[str]:
    form = ["-vn", "-ar", str(SAMPLE_RATE), "-ac", "1", "-f", "f32le", "pipe:1"]
    return [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", *part, "-i", str(path), *form]


def _ffmpeg(path: Path, *part: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(_command(path, *part), stdout=subprocess.DEVNULL)


def _wait(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.wait()


def _medians(*works: Callable[[], None]) -> list[float]:
    """Seconds that each takes; they take turns."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(RUNS):
        for work, taken in zip(works, times, strict=True):
            began = time.perf_counter()
            work()
            taken.append(time.perf_counter() - began)
    return [statistics.median(taken) for taken in times]


def _peak_megabytes(command: list[str]) -> float:
    """The largest sum of RSS of a process and its children, looked at every 10 ms."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, family_megabytes(process.pid))
        time.sleep(0.01)
    return peak
