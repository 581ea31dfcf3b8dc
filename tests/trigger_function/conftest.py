"""Recordings of a tone, made by FFmpeg once a session."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from zlib import crc32

import imageio_ffmpeg
import pytest

SECONDS = 5
Record = Callable[..., bytes]


def ffmpeg(*arguments: str) -> bytes:
    """Run FFmpeg; what it wrote to `pipe:1`."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "fatal", "-threads", "1", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def decoded_seconds(file: Path) -> float:
    """How long the sound of a file really is."""
    return len(ffmpeg("-i", str(file), "-map", "0:a", "-f", "s16le", "-ac", "1", "-ar", "8000", "pipe:1")) / 16_000


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """`record("m4a", "-c:a", "aac")`: the bytes of such a file, SECONDS of a tone at 44.1 kHz in one channel.

    `picture` adds that FFmpeg source as video; `streamed` writes the container to a pipe, as a live recorder does.
    """
    folder = tmp_path_factory.mktemp("recordings")

    @cache
    def make(suffix: str, *options: str, picture: str = "", streamed: bool = False, seconds: float = SECONDS) -> bytes:
        sources = [f"sine=frequency=440:duration={seconds}:sample_rate=44100"]
        if picture:
            sources.append(f"{picture}:duration={seconds}")
        inputs = [part for source in sources for part in ("-f", "lavfi", "-i", source)]
        if streamed:
            return ffmpeg(*inputs, *options, "-f", suffix, "pipe:1")
        file = folder / f"tone.{suffix}"
        ffmpeg(*inputs, *options, str(file))
        return file.read_bytes()

    return make


@pytest.fixture(scope="session")
def cover(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a small PNG image."""
    file = tmp_path_factory.mktemp("cover") / "cover.png"
    ffmpeg("-f", "lavfi", "-i", "color=red:size=64x64", "-frames:v", "1", str(file))
    return str(file)


@pytest.fixture(scope="session")
def large_cover(cover: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a PNG image of 12 MB."""
    head, end, tail = Path(cover).read_bytes().rpartition(struct.pack(">I", 0) + b"IEND")
    noise = b"prVt" + bytes(12_000_000)
    file = tmp_path_factory.mktemp("cover") / "large.png"
    file.write_bytes(head + struct.pack(">I", len(noise) - 4) + noise + struct.pack(">I", crc32(noise)) + end + tail)
    return str(file)
