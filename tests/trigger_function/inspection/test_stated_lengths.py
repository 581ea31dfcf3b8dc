"""Stated lengths are those of the sound; what the header promises beside that is told apart."""

from __future__ import annotations

import struct

import pytest

from shared.media import Media
from tests.support.mp4_boxes import with_content
from tests.support.remote_object import Piece, RemoteObject
from tests.support.tone_recordings import SECONDS, Record
from trigger_function.inspection.inspector import inspect
from trigger_function.inspection.joined import MAX_RECORDINGS

PADDING = 0.2
"""Seconds by which encoders fill up their last packet."""
PICTURE = "testsrc=size=64x48:rate=25"


def inspected(data: bytes) -> Media:
    return inspect(RemoteObject.of(data).fetch, len(data))


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("wav", "-ac 2"),
        ("wav", "-c:a adpcm_ima_wav -ar 8000"),
        ("w64", ""),
        ("aiff", ""),
        ("au", ""),
        ("caf", ""),
        ("flac", ""),
        ("mp3", ""),
        ("m4a", "-movflags faststart"),
        ("mka", "-c:a aac"),
        ("avi", "-c:a pcm_s16le"),
        ("avi", "-c:a libmp3lame"),
        ("flv", "-c:a aac"),
    ],
)
def test_a_cut_file_has_half_of_what_its_header_promises(suffix: str, options: str, record: Record) -> None:
    whole = record(suffix, *options.split(), seconds=4 * SECONDS)
    promise = inspected(whole)
    assert promise.promised_seconds == pytest.approx(4 * SECONDS, abs=PADDING)
    assert promise.duration_seconds == pytest.approx(4 * SECONDS, abs=PADDING)
    cut = inspected(whole[: len(whole) // 2])
    assert cut.promised_seconds == pytest.approx(4 * SECONDS, abs=PADDING)
    assert cut.duration_seconds == pytest.approx(2 * SECONDS, rel=0.1)


@pytest.mark.parametrize(
    ("suffix", "options", "streamed"),
    [
        ("mp3", "-write_xing 0", False),
        ("adts", "", False),
        ("ac3", "", False),
        ("opus", "", False),
        ("ts", "-c:a aac", False),
        ("wav", "", True),
        ("au", "", True),
        ("flac", "", True),
        ("webm", "-live 1", True),
    ],
)
def test_where_nothing_states_a_length_nothing_is_promised(
    suffix: str, options: str, streamed: bool, record: Record
) -> None:
    media = inspected(record(suffix, *options.split(), streamed=streamed))
    assert media.duration_seconds == pytest.approx(SECONDS, abs=PADDING)
    if suffix not in ("au", "flac", "wav"):
        assert media.promised_seconds is None


def with_byte_rate(wav: bytes, byte_rate: int) -> bytes:
    at = wav.index(b"fmt ") + 16
    return wav[:at] + struct.pack("<I", byte_rate) + wav[at + 4 :]


@pytest.mark.parametrize("codec", ["adpcm_ima_wav", "adpcm_ms", "pcm_mulaw", "pcm_s24le"])
@pytest.mark.parametrize("byte_rate", [1, 1000, 16_000, 400_000])
def test_the_byte_rate_of_a_wav_is_not_believed(codec: str, byte_rate: int, record: Record) -> None:
    media = inspected(with_byte_rate(record("wav", "-c:a", codec, "-ar", "8000"), byte_rate))
    assert media.duration_seconds == pytest.approx(SECONDS, abs=PADDING)


@pytest.mark.parametrize("offset", [600, 3600, 36_000])
@pytest.mark.parametrize(
    ("suffix", "options"), [("ogg", "-c:a libopus"), ("ogg", "-c:a libvorbis"), ("mka", "-c:a aac"), ("ts", "-c:a aac")]
)
def test_a_recording_that_starts_late_lasts_as_long_as_its_sound(
    suffix: str, options: str, offset: int, record: Record
) -> None:
    media = inspected(record(suffix, *options.split(), "-output_ts_offset", str(offset)))
    assert media.duration_seconds == pytest.approx(SECONDS, abs=PADDING)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("mkv", "-c:v mpeg4 -c:a aac"),
        ("webm", "-c:v libvpx -deadline realtime -c:a libopus"),
        ("avi", "-c:v mpeg4"),
        ("mp4", "-c:v mpeg4"),
        ("mov", "-c:v mpeg4"),
        ("flv", "-c:v flv1 -c:a aac"),
    ],
)
def test_a_longer_picture_does_not_lengthen_the_sound(suffix: str, options: str, record: Record) -> None:
    short = f"-map 1:v -filter_complex [0:a]atrim=end=2[a] -map [a] {options}"
    media = inspected(record(suffix, *short.split(), picture=PICTURE))
    assert media.duration_seconds == pytest.approx(2, abs=PADDING)


def test_a_clock_that_jumps_is_not_believed(record: Record) -> None:
    sound = record("ts", "-c:a", "aac", "-b:a", "96k", seconds=30)
    later = record("ts", "-c:a", "aac", "-b:a", "96k", "-output_ts_offset", "36000", seconds=30)
    media = inspected(sound + later)
    assert media.duration_is_estimate
    assert media.duration_seconds == pytest.approx(60, rel=0.1)


@pytest.mark.parametrize("suffix", ["webm", "flac"])
def test_joined_recordings_without_sizes_are_estimated_together(suffix: str, record: Record) -> None:
    part = record(suffix, *(("-live", "1", "-cluster_time_limit", "500") if suffix == "webm" else ()), streamed=True)
    media = inspected(part * 3)
    assert media.duration_is_estimate
    assert media.duration_seconds == pytest.approx(3 * SECONDS, rel=0.15)


