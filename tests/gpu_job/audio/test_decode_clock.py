"""The clock of the samples is the player's: late starts, edit lists, encoder delay and gaps in timestamps count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gpu_job.audio.decode import decode
from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.parallel import ParallelDecoding
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from shared.media import Media
from shared.transcript.model import Gap
from tests.support.sounds import make, raw, silence, stated, tone

SECONDS = 6.0
BEEPS = (0.5, 2.2, 3.7, 4.4, 5.3)
TOLERANCE = 0.003
"""Seconds: a tenth of the shortest sound of speech. Matroska rounds to 1 ms, MPEG-TS packets to less."""


def beeping() -> Samples:
    """Short beeps at known times."""
    wave = silence(SECONDS)
    for at in BEEPS:
        beep = tone(0.05, -15.0, 1000.0)
        wave[int(at * SAMPLE_RATE) :][: len(beep)] = beep
    return wave


def starts(samples: Samples) -> list[float]:
    """Where sound begins after silence, in seconds."""
    loud = np.flatnonzero(np.abs(samples) > 0.08)
    first = loud[np.diff(loud, prepend=-SAMPLE_RATE) > SAMPLE_RATE // 10]
    return [at / SAMPLE_RATE for at in first.tolist()]


def beeps_of(path: Path, media: Media | None = None) -> list[float]:
    """Of the decoded file, which is not damaged."""
    gaps: list[Gap] = []
    samples = np.concatenate(list(decode(path, DecodeOptions(media=media, on_damage=gaps.append))))
    assert gaps == []
    return starts(samples)


@pytest.fixture
def source(tmp_path: Path) -> tuple[str, ...]:
    return raw(tmp_path / "raw", beeping())


PICTURE = ("-f", "lavfi", "-i", "color=size=64x64:rate=5:duration=8")
CODECS = {
    "a.wav": (),
    "a.mp3": ("-ar", "44100"),
    "a.m4a": ("-ar", "44100", "-c:a", "aac"),
    "a.mkv": ("-ar", "44100", "-c:a", "aac"),
    "a.ogg": ("-ar", "44100", "-c:a", "libvorbis"),
    "a.opus": ("-ar", "48000"),
    "a.webm": ("-ar", "48000", "-c:a", "libopus"),
    "a.flac": ("-ar", "96000"),
}


@pytest.mark.parametrize("name", sorted(CODECS))
def test_encoder_delay_moves_nothing(tmp_path: Path, source: tuple[str, ...], name: str) -> None:
    path = make(tmp_path / name, *source, *CODECS[name])
    assert beeps_of(path) == pytest.approx(BEEPS, abs=TOLERANCE)


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv", "late.ts"])
def test_sound_that_starts_after_the_picture(tmp_path: Path, source: tuple[str, ...], name: str) -> None:
    wave = make(tmp_path / "a.wav", *source)  # ffmpeg does not shift raw samples
    late = ("-itsoffset", "1.25", "-i", str(wave), "-ar", "48000", "-c:a", "aac", "-c:v", "mpeg4")
    path = make(tmp_path / name, *PICTURE, *late, "-map", "0:v", "-map", "1:a")
    container = {"late.mp4": "mov,mp4,m4a", "late.mkv": "matroska,webm", "late.ts": "mpegts"}[name]
    found = beeps_of(path, stated(path, container, 1.25 + SECONDS, picture=True))
    assert found == pytest.approx([1.25 + at for at in BEEPS], abs=TOLERANCE)


def test_an_edit_list_cuts_the_beginning_off(tmp_path: Path, source: tuple[str, ...]) -> None:
    whole = make(tmp_path / "whole.m4a", *source, "-ar", "44100", "-c:a", "aac")
    path = make(tmp_path / "cut.m4a", "-ss", "2.0", "-i", str(whole), "-c", "copy")
    assert beeps_of(path) == pytest.approx([at - 2.0 for at in BEEPS if at > 2], abs=TOLERANCE)


@pytest.mark.parametrize("name", ["gap.mkv", "gap.mp4"])
def test_a_gap_in_the_timestamps_takes_its_time_and_is_no_damage(
    tmp_path: Path, source: tuple[str, ...], name: str
) -> None:
    gap = ("-af", "aselect=not(between(t\\,2.6\\,3.4))", "-ar", "48000", "-c:a", "aac")
    path = make(tmp_path / name, *source, *gap)
    assert beeps_of(path) == pytest.approx(BEEPS, abs=0.03)


@pytest.mark.parametrize("suffix", ["aac", "mp3"])
def test_a_sample_rate_that_changes_on_the_way(tmp_path: Path, suffix: str) -> None:
    """ffmpeg alone would count the time until the change twice."""
    parts = [
        make(tmp_path / f"{rate}.{suffix}", "-f", "lavfi", "-i", f"sine={hertz}:duration=5:sample_rate={rate}")
        for rate, hertz in ((44_100, 440), (48_000, 880), (22_050, 660))
    ]
    path = tmp_path / f"all.{suffix}"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    samples = np.concatenate(list(decode(path, DecodeOptions(media=stated(path, suffix, 15.0)))))
    assert len(samples) / SAMPLE_RATE == pytest.approx(15.0, abs=0.3)
    assert [pitch(samples, at) for at in (2, 7, 12)] == pytest.approx([440, 880, 660], abs=2)


def test_a_sample_rate_that_changes_within_a_window(tmp_path: Path) -> None:
    parts = [
        make(tmp_path / f"{rate}.mp3", "-f", "lavfi", "-i", f"sine={hertz}:duration=50:sample_rate={rate}")
        for rate, hertz in ((44_100, 440), (48_000, 880))
    ]
    path = tmp_path / "all.mp3"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    media = stated(path, "mp3", 100.0)
    samples, alone = (
        np.concatenate(list(decode(path, DecodeOptions(media=media, parallel=ParallelDecoding(children, 120.0)))))
        for children in (2, 1)
    )
    assert np.array_equal(samples, alone)
    assert len(samples) / SAMPLE_RATE == pytest.approx(100.0, abs=1.0)
    assert [pitch(samples, at) for at in (45, 60, 95)] == pytest.approx([440, 880, 880], abs=2)


def pitch(samples: Samples, second: int) -> int:
    """The strongest frequency of one second, in Hz."""
    return int(np.abs(np.fft.rfft(samples[second * SAMPLE_RATE : (second + 1) * SAMPLE_RATE])).argmax())
