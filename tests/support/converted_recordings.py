"""The shipped recordings in other formats."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg

from infra.recordings import recording

Convert = Callable[..., Path]
"""`convert("long_seen", "a.mp3", *options)`: a shipped recording as another file, options before its input."""


def converter(folder: Path) -> Convert:
    """Makes the files in `folder`."""

    def convert(source: str, name: str, *before: str, after: tuple[str, ...] = ()) -> Path:
        path = folder / name
        command = [
            imageio_ffmpeg.get_ffmpeg_exe(),
            "-nostdin",
            "-v",
            "error",
            "-y",
            *before,
            "-i",
            str(recording(source).path),
            *after,
        ]
        subprocess.run([*command, str(path)], check=True)
        return path

    return convert
