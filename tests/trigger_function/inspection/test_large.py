"""Of an upload of 400 MB inspection moves less than 1 MiB, in few requests."""

from __future__ import annotations

import pytest

from tests.support.large_files import FILES, LARGE, Build
from tests.support.remote_object import RepeatedObject
from tests.support.tone_recordings import Record
from trigger_function.inspection.inspector import inspect


@pytest.mark.parametrize("build", FILES.values(), ids=FILES)
def test_moves_little_of_a_large_file(build: Build, record: Record) -> None:
    remote, seconds = build(record)
    media = inspect(remote.fetch, remote.size)
    assert remote.size >= LARGE * 0.99
    assert media.duration_seconds == pytest.approx(seconds, rel=0.012)
    assert remote.bytes_fetched < 2**20
    assert len(remote.requests) <= 16


@pytest.mark.parametrize("suffix", ["ts", "mpg"])
def test_moves_little_of_a_large_broadcast(suffix: str, record: Record) -> None:
    data = record(suffix, "-c:a", "mp2", seconds=60)
    remote = RepeatedObject(b"", data, LARGE // len(data))
    inspect(remote.fetch, remote.size)
    assert remote.bytes_fetched < 2**20
    assert len(remote.requests) <= 16
