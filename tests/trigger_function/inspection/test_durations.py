"""Durations where the header states none, a wrong one, or more than the file has."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.media import Media
from tests.support.remote_object import RemoteObject, RepeatedObject
from tests.support.tone_recordings import SECONDS, Record, decoded_seconds
from trigger_function.inspection.demux import stretches
from trigger_function.inspection.inspector import inspect
from trigger_function.inspection.ranged_reader import RangedReader

MANY = 1000
"""Enough turns of a recording for a file that is sampled, not read."""


def inspected(data: bytes) -> Media:
    return inspect(RemoteObject.of(data).fetch, len(data))


def with_wav_sizes(data: bytes, riff: int, samples: int) -> bytes:
    at = data.index(b"data") + 4
    return data[:4] + struct.pack("<I", riff) + data[8:at] + struct.pack("<I", samples) + data[at + 4 :]


@pytest.mark.parametrize("size", [0, 2**32 - 1, 2**31], ids=["0", "all ones", "too much"])
@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_mulaw", "pcm_f32le"])
def test_a_wav_lasts_as_long_as_it_has_samples(codec: str, size: int, record: Record) -> None:
    media = inspected(with_wav_sizes(record("wav", "-c:a", codec), size, size))
    assert media.duration_seconds == pytest.approx(SECONDS, rel=0.01)
    assert not media.duration_is_estimate


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("wav", ""),
        ("w64", ""),
        ("aiff", ""),
        ("au", ""),
        ("caf", ""),
        ("mp3", ""),
        ("mp3", "-q:a 5"),
        ("adts", ""),
        ("amr", "-ar 8000"),
        ("ac3", ""),
        ("flac", ""),
        ("opus", "-page_duration 100000"),
        ("webm", "-cluster_time_limit 100"),
        ("mkv", "-c:a aac -cluster_time_limit 100"),
        ("mp4", "-movflags faststart"),
        ("mp4", "-movflags frag_keyframe+empty_moov -frag_duration 100000"),
        ("ts", "-c:a aac"),
        ("asf", ""),
        ("avi", ""),
        ("flv", "-c:a aac"),
    ],
)
def test_of_a_file_cut_in_the_middle_the_readable_part_counts(
    suffix: str, options: str, record: Record, tmp_path: Path
) -> None:
    whole = record(suffix, *options.split(), seconds=4 * SECONDS)
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(whole[: len(whole) // 2])
    media = inspected(cut.read_bytes())
    tolerance = 0.05 if media.duration_is_estimate else 0.01
    assert media.duration_seconds == pytest.approx(decoded_seconds(cut), rel=tolerance)
    assert media.duration_seconds < 3 * SECONDS


@pytest.mark.parametrize(("suffix", "options"), [("mp4", "-movflags faststart"), ("flv", "-c:a aac"), ("avi", "")])
def test_the_length_of_a_cut_file_whose_end_has_no_time_is_an_estimate(
    suffix: str, options: str, record: Record
) -> None:
    data = record(suffix, *options.split())
    assert inspected(data[: len(data) // 2]).duration_is_estimate


@pytest.mark.parametrize(
    ("head", "options"), [("mp3", "-write_xing 0 -id3v2_version 0"), ("mp2", "-b:a 192k"), ("adts", ""), ("ac3", "")]
)
def test_a_long_recording_without_times_is_sampled(head: str, options: str, record: Record) -> None:
    remote = RepeatedObject(b"", record(head, *options.split()), MANY)
    media = inspect(remote.fetch, remote.size)
    assert media.duration_is_estimate
    assert media.duration_seconds == pytest.approx(MANY * SECONDS, rel=0.01)


def test_a_look_into_the_middle_counts_no_chance_bytes_as_frames(record: Record) -> None:
    remote = RemoteObject.of(record("mp2", "-b:a", "192k"))
    places = [(start, start + 24_000) for start in range(10_000, 90_000, 1_237)]
    looks = stretches(RangedReader(remote.fetch, remote.size), 0, places)
    assert len(looks) == len(places)
    for look in looks:
        assert look.bytes_before_last / look.seconds_before_last == pytest.approx(192_000 / 8, rel=0.01)


def test_a_long_amr_is_judged_by_its_beginning(record: Record) -> None:
    data = record("amr", "-ar", "8000")
    remote = RepeatedObject(data[:6], data[6:], MANY)
    media = inspect(remote.fetch, remote.size)
    assert media.duration_is_estimate
    assert media.duration_seconds == pytest.approx(MANY * SECONDS, rel=0.01)


def test_joined_mp3s_are_not_taken_for_the_first_of_them(record: Record) -> None:
    assert inspected(record("mp3") * 2).duration_seconds == pytest.approx(2 * SECONDS, rel=0.02)


def test_joined_transport_streams_are_not_taken_for_the_last_of_them(record: Record) -> None:
    media = inspected(record("ts", "-c:a", "aac") * 3)
    assert media.duration_is_estimate
    assert media.duration_seconds == pytest.approx(3 * SECONDS, rel=0.03)


def test_joined_oggs_are_not_taken_for_one_of_them(record: Record) -> None:
    media = inspected(record("opus") + record("opus", "-serial_offset", "7"))
    assert media.duration_is_estimate
    assert media.duration_seconds == pytest.approx(2 * SECONDS, rel=0.03)


def test_a_transport_stream_that_begins_late_counts_from_its_beginning(record: Record) -> None:
    media = inspected(record("ts", "-c:a", "aac", "-output_ts_offset", "5000"))
    assert media.duration_seconds == pytest.approx(SECONDS, rel=0.01)


def test_a_stream_that_appears_on_the_way_does_not_matter(record: Record) -> None:
    sound = record("ts", "-c:a", "aac")
    options = ("-c:a", "aac", "-c:v", "mpeg2video", "-output_ts_offset", str(SECONDS))
    film = record("ts", *options, picture="testsrc=size=64x48:rate=25")
    assert inspected(sound + film).duration_seconds == pytest.approx(2 * SECONDS, rel=0.01)


def test_fragments_that_begin_late_count_from_their_beginning(record: Record) -> None:
    flags = "frag_keyframe+empty_moov+default_base_moof"
    data = record("mp4", "-movflags", flags, "-frag_duration", "500000")
    hour = 3600 * 44_100
    for fragment in re.finditer(b"tfdt\1...", data, re.DOTALL):
        time = int.from_bytes(data[fragment.end() : fragment.end() + 8])
        data = data[: fragment.end()] + (time + hour).to_bytes(8) + data[fragment.end() + 8 :]
    assert inspected(data).duration_seconds == pytest.approx(SECONDS, rel=0.01)


def test_an_unfinished_avi_is_judged_by_its_beginning(record: Record) -> None:
    options = ("-c:v", "mjpeg", "-q:v", "5", "-c:a", "pcm_s16le")
    data = record("avi", *options, picture="testsrc=size=320x240:rate=25", streamed=True, seconds=4 * SECONDS)
    media = inspected(data)
    assert media.duration_is_estimate
    assert media.duration_seconds == pytest.approx(4 * SECONDS, rel=0.1)


def test_an_unfinished_matroska_is_read_at_its_end(record: Record) -> None:
    options = ("-c:v", "mjpeg", "-c:a", "pcm_s16le")
    data = record("matroska", *options, picture="testsrc=size=320x240:rate=25", streamed=True)
    media = inspected(data)
    assert not media.duration_is_estimate
    assert media.duration_seconds == pytest.approx(SECONDS, rel=0.01)


def test_fragments_too_long_to_find_the_last_one_of_are_estimated(record: Record) -> None:
    data = record("mp4", "-movflags", "frag_keyframe+empty_moov", "-frag_duration", "500000")
    first = data.index(b"moof") - 4
    second = data.index(b"moof", first + 8) - 4
    silence = 100 * 2**20
    remote = RemoteObject(second + silence, [(0, data[:second]), (second, struct.pack(">I4s", silence, b"mdat"))])
    media = inspect(remote.fetch, remote.size)
    assert media.duration_is_estimate
    assert media.duration_seconds == pytest.approx(0.5 * remote.size / (second - first), rel=0.1)


@pytest.fixture
def count_of_xing() -> Callable[[bytes], int]:
    def count(data: bytes) -> int:
        at = next(data.index(tag) for tag in (b"Xing", b"Info") if tag in data[:1000])
        return int.from_bytes(data[at + 8 : at + 12])

    return count


def test_the_count_of_an_mp3_is_believed(record: Record, count_of_xing: Callable[[bytes], int]) -> None:
    data = record("mp3", "-q:a", "5")
    count = count_of_xing(data)
    changed = data.replace(count.to_bytes(4), (3 * count).to_bytes(4), 1)
    assert inspected(changed).duration_seconds == pytest.approx(3 * SECONDS, rel=0.02)
