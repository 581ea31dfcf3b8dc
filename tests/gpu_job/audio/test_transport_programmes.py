"""Where a transport stream's sound moves to other streams, a recording begins; more beside it change nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_job.audio.decoder.byte_source import ByteSource, UploadFile
from gpu_job.audio.decoder.joined.transport_programmes import programme_starts
from tests.support.tone_recordings import Record, tone_recorder

PACKET = 188


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return tone_recorder(tmp_path_factory.mktemp("streams"))


def starts(folder: Path, *parts: bytes) -> list[int]:
    path = folder / "a.ts"
    path.write_bytes(b"".join(parts))
    file = UploadFile(str(path))
    return list(programme_starts(ByteSource(file, 0, file.size)))


def without_first_table(stream: bytes) -> int:
    """Bytes before the first table of programmes."""
    return stream.index(b"\x47\x40\x00")


def test_the_same_streams_go_on(record: Record, tmp_path: Path) -> None:
    stream = record("ts", "-c:a", "aac")
    assert starts(tmp_path, stream, stream) == []


@pytest.mark.parametrize(
    "other",
    [
        ("ts", "-c:a", "aac", "-streamid", "0:300"),
        ("ts", "-c:a", "mp2"),
        ("ts", "-c:a", "aac", "-mpegts_flags", "latm"),
        ("ts", "-c:a", "aac", "-mpegts_start_pid", "0x300", "-mpegts_pmt_start_pid", "0x500"),
    ],
    ids=["PID", "codec", "framing", "all PIDs"],
)
def test_other_sound(other: tuple[str, ...], record: Record, tmp_path: Path) -> None:
    stream, second = record("ts", "-c:a", "aac"), record(*other)
    assert starts(tmp_path, stream, second, stream) == [
        len(stream) + without_first_table(second),
        len(stream) + len(second) + without_first_table(stream),
    ]


def test_packets_of_another_length(record: Record, tmp_path: Path) -> None:
    plain, timed = record("ts", "-c:a", "aac"), record("m2ts", "-c:a", "aac", "-mpegts_m2ts_mode", "1")
    assert starts(tmp_path, timed, plain) == [len(timed) + without_first_table(plain)]
    assert starts(tmp_path, plain, timed) == [len(plain) + without_first_table(timed) - 4]


def test_a_track_more_or_less_beside_the_same_one(record: Record, tmp_path: Path) -> None:
    two = ("-map", "0:a", "-map", "0:a")
    one, both = record("ts", "-c:a", "aac"), record("ts", *two, "-c:a", "aac")
    assert starts(tmp_path, one, both, one) == []


def test_a_stream_without_tables(tmp_path: Path) -> None:
    assert starts(tmp_path, b"\x47\x41\x00\x10" + bytes(PACKET - 4)) == []
    assert starts(tmp_path, b"\x47\x40\x00\x10" * 1000) == []
