"""Uploads that were cut off: what the header promises and the file lacks is a gap; what it does not promise is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_job.audio.decode import decode
from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.samples import SAMPLE_RATE
from shared.transcript.model import Gap
from tests.support.sounds import make

SECONDS = 20.0

PROMISING: dict[str, tuple[str, ...]] = {
    "a.flac": (),
    "a.wav": ("-ar", "8000"),
    "adpcm.wav": ("-c:a", "adpcm_ima_wav"),
    "a.aiff": (),
    "a.au": (),
    "a.caf": (),
    "a.w64": (),
    "rf64.wav": ("-rf64", "always"),
    "cbr.mp3": ("-b:a", "64k"),
    "vbr.mp3": ("-q:a", "4"),
    "front.m4a": ("-c:a", "aac", "-movflags", "faststart"),
    "a.mka": ("-c:a", "aac"),
    "a.webm": ("-c:a", "libopus"),
    "a.wma": ("-c:a", "wmav2"),
    "a.flv": ("-c:a", "libmp3lame", "-ar", "44100"),
    "a.avi": ("-c:a", "pcm_s16le"),
}
UNKNOWING: dict[str, tuple[str, ...]] = {
    "a.aac": ("-c:a", "aac"),
    "a.ac3": ("-c:a", "ac3"),
    "a.ts": ("-c:a", "aac"),
    "a.opus": (),
    "a.mpg": ("-c:a", "mp2"),
    "no_xing.mp3": ("-write_xing", "0"),
    "fragments.mp4": ("-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"),
    "live.webm": ("-c:a", "libopus", "-live", "1"),
}


def made(path: Path, *codec: str) -> Path:
    return make(path, "-f", "lavfi", "-i", f"sine=440:duration={SECONDS}:sample_rate=48000", *codec)


def heard(path: Path) -> tuple[float, list[Gap]]:
    gaps: list[Gap] = []
    return sum(map(len, decode(path, DecodeOptions(on_damage=gaps.append)))) / SAMPLE_RATE, gaps


@pytest.mark.parametrize("name", sorted(PROMISING | UNKNOWING))
def test_a_whole_file_has_no_gap(tmp_path: Path, name: str) -> None:
    length, gaps = heard(made(tmp_path / name, *(PROMISING | UNKNOWING)[name]))
    assert length == pytest.approx(SECONDS, abs=0.15)
    assert gaps == []


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("name", sorted(PROMISING))
def test_what_the_header_promises_and_the_file_lacks_is_a_gap(tmp_path: Path, name: str, share: float) -> None:
    path = made(tmp_path / name, *PROMISING[name])
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    length, gaps = heard(path)
    assert length == pytest.approx(share * SECONDS, abs=1.0)
    assert [(gap.start, gap.end) for gap in gaps] == [pytest.approx((length, SECONDS), abs=0.2)]


@pytest.mark.parametrize("name", sorted(UNKNOWING))
def test_where_the_header_promises_nothing_what_is_there_is_the_file(tmp_path: Path, name: str) -> None:
    path = made(tmp_path / name, *UNKNOWING[name])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    length, gaps = heard(path)
    assert length == pytest.approx(SECONDS / 2, abs=1.5)
    assert all(gap.start == pytest.approx(length, abs=0.1) for gap in gaps)


def test_the_last_seconds_of_a_long_file_are_missed(tmp_path: Path) -> None:
    """They are less than 1 % of it."""
    silent = ("-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono", "-t", "3600")
    path = make(tmp_path / "a.wav", *silent)
    data = path.read_bytes()
    path.write_bytes(data[: -10 * 16_000])
    length, gaps = heard(path)
    assert length == pytest.approx(3590, abs=0.01)
    assert [(gap.start, gap.end) for gap in gaps] == [pytest.approx((3590, 3600), abs=0.01)]


def test_a_longer_picture_is_no_promise_of_sound(tmp_path: Path) -> None:
    picture = ("-f", "lavfi", "-i", "color=size=64x64:rate=5:duration=30")
    sound = ("-f", "lavfi", "-i", "sine=440:duration=10:sample_rate=48000")
    for name in ("a.mp4", "a.mkv", "a.webm", "a.avi", "a.flv", "a.ts", "a.mpg", "a.wmv"):
        rate = ("-ar", "44100") if name == "a.flv" else ()
        rate += ("-r", "25") if name == "a.mpg" else ()
        length, gaps = heard(make(tmp_path / name, *picture, *sound, *rate))
        assert length == pytest.approx(10, abs=0.15), name
        assert gaps == [], name


def test_missing_frames_of_flac_are_a_gap_in_their_place(tmp_path: Path) -> None:
    """The decoder does not complain of them."""
    path = made(tmp_path / "a.flac", "-frame_size", "4800")
    data = path.read_bytes()
    at = [place for place in range(len(data) - 2) if data[place : place + 2] == b"\xff\xf8"]
    path.write_bytes(data[: at[50]] + data[at[70] :])
    length, gaps = heard(path)
    assert length == pytest.approx(SECONDS, abs=0.01)
    assert [(gap.start, gap.end) for gap in gaps] == [pytest.approx((5, 7), abs=0.01)]
