"""Files of several recordings, one behind the other: all of them are heard, each where the one before ended."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gpu_job.audio.decode import decode
from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from shared.transcript.model import Gap
from tests.support.sounds import make

SECONDS = (4.0, 3.0, 5.0)
HERTZ = (440, 880, 1320)

KINDS: dict[str, tuple[str, ...]] = {
    "opus": ("-c:a", "libopus"),
    "ogg": ("-c:a", "libvorbis"),
    "oga": ("-c:a", "flac"),
    "flac": (),
    "webm": ("-c:a", "libopus"),
    "mka": ("-c:a", "aac"),
    "m4a": ("-c:a", "aac"),
    "mp4": ("-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"),
    "mov": ("-c:a", "pcm_s16le"),
    "wav": (),
    "aiff": (),
    "mp3": ("-id3v2_version", "3", "-metadata", "title=One"),
    "aac": ("-c:a", "aac"),
    "ac3": ("-c:a", "ac3"),
    "ts": ("-c:a", "aac"),
    "flv": ("-c:a", "libmp3lame", "-ar", "44100"),
    "wma": ("-c:a", "wmav2", "-f", "asf"),
    "avi": ("-c:a", "libmp3lame"),
}
OTHER_FORMAT = {"flv": ("-ar", "22050"), "ac3": ("-ar", "48000", "-ac", "2")}


def part(path: Path, number: int, *codec: str) -> bytes:
    source = ("-f", "lavfi", "-i", f"sine={HERTZ[number]}:duration={SECONDS[number]}:sample_rate=48000")
    return make(path.with_stem(f"part{number}"), *source, *codec).read_bytes()


def heard(path: Path) -> tuple[Samples, list[Gap]]:
    gaps: list[Gap] = []
    return np.concatenate(list(decode(path, DecodeOptions(on_damage=gaps.append)))), gaps


def pitch(samples: Samples, second: float) -> int:
    """The strongest frequency of a second, in Hz."""
    return int(np.abs(np.fft.rfft(samples[int(second * SAMPLE_RATE) :][:SAMPLE_RATE])).argmax())


@pytest.mark.parametrize("suffix", sorted(KINDS))
@pytest.mark.parametrize("changes", [False, True])
def test_every_recording_of_a_file_is_heard(tmp_path: Path, suffix: str, changes: bool) -> None:
    """`changes`: whether sample rate and channels of the second one are others."""
    path = tmp_path / f"all.{suffix}"
    other = OTHER_FORMAT.get(suffix, ("-ar", "24000", "-ac", "2")) if changes else ()
    path.write_bytes(
        b"".join(part(path, number, *KINDS[suffix], *(other if number == 1 else ())) for number in range(3))
    )
    samples, gaps = heard(path)
    # Some containers do not say how much of the sound is the encoder's padding: up to 0.1 s of each recording (WMA).
    assert len(samples) / SAMPLE_RATE == pytest.approx(sum(SECONDS), abs=0.3)
    assert [pitch(samples, at) for at in (1.5, 5.5, 9.5)] == pytest.approx(HERTZ, abs=2)
    assert gaps == []


@pytest.mark.parametrize(
    "suffixes",
    ["mp3 wav", "mp3 flac", "mp3 ogg", "mp3 m4a", "aac m4a", "wav mp3", "m4a mp3", "mov flac", "webm m4a", "mka wav"],
)
def test_a_recording_of_another_kind_behind_the_first_is_heard(tmp_path: Path, suffixes: str) -> None:
    path = tmp_path / f"all.{suffixes.split()[0]}"
    parts = [part(tmp_path / f"a.{suffix}", number, *KINDS[suffix]) for number, suffix in enumerate(suffixes.split())]
    path.write_bytes(b"".join(parts))
    samples, gaps = heard(path)
    assert len(samples) / SAMPLE_RATE == pytest.approx(sum(SECONDS[:2]), abs=0.2)
    assert [pitch(samples, at) for at in (1.5, 5.5)] == pytest.approx(HERTZ[:2], abs=2)
    assert gaps == []


def test_recordings_with_sizes_of_64_bits_are_heard(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"".join(part(path, number, "-rf64", "always") for number in range(2)))
    samples, gaps = heard(path)
    assert len(samples) == pytest.approx(sum(SECONDS[:2]) * SAMPLE_RATE, abs=10)
    assert gaps == []
