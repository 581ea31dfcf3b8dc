"""Several decoders at once: their windows join to what one decoder gives, in any format, or one decoder goes on."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest

from gpu_job.audio.decode import decode
from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.parallel import (
    MIN_WINDOW_SECONDS,
    ParallelDecoding,
    Window,
    container_cores,
    plan_windows,
    usable_cores,
)
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from infra.recordings import recording
from shared.errors import BadMedia
from shared.media import Media
from tests.support.child_processes import child_processes
from tests.support.sounds import make, stated

HALVES = ParallelDecoding(children=2, ahead_seconds=4 * MIN_WINDOW_SECONDS)
SPEECH = ("-t", "75", "-i", str(recording("long_seen.opus").path), "-ar", "44100", "-ac", "2")
PICTURE = ("-f", "lavfi", "-i", "color=size=64x64:rate=5:duration=75")
LATE = ("-itsoffset", "1.5", *SPEECH[:4], *PICTURE, "-map", "0:a", "-map", "1:v", "-c:v", "mpeg4")

FORMATS: dict[str, tuple[str, tuple[str, ...]]] = {
    "a.wav": ("wav", SPEECH),
    "cbr.mp3": ("mp3", (*SPEECH, "-b:a", "96k")),
    "vbr.mp3": ("mp3", (*SPEECH, "-q:a", "4")),
    "no_xing.mp3": ("mp3", (*SPEECH, "-q:a", "4", "-write_xing", "0")),
    "a.flac": ("flac", SPEECH),
    "a.m4a": ("mov,mp4,m4a", SPEECH),
    "late.mp4": ("mov,mp4,m4a", LATE),
    "edits.m4a": ("mov,mp4,m4a", ("-ss", "3.3", "-i", "a.m4a", "-c", "copy")),
    "a.aac": ("aac", SPEECH),
    "a.opus": ("ogg", (*SPEECH[:4], "-c:a", "copy")),
    "a.ogg": ("ogg", (*SPEECH, "-c:a", "libvorbis")),
    "a.webm": ("matroska,webm", (*SPEECH[:4], "-c:a", "copy")),
    "a.mkv": ("matroska,webm", (*SPEECH, "-c:a", "aac")),
    "a.avi": ("avi", (*SPEECH, "-c:a", "libmp3lame")),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("formats")


def made(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.exists():
        arguments = [str(made(folder, "a.m4a")) if word == "a.m4a" else word for word in FORMATS[name][1]]
        make(path, *arguments)
    return path


def all_of(path: Path, media: Media | None = None, parallel: ParallelDecoding = HALVES) -> Samples:
    return np.concatenate(list(decode(path, DecodeOptions(media=media, parallel=parallel))))


def noise_of_its_own(name: str) -> float:
    """How far two decoders may differ: AAC's fill bands with random noise that depends on where they began."""
    return 0.1 if name.endswith(("m4a", "mp4", "aac")) else 1e-4


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_windows_join_to_what_one_decoder_gives(folder: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    path = made(folder, name)
    alone = all_of(path)
    assert len(alone) > 70 * SAMPLE_RATE
    with caplog.at_level(logging.INFO, "gpu_job.audio.decoder_stream"):
        codec = "vorbis" if name == "a.ogg" else "any"
        together = all_of(path, stated(path, FORMATS[name][0], len(alone) / SAMPLE_RATE, codec=codec))
    assert len(together) == len(alone)
    assert np.abs(together - alone).max() <= noise_of_its_own(name)
    assert np.square(together - alone).sum() <= 0.01 * np.square(alone).sum()
    assert not caplog.records


def test_where_windows_do_not_join_one_decoder_goes_on(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Matroska rounds times to 1 ms, and Opus begins in the middle of nowhere; said to be an MP3, it is tried."""
    path = made(folder, "a.webm")
    with caplog.at_level(logging.INFO, "gpu_job.audio.decoder_stream"):
        together = all_of(path, stated(path, "mp3", 75.0))
    assert np.array_equal(together, all_of(path))
    assert "the decoders differ" in caplog.text


@pytest.mark.parametrize("share", [0.1, 0.7, 0.95, 1.5, 3.0])
def test_the_stated_length_is_only_a_hint(folder: Path, share: float) -> None:
    path = made(folder, "cbr.mp3")
    alone = all_of(path)
    assert np.array_equal(all_of(path, stated(path, "mp3", share * len(alone) / SAMPLE_RATE)), alone)


def test_a_file_that_ends_at_a_join_ends_there(tmp_path: Path) -> None:
    path = make(tmp_path / "a.wav", *SPEECH[:4], "-af", "atrim=end_sample=2880000", "-ar", "48000")
    alone = all_of(path)
    assert len(alone) == 60 * SAMPLE_RATE
    for seconds in (60.0, 90.0, 120.0):
        assert np.array_equal(all_of(path, stated(path, "wav", seconds)), alone)


def test_what_is_no_media_is_refused_whatever_its_header_said(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(b"Dear Sir or Madam, " * 5000)
    with pytest.raises(BadMedia):
        all_of(path, stated(path, "mp3", 1000.0))


@pytest.mark.parametrize("seconds", [60.0, 61.5, 600.0, 3600.0, 30_000.0, 100_000.0])
@pytest.mark.parametrize("children", [2, 3, 4])
@pytest.mark.parametrize("channels", [1, 8])
def test_windows_follow_each_other_and_what_is_held_ahead_is_bounded(
    tmp_path: Path, seconds: float, children: int, channels: int
) -> None:
    path = tmp_path / "a.wav"
    path.touch()
    parallel = ParallelDecoding(children=children)
    media = stated(tmp_path, "wav", seconds, channels=channels)
    plan = plan_windows(media, parallel)
    assert [window.start for window in plan[1:]] == [window.end for window in plan[:-1]]
    assert (plan[0].start, plan[-1].end) == (0, None)
    assert all(window.start % SAMPLE_RATE == 0 for window in plan)
    lengths = [window.end - window.start for window in plan if window.end]
    held = max(lengths) / SAMPLE_RATE * children * channels
    assert held <= parallel.ahead_seconds + children * channels or max(lengths) == MIN_WINDOW_SECONDS * SAMPLE_RATE


def test_files_that_are_short_or_cannot_be_sought_in_have_one_decoder(tmp_path: Path) -> None:
    one = [Window(0, None)]
    assert plan_windows(stated(tmp_path, "mp3", 50.0), HALVES) == one
    assert plan_windows(stated(tmp_path, "matroska,webm", 5000.0), HALVES) == one
    assert plan_windows(stated(tmp_path, "ogg", 5000.0, codec="vorbis"), HALVES) == one
    assert plan_windows(stated(tmp_path, "mp3", 5000.0), ParallelDecoding(children=1)) == one
    assert len(plan_windows(stated(tmp_path, "ogg", 5000.0, codec="opus"), HALVES)) > 1


def test_a_listener_who_leaves_early_leaves_no_decoder(folder: Path) -> None:
    path = made(folder, "cbr.mp3")
    before = children_of_this_process()
    stream = decode(path, DecodeOptions(media=stated(path, "mp3", 75.0), parallel=HALVES))
    next(stream)
    assert children_of_this_process() - before
    stream.close()
    assert not children_of_this_process() - before


def children_of_this_process() -> set[int]:
    return child_processes(os.getpid())


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "400000 100000\n"}, 4),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "nonsense\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "0\n"}, None),
    ],
)
def test_a_container_has_the_cores_of_its_control_group(
    tmp_path: Path, files: dict[str, str], expected: int | None
) -> None:
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    assert container_cores(tmp_path) == expected
    assert usable_cores() >= 1
