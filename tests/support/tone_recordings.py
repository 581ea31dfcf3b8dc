"""Recordings of a tone and small pictures, made by FFmpeg."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from zlib import crc32

import imageio_ffmpeg

SECONDS = 5
Record = Callable[..., bytes]
"""`record("m4a", "-c:a", "aac")`: the bytes of such a file."""


def ffmpeg(*arguments: str) -> bytes:
    """Run FFmpeg; what it wrote to `pipe:1`."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "fatal", "-threads", "1", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def decoded_seconds(file: Path) -> float:
    """How long the sound of a file really is."""
    return len(ffmpeg("-i", str(file), "-map", "0:a", "-f", "s16le", "-ac", "1", "-ar", "8000", "pipe:1")) / 16_000


def tone_recorder(folder: Path) -> Record:
    """`record("m4a", "-c:a", "aac")`: the bytes of such a file, SECONDS of a tone at 44.1 kHz in one channel.

    `picture` adds that FFmpeg source as video; `streamed` writes the container to a pipe, as a live recorder does.
    """

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


def red_png(file: Path) -> Path:
    """A small picture."""
    ffmpeg("-f", "lavfi", "-i", "color=red:size=64x64", "-frames:v", "1", str(file))
    return file


def with_private_chunk(png: Path, file: Path, size: int = 12_000_000) -> Path:
    """The same picture with so many bytes that no decoder reads."""
    head, end, tail = png.read_bytes().rpartition(struct.pack(">I", 0) + b"IEND")
    noise = b"prVt" + bytes(size)
    file.write_bytes(head + struct.pack(">I", len(noise) - 4) + noise + struct.pack(">I", crc32(noise)) + end + tail)
    return file
