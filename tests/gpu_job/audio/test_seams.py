"""Streams of bare codec frames have no times: where frames are missing, the seam is told, and whole files have none."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_job.audio.decode import decode
from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.parallel import ParallelDecoding
from gpu_job.audio.samples import SAMPLE_RATE
from infra.recordings import recording
from shared.media import Media
from shared.transcript.model import Gap
from tests.support.sounds import make, stated

SECONDS = 20.0
SPEECH = ("-i", str(recording("lecture").path), "-t", str(SECONDS))
KINDS = {
    "mp3": ("-c:a", "libmp3lame", "-write_xing", "0"),
    "mp2": ("-c:a", "mp2"),
    "aac": ("-c:a", "aac"),
    "latm": ("-c:a", "aac"),
    "ac3": ("-c:a", "ac3"),
    "eac3": ("-c:a", "eac3"),
    "dts": ("-c:a", "dca", "-strict", "-2", "-ar", "48000"),
    "thd": ("-c:a", "truehd", "-strict", "-2", "-ar", "48000"),
    "mlp": ("-c:a", "mlp", "-strict", "-2", "-ar", "48000"),
}
REMOVED = ((0.4017, 0.5043), (0.3331, 0.5077), (0.6111, 0.6499))
"""As shares of the bytes: none of them ends where a frame does."""


def decoded(path: Path, media: Media | None = None) -> tuple[float, list[Gap]]:
    """Seconds, and the damage that is told."""
    gaps: list[Gap] = []
    halves = ParallelDecoding(children=2, ahead_seconds=120.0)
    blocks = decode(path, DecodeOptions(media=media, parallel=halves, on_damage=gaps.append))
    return sum(map(len, blocks)) / SAMPLE_RATE, gaps


@pytest.mark.parametrize("suffix", KINDS)
def test_missing_frames_are_told_where_they_are_missing(suffix: str, tmp_path: Path) -> None:
    path = make(tmp_path / f"a.{suffix}", *SPEECH, *KINDS[suffix])
    data = path.read_bytes()
    whole, gaps = decoded(path)
    assert gaps == []
    for first, last in REMOVED:
        path.write_bytes(data[: int(first * len(data))] + data[int(last * len(data)) :])
        seconds, (gap,) = decoded(path)
        assert seconds < whole - 0.5
        assert gap.start == pytest.approx(first * SECONDS, abs=2.5)  # the byte rate varies
        assert gap.end - gap.start < 1.0


@pytest.mark.parametrize("suffix", KINDS)
def test_files_joined_at_their_ends_have_no_seam(suffix: str, tmp_path: Path) -> None:
    path = make(tmp_path / f"a.{suffix}", *SPEECH, *KINDS[suffix])
    one, _ = decoded(path)
    path.write_bytes(2 * path.read_bytes())
    seconds, gaps = decoded(path)
    assert gaps == []
    assert seconds == pytest.approx(2 * one, abs=0.2)


def test_a_tag_or_padding_between_mp3_files_is_no_seam(tmp_path: Path) -> None:
    data = make(tmp_path / "a.mp3", *SPEECH, *KINDS["mp3"]).read_bytes()
    tag = b"TAG" + b"A title".ljust(125, b"\0")
    for between in (tag, bytes(4096)):
        path = tmp_path / "b.mp3"
        path.write_bytes(data + between + data)
        assert decoded(path)[1] == []


def test_several_decoders_tell_a_seam_once(tmp_path: Path) -> None:
    speech = ("-i", str(recording("long_seen.opus").path), "-t", "80")
    path = make(tmp_path / "a.aac", *speech, "-c:a", "aac")
    data = path.read_bytes()
    path.write_bytes(data[: int(0.6 * len(data))] + data[int(0.65 * len(data)) :])
    _, (gap,) = decoded(path, stated(path, "aac", 76.0))
    assert gap.start == pytest.approx(48.0, abs=4.0)


def test_sound_that_begins_within_a_frame_has_no_seam(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp3", *SPEECH, *KINDS["mp3"])
    whole, _ = decoded(path)
    path.write_bytes(path.read_bytes()[500:])
    seconds, gaps = decoded(path)
    assert gaps == []
    assert seconds == pytest.approx(whole, abs=0.5)
