"""A header that is behind its content is corrected so that a decoder reads all of the sound; a right one is let be."""

from __future__ import annotations

import struct
from typing import NamedTuple

import pytest

from shared.formats.header_sizes import header_patches
from tests.support.decoded_sound import BytesFile, decoded_seconds, last_packet_seconds
from tests.support.remote_object import Piece, RemoteObject
from tests.support.tone_recordings import SECONDS, Record
from trigger_function.inspection.ranged_reader import RangedReader

GUID_OF_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")


class Size(NamedTuple):
    """A size in a header: how a file with it is made, what stands before it, how far behind that, and its layout."""

    suffix: str
    options: str
    marker: bytes
    distance: int
    layout: str
    codec: str = ""


SIZES = {
    "wav": Size("wav", "", b"data", 4, "<I"),
    "wav of 24 bits": Size("wav", "-c:a pcm_s24le -ac 2", b"data", 4, "<I"),
    "wav of mu-law": Size("wav", "-c:a pcm_mulaw -ar 8000", b"data", 4, "<I"),
    "wav of ADPCM": Size("wav", "-c:a adpcm_ima_wav -ar 8000", b"data", 4, "<I"),
    "rf64": Size("wav", "-rf64 always", b"ds64", 16, "<Q"),
    "w64": Size("w64", "", b"data", 16, "<q"),
    "aiff": Size("aiff", "", b"SSND", 4, ">I"),
    "aiff's frames": Size("aiff", "", b"COMM", 10, ">I"),
    "au": Size("au", "", b".snd", 8, ">I"),
    "caf": Size("caf", "", b"data", 4, ">q"),
    "caf of ALAC": Size("caf", "-c:a alac", b"data", 4, ">q"),
    "voc": Size("voc", "-c:a pcm_s16le", b"Creative Voice File\x1a\x1a\0", 27, "<I"),
    "asf": Size("asf", "", GUID_OF_ASF_DATA, 16, "<Q"),
    "m4a": Size("m4a", "", b"mdat", -4, ">I"),
    "fragment": Size("mp4", "-movflags frag_keyframe+empty_moov -frag_duration 500000", b"mdat", -4, ">I"),
}
SHARES = {"nothing": 0.0, "a few bytes": 1e-9, "a quarter": 0.25, "nearly all": 0.9}


def with_size(data: bytes, size: Size, share: float) -> bytes:
    """The file with this share of the true size in its header, even as sizes are."""
    at = data.index(size.marker) + size.distance
    (true,) = struct.unpack_from(size.layout, data, at)
    wrong = struct.pack(size.layout, 2 * int(true * share / 2) or (8 if share else 0))
    width = 3 if size.suffix == "voc" else len(wrong)
    return data[:at] + wrong[:width] + data[at + width :]


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("share", SHARES.values(), ids=SHARES)
def test_all_sound_is_read(size: Size, share: float, record: Record) -> None:
    whole = record(size.suffix, *size.options.split())
    file = BytesFile(with_size(whole, size, share))
    expected = decoded_seconds(BytesFile(whole))
    assert expected == pytest.approx(SECONDS, abs=0.2)
    assert decoded_seconds(file, header_patches(file)) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_right_header_is_let_be(size: Size, record: Record) -> None:
    data = record(size.suffix, *size.options.split())
    assert header_patches(BytesFile(data)) == {}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_file_that_was_cut_is_let_be(size: Size, record: Record) -> None:
    data = record(size.suffix, *size.options.split())
    for end in range(0, len(data), 1 + len(data) // 50):
        patches = header_patches(BytesFile(data[:end]))
        assert all(at + len(patch) <= end for at, patch in patches.items())
        assert patches == {} or end < 2000


@pytest.mark.parametrize("suffix", ["wav", "w64", "aiff", "au", "caf", "voc", "asf"])
def test_what_a_recorder_that_cannot_go_back_writes_is_read_to_the_end(suffix: str, record: Record) -> None:
    file = BytesFile(record(suffix, streamed=True))
    assert decoded_seconds(file, header_patches(file)) == pytest.approx(SECONDS, abs=0.2)


def chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


@pytest.mark.parametrize(
    "behind",
    [
        chunk(b"LIST", b"INFO" + chunk(b"ISFT", b"Recorder")),
        chunk(b"abcd", bytes(7)) + chunk(b"wxyz", b"x" * 8),
        b"TAG" + bytes(125),
        b"ID3\4\0\0\0\0\0\0",
        b"\0" * 7,
        b"bext\xff\xff\xff\xff" + bytes(20),
    ],
    ids=["list", "unknown chunks", "ID3v1", "ID3v2", "a few bytes", "a cut chunk"],
)
def test_what_stands_behind_the_sound_of_a_wav_is_no_sound(behind: bytes, record: Record) -> None:
    assert header_patches(BytesFile(record("wav") + behind)) == {}


def test_a_second_recording_behind_the_first_is_no_sound_of_the_first(record: Record) -> None:
    for suffix in ("wav", "aiff"):
        assert header_patches(BytesFile(record(suffix) * 2)) == {}


GIGABYTES_4 = 2**32
RATE_BYTES = 88_200
"""A second of the tone: 44.1 kHz, 16 bits, one channel."""


@pytest.mark.parametrize("behind", [b"", chunk(b"LIST", b"INFO" + bytes(40))], ids=["to the end", "with a list behind"])
def test_a_wav_of_more_than_4_gb_whose_size_began_anew(behind: bytes, record: Record) -> None:
    head = record("wav")
    at = head.index(b"data") + 4
    sound = GIGABYTES_4 + 1000 * RATE_BYTES
    pieces: list[Piece] = [(0, head[:at] + struct.pack("<I", sound - GIGABYTES_4)), (at + 4 + sound, behind)]
    remote = RemoteObject(at + 4 + sound + len(behind), pieces)
    file = RangedReader(remote.fetch, remote.size)
    patches = header_patches(file)
    assert remote.bytes_fetched < 2**18
    seconds = sound / RATE_BYTES
    assert last_packet_seconds(file, patches, seconds - 5) == pytest.approx(seconds, abs=0.01)


def test_an_rf64_of_more_than_4_gb_whose_sizes_were_never_written(record: Record) -> None:
    head = record("wav", "-rf64", "always")
    sizes, at = head.index(b"ds64") + 8, head.index(b"data") + 8
    remote = RemoteObject(at + GIGABYTES_4 + RATE_BYTES, [(0, head[:sizes] + bytes(24) + head[sizes + 24 : at])])
    file = RangedReader(remote.fetch, remote.size)
    seconds = GIGABYTES_4 / RATE_BYTES + 1
    assert last_packet_seconds(file, header_patches(file), seconds - 5) == pytest.approx(seconds, abs=0.01)


def test_an_mp4_of_more_than_4_gb_whose_size_began_anew(record: Record) -> None:
    """A QuickTime recorder leaves room for the longer size in a box named `wide`."""
    data = record("mov", "-c:a", "pcm_s16le")
    mdat, moov = data.index(b"mdat") - 4, data.index(b"moov") - 4
    assert data[mdat - 4 : mdat] == b"wide"
    far = moov + GIGABYTES_4
    remote = RemoteObject(far + len(data) - moov, [(0, data[:moov]), (far, data[moov:])])
    file = RangedReader(remote.fetch, remote.size)
    patches = header_patches(file)
    assert patches == {mdat - 8: struct.pack(">I4sQ", 1, b"mdat", far - mdat + 8)}
    assert last_packet_seconds(file, patches, SECONDS - 1) == pytest.approx(SECONDS, abs=0.01)
