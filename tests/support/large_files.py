"""Uploads of 400 MB that take no room, each with the length of its sound in seconds."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from tests.support.mp4_boxes import boxes, with_content
from tests.support.remote_object import Piece, RemoteObject, RepeatedObject
from tests.support.tone_recordings import SECONDS, Record

MB = 1_000_000
LARGE = 400 * MB

Build = Callable[[Record], tuple[RemoteObject, float]]


def mp4_with_header_at_the_end(record: Record) -> tuple[RemoteObject, float]:
    data = record("m4a")
    places = {kind: (start, end) for start, kind, end in boxes(data)}
    mdat, moov = places[b"mdat"], places[b"moov"]
    longer = struct.pack(">I4s", LARGE, b"mdat")
    return RemoteObject(
        mdat[0] + LARGE + moov[1] - moov[0], [(0, data[: mdat[0]] + longer), (mdat[0] + LARGE, data[moov[0] :])]
    ), SECONDS


def mp4_with_megabytes_of_tables(record: Record) -> tuple[RemoteObject, float]:
    data = record("m4a", "-movflags", "faststart")
    samples = 6 * MB // 4
    sizes = struct.pack(">III", 0, 0, samples) + struct.pack(">I", 260) * samples
    grown = with_content(data, (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsz"), sizes)
    mdat = grown.rindex(b"mdat") - 4
    return RemoteObject(mdat + LARGE, [(0, grown[:mdat] + struct.pack(">I4s", LARGE, b"mdat"))]), SECONDS


def mp4_in_fragments(record: Record) -> tuple[RemoteObject, float]:
    data = record("mp4", "-movflags", "frag_keyframe+empty_moov+default_base_moof", "-frag_duration", "500000")
    second = data.index(b"moof", data.index(b"moof") + 4) - 4
    return RemoteObject(
        LARGE + len(data),
        [(0, data[:second]), (second, struct.pack(">I4s", LARGE, b"free")), (second + LARGE, data[second:])],
    ), SECONDS


def wav(record: Record) -> tuple[RemoteObject, float]:
    data = record("wav")
    at = data.index(b"data")
    return RemoteObject(LARGE, [(0, data[:at] + b"data" + struct.pack("<I", LARGE - at - 8))]), (
        LARGE - at - 8
    ) / 88_200


def matroska(record: Record) -> tuple[RemoteObject, float]:
    data = record("webm", "-live", "1", "-cluster_time_limit", "500", streamed=True)
    cluster = bytes.fromhex("1f43b675")
    second = data.index(cluster, data.index(cluster) + 4)
    void = bytes.fromhex("ec01") + (LARGE - 9).to_bytes(7)
    return RemoteObject(LARGE + len(data), [(0, data[:second] + void), (second + LARGE, data[second:])]), SECONDS


def avi_with_index_at_the_end(record: Record) -> tuple[RemoteObject, float]:
    return avi(record("avi")), SECONDS


def avi_with_indexes_all_over(record: Record) -> tuple[RemoteObject, float]:
    """OpenDML: an index of indexes, in the room that FFmpeg leaves for one."""
    data = record("avi")
    room = data.index(b"JUNK")
    places = range(2 * MB, LARGE, 2 * MB)
    super_index = struct.pack("<HBBI4s12x", 4, 0, 0, len(places), b"00wb")
    entries = b"".join(struct.pack("<QII", place, 32, 1) for place in places)
    head = data[:room] + b"indx" + data[room + 4 : room + 8] + super_index + entries
    index = struct.pack("<4sIHBBI4sQI", b"ix00", 24, 2, 0, 1, 0, b"00wb", 0, 0)
    return avi(head + data[len(head) :], [(place, index) for place in places]), SECONDS


def avi(data: bytes, more: Sequence[Piece] = ()) -> RemoteObject:
    """The file with an index of hundreds of megabytes."""
    index = data.rindex(b"idx1")
    size = index + 8 + LARGE
    pieces = data[:4] + struct.pack("<I", size - 8) + data[8:index] + struct.pack("<4sI", b"idx1", LARGE)
    return RemoteObject(size, [(0, pieces), *more])


def repeated(suffix: str, *options: str, head: int = 0) -> Build:
    def build(record: Record) -> tuple[RemoteObject, float]:
        data = record(suffix, *options)
        times = LARGE // len(data)
        return RepeatedObject(data[:head], data[head:], times), times * SECONDS

    return build


def flac(record: Record) -> tuple[RemoteObject, float]:
    """Sound at both ends of a large file; the frames at the end tell their time."""
    data = record("flac", streamed=True)
    middle = len(data) // 2
    return RemoteObject(LARGE + len(data), [(0, data[:middle]), (middle + LARGE, data[middle:])]), SECONDS


FILES = {
    "mp4 with header at the end": mp4_with_header_at_the_end,
    "mp4 with megabytes of tables": mp4_with_megabytes_of_tables,
    "mp4 in fragments": mp4_in_fragments,
    "wav": wav,
    "matroska": matroska,
    "avi with index at the end": avi_with_index_at_the_end,
    "avi with indexes all over": avi_with_indexes_all_over,
    "flac": flac,
    "mp3": repeated("mp3", "-write_xing", "0", "-id3v2_version", "0"),
    "aac": repeated("adts"),
    "ac3": repeated("ac3"),
    "amr": repeated("amr", "-ar", "8000", head=6),
}
