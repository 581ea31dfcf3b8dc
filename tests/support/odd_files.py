"""Files as they should not be, and as they seldom are: each is made in a folder of its own."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np

from gpu_job.audio.decode import decode
from gpu_job.audio.samples import Samples
from infra.recordings import Recording, recording
from shared.options.metadata_keys import CHANNELS_METADATA
from tests.support.sounds import make, raw

MEMO, LECTURE, LONG = recording("memo"), recording("lecture"), recording("long_seen")
LONG_SECONDS = 40.0
DAMAGE = (0.45, 0.55)
"""Overwritten stretch, in shares of the file's length."""
SILENT_HOURS = 2
FLOAT = ("-c:a", "pcm_f32le")
DURATION_ELEMENT = b"\x44\x89\x88"
"""Matroska's id and size before the length in milliseconds."""

Made = Callable[[Path], Path]
"""Makes a file in a folder."""


@cache
def sound(of: Recording) -> Samples:
    """Its samples at 16 kHz."""
    return np.concatenate(list(decode(of.path)))


def wave(folder: Path, frames: Samples, *codec: str, name: str = "a.wav") -> Path:
    return make(folder / name, *raw(folder / "raw", frames), *codec)


def not_numbers(folder: Path) -> Path:
    """NaN and infinity, in runs where nobody speaks and as single samples everywhere."""
    spoilt = np.concatenate([np.full(800, np.nan, np.float32), sound(MEMO), np.full(800, np.inf, np.float32)])
    spoilt[5000::4000] = np.nan
    return wave(folder, spoilt, *FLOAT)


def clipped(folder: Path) -> Path:
    return wave(folder, 6.0 * sound(MEMO), "-c:a", "pcm_s16le")


def with_offset(folder: Path) -> Path:
    return wave(folder, sound(MEMO) + np.float32(0.3), *FLOAT)


def over_the_phone(folder: Path) -> Path:
    return wave(folder, sound(MEMO), "-ar", "8000", "-c:a", "pcm_mulaw")


def in_the_cinema(folder: Path) -> Path:
    """7.1 at 96 kHz, the voice in the centre."""
    return wave(folder, sound(MEMO), "-ar", "96000", "-af", "pan=7.1|FC=c0", "-c:a", "pcm_s24le")


def one_sample(folder: Path) -> Path:
    return wave(folder, np.array([0.5], np.float32), *FLOAT)


def long_silence(folder: Path) -> Path:
    silent = ("-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono", "-t", str(3600 * SILENT_HOURS))
    return make(folder / "a.flac", *silent, "-frame_size", "65000")


def stating(share: float) -> Made:
    """A Matroska file whose header states so many times its length."""

    def made(folder: Path) -> Path:
        path = wave(folder, sound(MEMO), "-c:a", "libopus", name="a.mka")
        data = bytearray(path.read_bytes())
        at = data.index(DURATION_ELEMENT) + len(DURATION_ELEMENT)
        (milliseconds,) = struct.unpack_from(">d", data, at)
        struct.pack_into(">d", data, at, share * milliseconds)
        path.write_bytes(data)
        return path

    return made


def changing_rate(folder: Path) -> Path:
    parts = [wave(folder, sound(MEMO), "-ar", rate, name=f"{rate}.mp3") for rate in ("44100", "22050")]
    path = folder / "a.mp3"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def overwritten(path: Path, first: int, last: int) -> Path:
    data = bytearray(path.read_bytes())
    data[first:last] = random.Random(7).randbytes(last - first)
    path.write_bytes(data)
    return path


def damaged_inside(folder: Path) -> Path:
    path = make(folder / "a.opus", "-t", str(LONG_SECONDS), "-i", str(LONG.path), "-c:a", "copy")
    first, last = (int(share * path.stat().st_size) for share in DAMAGE)
    return overwritten(path, first, last)


def header_alone(folder: Path) -> Path:
    """Sound whose every codec frame is overwritten."""
    path = wave(folder, sound(MEMO), "-c:a", "aac", "-movflags", "faststart", name="a.m4a")
    return overwritten(path, path.read_bytes().index(b"mdat") + 4, path.stat().st_size)


def damaged_header(folder: Path) -> Path:
    path = wave(folder, sound(MEMO), "-c:a", "libopus", name="a.opus")
    return overwritten(path, 100, path.stat().st_size)


def two_speakers(folder: Path) -> Path:
    """One on the left, one on the right, at the same time."""
    left, right = (np.pad(sound(one), (0, len(sound(LECTURE)) - len(sound(one)))) for one in (MEMO, LECTURE))
    return wave(folder, np.stack([left, right], axis=1), "-c:a", "pcm_s16le")


INPUTS: dict[str, Made] = {
    "not numbers": not_numbers,
    "clipped": clipped,
    "with an offset": with_offset,
    "over the phone": over_the_phone,
    "in the cinema": in_the_cinema,
    "one sample": one_sample,
    "long silence": long_silence,
    "states too much": stating(2.0),
    "states too little": stating(0.5),
    "states the impossible": stating(1e6),
    "changing rate": changing_rate,
    "damaged inside": damaged_inside,
    "header alone": header_alone,
    "damaged header": damaged_header,
    "two speakers": two_speakers,
}
METADATA: Mapping[str, Mapping[str, str]] = {"two speakers": {CHANNELS_METADATA: "split"}}
