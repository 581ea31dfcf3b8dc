"""Damaged, lying and unusual files: what is readable is decoded, and what is not is told."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from gpu_job.audio.decode import decode
from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.decoder_process.child import DecoderFailed
from gpu_job.audio.decoder_stream import longest_seconds
from gpu_job.audio.parallel import ParallelDecoding
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from infra.recordings import recording
from shared.media import Media
from shared.transcript.model import Gap
from tests.support.sounds import make, raw, silence, stated, tone

HALVES = ParallelDecoding(children=2, ahead_seconds=120.0)
SPEECH = ("-t", "75", "-i", str(recording("long_seen.opus").path))


def decoded(path: Path, media: Media | None = None) -> tuple[Samples, list[Gap]]:
    """What is decoded, and the damage that is told."""
    gaps: list[Gap] = []
    return np.concatenate(list(decode(path, DecodeOptions(media=media, parallel=HALVES, on_damage=gaps.append)))), gaps


def damaged(path: Path, begin: float, end: float) -> Path:
    """The file with a stretch of it, in shares of its length, overwritten."""
    data = bytearray(path.read_bytes())
    first, last = int(begin * len(data)), int(end * len(data))
    data[first:last] = random.Random(7).randbytes(last - first)
    path.write_bytes(data)
    return path


KINDS = {
    "a.m4a": ("mov,mp4,m4a", ("-ar", "44100", "-c:a", "aac")),
    "a.opus": ("ogg", ("-c:a", "copy")),
    "a.ogg": ("ogg", ("-ar", "44100", "-c:a", "libvorbis")),
    "a.flac": ("flac", ("-ar", "44100",)),
    "a.ts": ("mpegts", ("-ar", "44100", "-c:a", "aac")),
    "a.mkv": ("matroska,webm", ("-ar", "44100", "-c:a", "aac")),
}  # fmt: skip


def loudness(samples: Samples) -> Samples:
    """Of each 10 ms: what comes after a gap may be off by the millisecond to which Matroska rounds."""
    levels: Samples = np.sqrt(np.square(samples.reshape(-1, SAMPLE_RATE // 100)).mean(axis=1))
    return levels


SEVERAL_DECODERS = ("a.m4a", "a.opus", "a.flac")


@pytest.mark.parametrize(
    ("name", "several"), [(name, False) for name in sorted(KINDS)] + [(name, True) for name in SEVERAL_DECODERS]
)
def test_a_damaged_stretch_is_told_and_the_rest_keeps_its_time(tmp_path: Path, name: str, several: bool) -> None:
    container, codec = KINDS[name]
    path = make(tmp_path / name, *SPEECH, *codec)
    whole, none = decoded(path)
    assert none == []
    media = stated(path, container, 75.0) if several else None
    samples, gaps = decoded(damaged(path, 0.60, 0.64), media)
    assert len(samples) == pytest.approx(len(whole), abs=SAMPLE_RATE // 10)
    assert 1 <= len(gaps) <= 3
    assert 0.57 * 75 < gaps[0].start < gaps[-1].end < 0.73 * 75
    assert 1.5 < sum(gap.end - gap.start for gap in gaps) < 8
    rest = slice(60 * SAMPLE_RATE, 70 * SAMPLE_RATE)
    assert np.corrcoef(loudness(samples[rest]), loudness(whole[rest]))[0, 1] > 0.95
    for gap in gaps:
        assert not samples[int((gap.start + 0.05) * SAMPLE_RATE) : int((gap.end - 0.05) * SAMPLE_RATE)].any()
        assert "damaged" in gap.reason


def test_a_long_damaged_stretch_costs_nothing_behind_it(tmp_path: Path) -> None:
    """Two thirds of a window are unreadable, and a third of the file."""
    path = make(tmp_path / "a.m4a", *SPEECH, "-ar", "44100", "-c:a", "aac")
    media = stated(path, "mov,mp4,m4a", 75.0)
    whole, _ = decoded(path, media)
    data = bytearray(path.read_bytes())
    first, last = int(0.03 * len(data)), int(0.43 * len(data))
    data[first:last] = bytes(last - first)
    path.write_bytes(data)
    samples, gaps = decoded(path, media)
    assert len(samples) == len(whole)
    assert 25 < sum(gap.end - gap.start for gap in gaps) < 35
    rest = slice(40 * SAMPLE_RATE, 70 * SAMPLE_RATE)
    assert np.corrcoef(loudness(samples[rest]), loudness(whole[rest]))[0, 1] > 0.95


def test_silence_is_no_damage(tmp_path: Path) -> None:
    wave = np.concatenate([tone(3, -20.0), silence(5), tone(3, -20.0), silence(2), tone(1, -20.0)])
    for name in ("a.wav", "a.flac", "a.mp3"):
        _, gaps = decoded(make(tmp_path / name, *raw(tmp_path / "raw", wave)))
        assert gaps == []


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("suffix", ["mp3", "aac"])
def test_where_frames_have_no_timestamps_lost_sound_takes_about_its_time(
    tmp_path: Path, suffix: str, several: bool
) -> None:
    path = make(tmp_path / f"a.{suffix}", *SPEECH, "-ar", "44100")
    media = stated(path, suffix, 75.0) if several else None
    whole, none = decoded(path, media)
    assert none == []
    samples, gaps = decoded(damaged(path, 0.60, 0.64), media)
    assert len(samples) == pytest.approx(len(whole), abs=SAMPLE_RATE)
    (gap,) = gaps
    assert (gap.start, gap.end) == pytest.approx((0.60 * 75, 0.64 * 75), abs=1.0)
    assert "damaged" in gap.reason


def test_a_file_may_not_go_on_for_ever(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.flac", "-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono", "-t", "3700", "-frame_size", "65000"
    )
    lengths: list[int] = []
    with pytest.raises(DecoderFailed, match="far longer than its header states"):
        lengths.extend(len(block) for block in decode(path, DecodeOptions(media=stated(path, "flac", 1.0))))
    assert 3600 < sum(lengths) / SAMPLE_RATE < 3700


def test_how_long_a_file_may_be() -> None:
    assert longest_seconds(None, 1000) == 60 + 400
    media = stated(Path(), "mp3", 7200.0)
    assert longest_seconds(media, 10**9) == 4 * 7200
    assert longest_seconds(media.model_copy(update={"duration_is_estimate": True}), 10**9) > 10**8


def test_a_day_of_silence(tmp_path: Path) -> None:
    silent = make(
        tmp_path / "a.flac", "-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono", "-t", "600", "-frame_size", "65000"
    )
    path = make(tmp_path / "day.mka", "-stream_loop", str(24 * 6 - 1), "-i", str(silent), "-c", "copy")
    count = 0
    for block in decode(path, DecodeOptions(media=stated(path, "matroska,webm", 86_400.0))):
        count += len(block)
        assert not block.any()
    assert count / SAMPLE_RATE == pytest.approx(86_400, abs=1)


def test_one_sample_is_one_sample(tmp_path: Path) -> None:
    path = make(tmp_path / "a.wav", *raw(tmp_path / "raw", np.array([0.5], np.float32)), "-c:a", "pcm_f32le")
    samples, _ = decoded(path, stated(path, "wav", 1 / SAMPLE_RATE))
    assert samples.tolist() == [0.5]


def test_clipped_sound_stays_in_range_and_an_offset_stays(tmp_path: Path) -> None:
    clipped = raw(tmp_path / "raw", tone(1, 10.0))
    samples, _ = decoded(make(tmp_path / "clipped.wav", *clipped, "-c:a", "pcm_f32le"))
    assert np.abs(samples).max() == 1.0
    offset = raw(tmp_path / "raw", tone(1, -20.0) + np.float32(0.25))
    samples, _ = decoded(make(tmp_path / "offset.wav", *offset, "-c:a", "pcm_f32le"))
    assert samples.mean() == pytest.approx(0.25, abs=0.01)


def test_phone_audio(tmp_path: Path) -> None:
    path = make(tmp_path / "a.wav", *raw(tmp_path / "raw", tone(2, -20.0)), "-ar", "8000", "-c:a", "pcm_mulaw")
    samples, _ = decoded(path)
    assert len(samples) == pytest.approx(2 * SAMPLE_RATE, abs=32)
    assert np.sqrt(np.square(samples[1000:-1000]).mean()) == pytest.approx(0.1, rel=0.05)


def test_samples_arrive_whole_whatever_is_read_at_once(tmp_path: Path) -> None:
    ramp = np.linspace(-0.9, 0.9, 70 * SAMPLE_RATE, dtype=np.float32)
    path = make(tmp_path / "a.wav", *raw(tmp_path / "raw", ramp), "-c:a", "pcm_f32le")
    samples, _ = decoded(path, stated(path, "wav", 70.0))
    assert np.array_equal(samples, ramp)
    assert all(before <= after for before, after in pairwise(samples[::1000].tolist()))


@pytest.mark.parametrize("codec", ["libopus", "libvorbis"])
def test_damaged_pages_to_the_end_of_an_ogg_file_are_told(tmp_path: Path, codec: str) -> None:
    """FFmpeg leaves out pages with a wrong checksum, and nothing comes behind them whose time would tell."""
    path = make(tmp_path / "a.ogg", "-t", "20", *SPEECH[2:], "-ar", "48000", "-c:a", codec)
    data = bytearray(path.read_bytes())
    pages = [at for at in range(len(data)) if data.startswith(b"OggS\0", at)]
    for at in pages[len(pages) // 2 :]:
        data[at + 200] ^= 0x55
    path.write_bytes(data)

    samples, (gap,) = decoded(path)

    assert gap.start == pytest.approx(len(samples) / SAMPLE_RATE)
    assert 5 < gap.start < 15
    assert gap.end == pytest.approx(20, abs=0.1)
