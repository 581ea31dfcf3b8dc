"""Build ffmpeg's command lines: any upload -> 16 kHz float32 samples on the player's clock.

ffmpeg may open nothing but the one file: demuxers and protocols are allow-listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import imageio_ffmpeg

from gpu_job.audio.samples import SAMPLE_RATE
from shared.media import DEMUXERS

MAX_ALLOCATION = 256 * 2**20
"""Bytes that one field of a file's header may have the decoder reserve."""


@dataclass(frozen=True)
class Selection:
    """What is read of a file."""

    split: int | None = None
    """Number of channels to keep separate, from the first; None: the mix of all."""
    stream: int | None = None
    """FFmpeg's index of the audio stream; None: the first."""
    only: int | None = None
    """This channel instead of the mix."""
    read_video: bool = False
    """Read the video stream too, and discard it: in MPEG, ffmpeg starts the clock with the first stream it reads."""

    @property
    def channels(self) -> int:
        """Channels in the stream of samples."""
        return self.split or 1

    @property
    def frame_bytes(self) -> int:
        """Of one float32 sample of each channel."""
        return 4 * self.channels


@cache
def ffmpeg() -> str:
    """Path of the ffmpeg program that the imageio-ffmpeg wheel brings."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def command(path: Path, selection: Selection, start: int = 0, frames: int | None = None) -> list[str]:
    """One decoder of `frames` frames, or of all, from the frame `start` on. Samples go to its standard output."""
    where = ["-ss", _seconds(start)] if start else []
    length = [] if frames is None else ["-t", _seconds(frames)]
    # Late starts and jumps in the timestamps become silence, so that a word's time is the player's time.
    discarded = ["-map", "0:v:0", "-c:v", "copy", "-f", "null", "-"] if selection.read_video else []
    return [
        *_opened(path, where, selection.stream),
        *_filtered(selection, ":async=1:first_pts=0"),
        *length,
        *_RAW,
        *discarded,
    ]


def format_change_commands(path: Path, selection: Selection, *, has_clock: bool) -> list[list[str]]:
    """Decoders in a pipe for a file whose sample rate or channels change on the way.

    At a change ffmpeg sets up its filters anew, and `first_pts=0` would insert all the time gone by once more. So the
    first one only brings everything to one form, with its timestamps, and the second one keeps the clock. Where the
    container has no timestamps (`has_clock`), ffmpeg's guesses are wrong after a change, and samples are only counted.
    """
    if not has_clock:
        return [[*_opened(path, [], selection.stream), *_filtered(selection, ""), *_RAW]]
    form = [
        *_opened(path, [], selection.stream),
        *_filtered(selection, ":async=1", is_last=False),
        "-c:a",
        "pcm_f32le",
        "-f",
        "nut",
        "pipe:1",
    ]
    clock = [*_program(), "-copyts", "-protocol_whitelist", "pipe", "-f", "nut", "-i", "pipe:0"]
    return [form, [*clock, "-af", f"aresample={SAMPLE_RATE}:async=1:first_pts=0", *_RAW]]


# Half a second and 32 KiB at a time: else every codec frame goes from thread to thread and is written for itself.
_GATHERED = ",asetnsamples=n=8000:p=0"
_RAW = ["-flush_packets", "0", "-f", "f32le", "pipe:1"]


def _program() -> list[str]:
    # By default two thirds of bad packets are a failure: of a window, where of the whole file they are a small part.
    limits = ["-max_alloc", str(MAX_ALLOCATION), "-max_error_rate", "1"]
    return [ffmpeg(), "-hide_banner", "-v", "error", *limits, "-threads", "1"]


def _opened(path: Path, where: list[str], stream: int | None) -> list[str]:
    allowed = ["-protocol_whitelist", "file,pipe", "-format_whitelist", ",".join(DEMUXERS)]
    source = ["-i", f"file:{path}", "-map", "0:a:0" if stream is None else f"0:{stream}", "-vn", "-sn", "-dn"]
    return [*_program(), "-nostdin", *allowed, *where, *source]


def _filtered(selection: Selection, clock: str, *, is_last: bool = True) -> list[str]:
    # For float samples ffmpeg lets the weights of a mix add up to more than 1, and loud passages would clip.
    resampled = f"aresample={SAMPLE_RATE}{clock}:rematrix_maxval=1{_GATHERED if is_last else ''}"
    if selection.only is not None:
        return ["-af", f"pan=mono|c0=c{selection.only},{resampled}"]
    if selection.split is None:
        return ["-af", resampled, "-ac", "1"]
    # By number: a conversion between layouts would mix some channels and drop others.
    picked = "|".join(f"c{number}=c{number}" for number in range(selection.split))
    return ["-af", f"pan={selection.split}c|{picked},{resampled}"]


def _seconds(frames: int) -> str:
    return f"{frames / SAMPLE_RATE:.6f}"
