"""Files that cannot be transcribed: each is refused with a reason that its owner understands."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from shared.errors import BadMedia
from tests.support.remote_object import RemoteObject
from tests.support.tone_recordings import Record, ffmpeg
from trigger_function.inspection.inspector import inspect

KEY = "76a6c65c5ea762046bd749a2e632ccbb"


def refusal(data: bytes) -> str:
    with pytest.raises(BadMedia) as caught:
        inspect(RemoteObject.of(data).fetch, len(data))
    return caught.value.reason


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as members:
        members.writestr("a.txt", "hello")
    return file.getvalue()


OTHERS = {
    "text": (b"Dear all,\nplease find attached\n" * 9, "text"),
    "text with accents": ("Grüße an alle\n".encode() * 9, "text"),
    "text of 16 bits": (("Grüße an alle\n" * 9).encode("utf-16"), "text"),
    "one letter": (b"a", "text"),
    "web page": (b"\xef\xbb\xbf\n<!DOCTYPE html><html><body>404</body></html>", "a web page"),
    "json": (b'{"text": "hello"}', "JSON"),
    "xml": (b'<?xml version="1.0"?><a/>', "XML"),
    "subtitles": (b"WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n", "subtitles"),
    "m3u8": (b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n", "a playlist, which only names other files"),
    "ffconcat": (b"ffconcat version 1.0\nfile /etc/passwd\n", "a playlist, which only names other files"),
    "pls": (b"[playlist]\nFile1=http://example.com/a.mp3\n", "a playlist, which only names other files"),
    "dash": (b'<?xml version="1.0"?>\n<MPD type="static"></MPD>', "a playlist, which only names other files"),
    "sdp": (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=audio 5004 RTP/AVP 0\r\n", "a session description, which only"),
    "zip": (archive(), "a ZIP archive or an office document"),
    "gzip": (b"\x1f\x8b\x08\0" + bytes(99), "a compressed archive"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document"),
    "program": (b"\x7fELF\2\1\1" + bytes(99), "a program"),
    "audible": (b"\0\0\1\0\x57\x90\x75\x36" + bytes(99), "an Audible book, which is encrypted (DRM)"),
    "raw H.264": (b"\0\0\0\1\x67\x64\0\x1f" + bytes(99), "a picture stream without sound"),
    "midi": (b"MThd\0\0\0\6\0\1\0\1\0\x60", "MIDI notes without sound"),
}


@pytest.mark.parametrize(("data", "kind"), OTHERS.values(), ids=OTHERS)
def test_says_what_a_file_without_sound_looks_like(data: bytes, kind: str) -> None:
    assert refusal(data).startswith(f"This is not an audio or video file (it looks like {kind}")


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tiff", "webp", "avif"])
def test_an_image_is_not_a_video(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"image.{suffix}"
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x64:rate=2", "-frames:v", "1", "-update", "1", str(file))
    assert refusal(file.read_bytes()) == "This is not an audio or video file (it looks like an image)."


@pytest.mark.parametrize("data", [b"\0", b"\0" * 5000, bytes(range(128, 256)) * 50], ids=["zero", "zeros", "bytes"])
def test_bytes_that_say_nothing(data: bytes) -> None:
    assert refusal(data) == "This is not an audio or video file of a known kind."


@pytest.mark.parametrize(("suffix", "options"), [("adx", ""), ("ast", "-c:a pcm_s16be_planar"), ("g722", "-ar 16000")])
def test_a_container_that_is_not_on_the_list(suffix: str, options: str, record: Record) -> None:
    assert refusal(record(suffix, *options.split())) == "This is not an audio or video file of a known kind."


def test_an_empty_file() -> None:
    assert refusal(b"") == "The file is empty."


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm", "avi", "ts"])
def test_a_film_without_sound(suffix: str, record: Record) -> None:
    codec = "libvpx" if suffix == "webm" else "mpeg4"
    film = record(suffix, "-map", "1:v", "-c:v", codec, picture="testsrc=size=64x48:rate=25")
    assert refusal(film) == "The file has no audio track (video only)."


@pytest.mark.parametrize("suffix", ["mp4", "m4a"])
def test_common_encryption(suffix: str, record: Record) -> None:
    scheme = ("-encryption_scheme", "cenc-aes-ctr", "-encryption_key", KEY, "-encryption_kid", KEY[::-1])
    assert refusal(record(suffix, "-f", "mp4", *scheme)) == "The file is encrypted (DRM), so it cannot be read."


@pytest.mark.parametrize("entry", [b"drms", b"aavd"], ids=["FairPlay", "Audible"])
def test_encryption_of_shops(entry: bytes, record: Record) -> None:
    assert "encrypted" in refusal(record("m4a").replace(b"mp4a", entry))


@pytest.mark.parametrize(
    "mark", ["fbb3112223bdd211b4b700a0c955fc6e", "14e68a292226174cb935dae07ee9289c"], ids=["old", "extended"]
)
def test_encrypted_windows_media(mark: str, record: Record) -> None:
    codec_list = bytes.fromhex("4052d1861d31d011a3a400a0c90348f6")
    assert codec_list in (data := record("asf"))
    assert "encrypted" in refusal(data.replace(codec_list, bytes.fromhex(mark)))


@pytest.mark.parametrize("options", ["", "-mpegts_m2ts_mode 1"])
def test_a_scrambled_transport_stream(options: str, record: Record) -> None:
    data = bytearray(record("ts", "-c:a", "aac", *options.split()))
    size = 192 if options else 188
    for start in range(size - 188, len(data), size):
        assert data[start] == 0x47
        is_table = data[start + 1] & 0x1F == 0 and data[start + 2] == 0
        data[start + 3] |= 0 if is_table else 0x80
    assert refusal(bytes(data)) == "The file is encrypted (DRM), so it cannot be read."


def test_encrypted_matroska(record: Record) -> None:
    assert "encrypted" in refusal(with_encryption(record("webm", "-live", "1", streamed=True)))


def element(identity: str, content: bytes) -> bytes:
    """One EBML element with a size of eight bytes."""
    return bytes.fromhex(identity) + b"\1" + len(content).to_bytes(7) + content


def with_encryption(matroska: bytes) -> bytes:
    """The file with its first track declared encrypted."""
    key = element("47e2", bytes(range(16)))
    encryption = element("5035", element("47e1", b"\5") + key)
    encodings = element("6d80", element("6240", element("5032", b"\1") + element("5033", b"\1") + encryption))
    start = matroska.rindex(bytes.fromhex("1654ae6b"), 0, matroska.index(bytes.fromhex("1f43b675")))
    size, body = size_at(matroska, start + 4)
    entry = matroska.index(b"\xae", body)
    entry_size, entry_body = size_at(matroska, entry + 1)
    track = element("ae", matroska[entry_body : entry_body + entry_size] + encodings)
    return matroska[:start] + element("1654ae6b", track) + matroska[body + size :]


def size_at(data: bytes, at: int) -> tuple[int, int]:
    """An EBML size, and where the content begins."""
    width = 9 - data[at].bit_length()
    return int.from_bytes(data[at : at + width]) & ((1 << 7 * width) - 1), at + width


def test_an_mp4_that_was_never_finished(record: Record) -> None:
    data = record("m4a")
    assert "never finished" in refusal(data[: data.rindex(b"moov") - 4])


def test_an_mp4_whose_header_is_cut(record: Record) -> None:
    assert refusal(record("m4a")[:-200]) == "The file is damaged: its header is cut off."


def test_an_mp4_that_ends_behind_its_header(record: Record) -> None:
    data = record("m4a", "-movflags", "faststart")
    assert "ends where its sound should begin" in refusal(data[: data.index(b"mdat") + 4])


@pytest.mark.parametrize("suffix", ["wav", "flac", "opus", "webm", "caf", "aiff", "avi", "asf", "mp3"])
@pytest.mark.parametrize("length", [12, 20])
def test_a_header_that_is_cut(suffix: str, length: int, record: Record) -> None:
    assert refusal(record(suffix)[:length]).startswith("The file is damaged: its header is cut off")


def test_a_recording_of_nothing(record: Record) -> None:
    wav = record("wav")
    samples = wav.index(b"data") + 4
    assert refusal(wav[:samples] + bytes(4)) == "The recording is 0 seconds long."
    assert refusal(b"#!AMR\n") == "The recording is 0 seconds long."


def with_sample_duration(movie: bytes, ticks: int) -> bytes:
    """An MP4 without edits, each of whose samples lasts so long."""
    data = bytearray(movie.replace(b"elst", b"free"))
    at = data.index(b"stts") + 8
    for entry in range(int.from_bytes(data[at : at + 4])):
        place = at + 8 + 8 * entry
        data[place : place + 4] = ticks.to_bytes(4)
    mdhd = data.index(b"mdhd") + 20
    data[mdhd : mdhd + 4] = bytes(4)
    tkhd = data.index(b"tkhd") + 24
    data[tkhd : tkhd + 4] = bytes(4)
    return bytes(data)


def test_an_mp4_that_says_0_seconds(record: Record) -> None:
    assert refusal(with_sample_duration(record("m4a"), 0)) == "The recording is 0 seconds long."


def test_an_mp4_that_says_longer_than_it_can_last(record: Record) -> None:
    assert "lasts longer than it can" in refusal(with_sample_duration(record("m4a"), 2**31 - 1))


@pytest.mark.parametrize(
    ("offset", "value", "expected"),
    [
        (8, b"\0\0", "0 channels"),
        (8, b"\xff\xff", "65535 channels"),
        (10, bytes(4), "at 0 Hz"),
        (10, b"\xff\xff\xff\x7f", "at 2147483647 Hz"),
    ],
)
def test_sound_that_cannot_be(offset: int, value: bytes, expected: str, record: Record) -> None:
    wav = record("wav")
    at = wav.index(b"fmt ") + 2 + offset
    reason = refusal(wav[:at] + value + wav[at + len(value) :])
    assert reason.startswith("The file is damaged: its header")
    assert expected in reason or "cannot be read" in reason


def test_more_channels_than_can_be_read_are_no_damage(record: Record) -> None:
    wav = record("wav")
    at = wav.index(b"fmt ") + 10
    reason = refusal(wav[:at] + b"\x41\0" + wav[at + 2 :])
    assert reason == "The recording has 65 channels; at most 64 can be read."


def test_a_header_larger_than_may_be_read(record: Record, large_cover: str) -> None:
    remote = RemoteObject.of(record("mkv", "-attach", large_cover, "-metadata:s:t", "mimetype=image/png"))
    with pytest.raises(BadMedia, match="header is too large"):
        inspect(remote.fetch, remote.size)
    assert remote.bytes_fetched <= 8 * 2**20


@pytest.mark.parametrize("size", [1, 100_000, 5_000_000])
def test_an_mp4_whose_boxes_are_nonsense(size: int) -> None:
    remote = RemoteObject(8 + size, [(0, b"\0\0\0\x08ftyp")])
    with pytest.raises(BadMedia, match="never finished"):
        inspect(remote.fetch, remote.size)
    assert remote.bytes_fetched < 2**20