@pytest.mark.parametrize("stated", ["nothing", "what is left after 4 GB", "a quarter"])
def test_a_wav_of_more_than_4_gb_lasts_as_long_as_it_has_sound(stated: str, record: Record) -> None:
    head = record("wav")
    at = head.index(b"data") + 4
    sound = 2**32 + 88_200 * 100
    size = {"nothing": 0, "what is left after 4 GB": sound - 2**32, "a quarter": sound // 4}[stated]
    pieces: list[Piece] = [(0, head[:at] + struct.pack("<I", size))]
    remote = RemoteObject(at + 4 + sound, pieces)
    media = inspect(remote.fetch, remote.size)
    assert media.duration_seconds == pytest.approx(sound / 88_200, abs=0.01)
    assert media.has_wrong_header == (size > 0)
    assert remote.bytes_fetched < 2**20


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("wav", "-ac 2"),
        ("wav", "-rf64 always"),
        ("aiff", ""),
        ("avi", "-c:a pcm_s16le"),
        ("mka", "-c:a aac"),
        ("webm", ""),
        ("m4a", ""),
        ("mp4", "-movflags faststart"),
        ("wma", ""),
        ("flv", "-c:a aac"),
    ],
)
@pytest.mark.parametrize("times", [2, 3, 10])
def test_joined_recordings_last_as_long_as_all_of_them(suffix: str, options: str, times: int, record: Record) -> None:
    media = inspected(record(suffix, *options.split()) * times)
    assert media.duration_seconds == pytest.approx(times * SECONDS, abs=times * 0.05)
    assert media.duration_is_estimate == (times > MAX_RECORDINGS)
    assert media.promised_seconds == (
        None if times > MAX_RECORDINGS else pytest.approx(media.duration_seconds, rel=0.01)
    )


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("opus", ""),
        ("ogg", "-c:a libvorbis"),
        ("ts", "-c:a aac"),
        ("mpg", ""),
        ("webm", "-live 1"),
    ],
)
@pytest.mark.parametrize("times", [2, 3])
def test_joined_recordings_whose_clock_restarts_are_counted(
    suffix: str, options: str, times: int, record: Record
) -> None:
    media = inspected(record(suffix, *options.split()) * times)
    assert media.duration_is_estimate
    assert media.duration_seconds == pytest.approx(times * SECONDS, rel=0.1)


@pytest.mark.parametrize("suffix", ["wv", "tta"])
def test_lossless_sound_that_was_cut_is_not_quoted_whole(suffix: str, record: Record) -> None:
    whole = record(suffix, seconds=4 * SECONDS)
    assert inspected(whole).duration_seconds == pytest.approx(4 * SECONDS, abs=0.01)
    cut = inspected(whole[: len(whole) // 2])
    assert cut.promised_seconds == pytest.approx(4 * SECONDS, abs=0.01)
    assert cut.duration_seconds == pytest.approx(2 * SECONDS, rel=0.1)


def test_a_wav_joined_to_one_of_another_rate(record: Record) -> None:
    media = inspected(record("wav") + record("wav", "-ar", "8000", "-ac", "2"))
    assert (media.sample_rate_hz, media.channels) == (44_100, 1)
    assert media.duration_seconds == pytest.approx(2 * SECONDS, abs=0.01)


HOUR = 3600
TICKS = 44_100
"""Of a second, in the movie and in its track."""


def patched(data: bytes, kind: bytes, offset: int, value: int) -> bytes:
    at = data.index(kind) + 4 + offset
    return data[:at] + struct.pack(">I", value) + data[at + 4 :]


@pytest.mark.parametrize("kind", [b"tkhd", b"mdhd", b"mvhd"])
@pytest.mark.parametrize("seconds", [0, 1, HOUR])
def test_lengths_in_the_headers_of_an_mp4_do_not_change_its_sound(kind: bytes, seconds: int, record: Record) -> None:
    offset = {b"tkhd": 20, b"mdhd": 16, b"mvhd": 16}[kind]
    assert inspected(patched(record("m4a"), kind, offset, seconds * TICKS)).duration_seconds == pytest.approx(
        SECONDS, abs=0.03
    )


def with_edits(data: bytes, *edits: tuple[float, float]) -> bytes:
    """An MP4 whose sound is edited so: seconds of length, and of the place in the track, below 0 for a pause."""
    content = struct.pack(">II", 0, len(edits))
    for length, start in edits:
        content += struct.pack(">IiI", int(length * TICKS), int(start * TICKS) if start >= 0 else -1, 1 << 16)
    return with_content(data, (b"moov", b"trak", b"edts", b"elst"), content)


@pytest.mark.parametrize(
    ("edits", "seconds"),
    [
        (((5, 0),), 5),
        (((5, -1), (5, 0)), 10),
        (((2, 0),), 2),
        (((5, 2),), 3),
        (((0, 0),), 5),
        (((60, 0),), 5),
        (((1, 0), (1, 3)), 2),
    ],
    ids=["whole", "empty first", "beginning", "to the end", "no length", "longer than it is", "two pieces"],
)
def test_an_edit_list_counts(edits: tuple[tuple[float, float], ...], seconds: float, record: Record) -> None:
    assert inspected(with_edits(record("m4a"), *edits)).duration_seconds == pytest.approx(seconds, abs=0.05)
