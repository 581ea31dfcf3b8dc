"""What a decoder hands on before it crashes, and how its reader takes that."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gpu_job.audio.decode import decode
from gpu_job.audio.decoder.records import DecodingRequest, Format, Record, SampleBytes, WindowEnd
from gpu_job.audio.decoder_process.child import DecoderFailed
from gpu_job.audio.decoder_process.command import child_environment
from gpu_job.audio.decoder_process.record_reader import JOINED_BYTES, RecordReader
from gpu_job.audio.decoder_process.start import command
from gpu_job.audio.decoder_stream import DEMUXERS
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from tests.support.dying_decoder import dying_command
from tests.support.sounds import make
from tests.support.started_decoders import start_other
from tests.support.waiting import PATIENCE

SECOND = bytes(range(1, 65)) * 1000
"""Of mono samples."""


@pytest.fixture
def ten_seconds(tmp_path: Path) -> Path:
    return make(tmp_path / "tone.wav", "-f", "lavfi", "-i", "sine=d=10:r=16000")


def record(kind: bytes, data: bytes) -> bytes:
    return struct.pack("<cI", kind, len(data)) + data


def read(reader: RecordReader, data: bytes, step: int) -> list[Record]:
    """`step`: most bytes that the pipe gives at once."""
    records: list[Record] = []
    while data:
        room = reader.room()[:step]
        count = min(len(room), len(data))
        room[:count], data = data[:count], data[count:]
        records += reader.take(count)
    return records


def lengths(records: list[Record]) -> list[int | str]:
    """Of samples their seconds of mono sound, of the rest what it is."""
    return [len(one.data) // len(SECOND) if isinstance(one, SampleBytes) else type(one).__name__ for one in records]


def test_a_decoder_hands_on_every_second(ten_seconds: Path) -> None:
    """So a crash takes no more than that with it."""
    asked = command(DecodingRequest(str(ten_seconds), DEMUXERS))
    written = subprocess.run(asked, env=child_environment(os.environ), capture_output=True, timeout=PATIENCE).stdout

    def samples() -> Iterator[int]:
        at = 0
        while at < len(written):
            kind, length = struct.unpack_from("<cI", written, at)
            at += 5 + length
            if kind == b"S":
                yield length

    given = list(samples())
    assert sum(given) == 10 * len(SECOND)
    assert max(given) <= len(SECOND)


@pytest.mark.parametrize("seconds", [1, 2, 6])
def test_all_that_a_decoder_handed_on_before_it_crashed_is_heard(
    ten_seconds: Path, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    expected = np.concatenate(list(decode(ten_seconds)))
    start_other(monkeypatch, lambda request: dying_command(command(request), seconds))
    heard: list[Samples] = []
    with pytest.raises(DecoderFailed):
        heard.extend(decode(ten_seconds))
    assert np.array_equal(np.concatenate(heard), expected[: seconds * SAMPLE_RATE])


@pytest.mark.parametrize("step", [1000, 64_005, 10**6])
def test_short_records_of_samples_are_joined(step: int) -> None:
    reader = RecordReader()
    data = record(b"S", SECOND) * 18 + record(b"W", b"") + record(b"S", SECOND)
    records = read(reader, data, step)
    assert lengths(records) == [16, 2, "WindowEnd"]
    assert records[:2] == [SampleBytes(SECOND * 16), SampleBytes(SECOND * 2)]
    assert list(reader.end()) == [SampleBytes(SECOND)]
    assert list(reader.end()) == []


@pytest.mark.parametrize("step", [3, 10**6])
def test_records_of_all_lengths_are_read_however_they_come(step: int) -> None:
    """One byte beside what fits, nothing, and more than is ever joined."""
    sizes = (JOINED_BYTES, 1, JOINED_BYTES - 1, 1, JOINED_BYTES + 1, 0, 4 * JOINED_BYTES, 8)
    parts = [bytes([number]) * (size if step > 3 else size // 1000) for number, size in enumerate(sizes, 1)]
    records = read(RecordReader(), b"".join(record(b"S", part) for part in parts) + record(b"W", b"") * 2, step)
    assert b"".join(one.data for one in records if isinstance(one, SampleBytes)) == b"".join(parts)
    assert records[-2:] == [WindowEnd(), WindowEnd()]


def test_samples_that_were_cut_off_are_not_heard() -> None:
    reader = RecordReader()
    data = record(b"S", SECOND) + record(b"S", SECOND)[:-1]
    assert read(reader, data, 10**6) == []
    assert list(reader.end()) == [SampleBytes(SECOND)]


def test_samples_come_before_what_follows_them() -> None:
    data = record(b"F", b'{"channels": 1, "layout": null}') + record(b"S", SECOND) + record(b"W", b"")
    expected = [Format(1, None), SampleBytes(SECOND), WindowEnd()]
    assert read(RecordReader(), data, 7) == expected
