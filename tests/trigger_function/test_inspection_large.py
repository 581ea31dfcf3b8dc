"""Of an upload of 400 MB inspection moves less than 1 MiB, in few requests."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import pytest

from tests.trigger_function.conftest import SECONDS, Record
from tests.trigger_function.remote import Remote, Repeated
from trigger_function.inspection import inspect

MB = 1_000_000
LARGE = 400 * MB


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def boxes(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    start = 0
    while start < len(data):
        size, kind = struct.unpack_from(">I4s", data, start)
        yield start, kind, start + size
        start += size


def mp4_with_header_at_the_end(record: Record) -> tuple[Remote, float]:
    data = record("m4a")
    places = {kind: (start, end) for start, kind, end in boxes(data)}
    mdat, moov = places[b"mdat"], places[b"moov"]
    longer = struct.pack(">I4s", LARGE, b"mdat")
    return Remote(
        mdat[0] + LARGE + moov[1] - moov[0], [(0, data[: mdat[0]] + longer), (mdat[0] + LARGE, data[moov[0] :])]
    ), SECONDS


def with_larger(data: bytes, path: tuple[bytes, ...], content: bytes) -> bytes:
    """Boxes in which the one at `path` has this content; its parents grow with it."""
    kind, *rest = path
    parts = []
    for start, found, end in boxes(data):
        inner = data[start + 8 : end]
        if found == kind:
            inner = with_larger(inner, tuple(rest), content) if rest else content
        parts.append(box(found, inner))
    return b"".join(parts)


def mp4_with_megabytes_of_tables(record: Record) -> tuple[Remote, float]:
    data = record("m4a", "-movflags", "faststart")
    samples = 6 * MB // 4
    sizes = struct.pack(">III", 0, 0, samples) + struct.pack(">I", 260) * samples
    grown = with_larger(data, (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsz"), sizes)
    mdat = grown.rindex(b"mdat") - 4
    return Remote(mdat + LARGE, [(0, grown[:mdat] + struct.pack(">I4s", LARGE, b"mdat"))]), SECONDS


def mp4_in_fragments(record: Record) -> tuple[Remote, float]:
    data = record("mp4", "-movflags", "frag_keyframe+empty_moov+default_base_moof", "-frag_duration", "500000")
    second = data.index(b"moof", data.index(b"moof") + 4) - 4
    return Remote(
        LARGE + len(data),
        [(0, data[:second]), (second, struct.pack(">I4s", LARGE, b"free")), (second + LARGE, data[second:])],
    ), SECONDS


def wav(record: Record) -> tuple[Remote, float]:
    data = record("wav")
    at = data.index(b"data")
    return Remote(LARGE, [(0, data[:at] + b"data" + struct.pack("<I", LARGE - at - 8))]), (LARGE - at - 8) / 88_200


def matroska(record: Record) -> tuple[Remote, float]:
    data = record("webm", "-live", "1", "-cluster_time_limit", "500", streamed=True)
    cluster = bytes.fromhex("1f43b675")
    second = data.index(cluster, data.index(cluster) + 4)
    void = bytes.fromhex("ec01") + (LARGE - 9).to_bytes(7)
    return Remote(LARGE + len(data), [(0, data[:second] + void), (second + LARGE, data[second:])]), SECONDS


def avi(record: Record) -> tuple[Remote, float]:
    data = record("avi")
    index = data.rindex(b"idx1")
    longer = struct.pack("<4sI", b"idx1", LARGE)
    size = index + 8 + LARGE
    return Remote(size, [(0, data[:4] + struct.pack("<I", size - 8) + data[8:index] + longer)]), SECONDS


def repeated(suffix: str, *options: str, head: int = 0) -> Callable[[Record], tuple[Remote, float]]:
    def build(record: Record) -> tuple[Remote, float]:
        data = record(suffix, *options)
        times = LARGE // len(data)
        return Repeated(data[:head], data[head:], times), times * SECONDS

    return build


def flac(record: Record) -> tuple[Remote, float]:
    """Sound at both ends of a large file; the frames at the end tell their time."""
    data = record("flac", streamed=True)
    middle = len(data) // 2
    return Remote(LARGE + len(data), [(0, data[:middle]), (middle + LARGE, data[middle:])]), SECONDS


FILES = {
    "mp4 with header at the end": mp4_with_header_at_the_end,
    "mp4 with megabytes of tables": mp4_with_megabytes_of_tables,
    "mp4 in fragments": mp4_in_fragments,
    "wav": wav,
    "matroska": matroska,
    "avi": avi,
    "flac": flac,
    "mp3": repeated("mp3", "-write_xing", "0", "-id3v2_version", "0"),
    "aac": repeated("adts"),
    "ac3": repeated("ac3"),
    "amr": repeated("amr", "-ar", "8000", head=6),
}


@pytest.mark.parametrize("build", FILES.values(), ids=FILES)
def test_moves_little_of_a_large_file(build: Callable[[Record], tuple[Remote, float]], record: Record) -> None:
    remote, seconds = build(record)
    media = inspect(remote.fetch, remote.size)
    assert remote.size >= LARGE * 0.99
    assert media.duration_seconds == pytest.approx(seconds, rel=0.012)
    assert remote.bytes_fetched < 2**20
    assert len(remote.requests) <= 16


@pytest.mark.parametrize("suffix", ["ts", "mpg"])
def test_moves_little_of_a_large_broadcast(suffix: str, record: Record) -> None:
    data = record(suffix, "-c:a", "mp2", seconds=60)
    remote = Repeated(b"", data, LARGE // len(data))
    inspect(remote.fetch, remote.size)
    assert remote.bytes_fetched < 2**20
    assert len(remote.requests) <= 16
