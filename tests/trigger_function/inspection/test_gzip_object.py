"""Any place of gzip-encoded content is read as it is, by ranged reads of the object."""

from __future__ import annotations

import gzip
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.recordings import recording
from shared.errors import BadMedia, Rejected
from tests.support.remote_object import RemoteObject
from trigger_function.inspection import gzip_object
from trigger_function.inspection.gzip_object import GzipObject
from trigger_function.inspection.inspector import inspect
from trigger_function.inspection.ranged_reader import ShortFetch

CONTENT = random.Random(3).randbytes(300_000) + bytes(40_000_000) + random.Random(4).randbytes(300_000)
REMOTE = RemoteObject.of(gzip.compress(CONTENT, 1))
OBJECT = GzipObject(REMOTE.fetch, REMOTE.size, 100_000_000)


@given(start=st.integers(0, len(CONTENT)), length=st.integers(0, 100_000))
def test_every_place_reads_as_in_the_content(start: int, length: int) -> None:
    end = min(start + length, len(CONTENT))
    assert OBJECT.fetch(start, end) == CONTENT[start:end]


def test_a_far_place_is_not_read_from_the_front() -> None:
    data = random.Random(5).randbytes(40_000_000)
    remote = RemoteObject.of(gzip.compress(data, 1))
    content = GzipObject(remote.fetch, remote.size, 100_000_000)
    assert remote.bytes_fetched == remote.size
    assert max(end - start for start, end in remote.requests) <= gzip_object.FETCH_BYTES
    assert content.fetch(39_000_000, 39_100_000) == data[39_000_000:39_100_000]
    assert remote.bytes_fetched - remote.size < 12 * 2**20


@pytest.mark.parametrize("name", ["call.opus", "interview.m4a", "lecture.flac", "stream.mp4"])
def test_a_packed_recording_is_what_it_is_unpacked(name: str) -> None:
    data = recording(name).path.read_bytes()
    remote = RemoteObject.of(gzip.compress(data))
    content = GzipObject(remote.fetch, remote.size, 100_000_000)
    assert content.unpacked_size == len(data)
    assert inspect(content.fetch, content.unpacked_size) == inspect(RemoteObject.of(data).fetch, len(data))


def test_too_much_content_and_broken_content_are_refused() -> None:
    with pytest.raises(Rejected, match="larger than 20 MB"):
        GzipObject(REMOTE.fetch, REMOTE.size, 20_000_000)
    with pytest.raises(BadMedia, match="ends too early"):
        GzipObject(REMOTE.fetch, REMOTE.size - 9, 100_000_000)


def test_a_short_answer_is_an_error_that_a_retry_may_heal() -> None:
    with pytest.raises(ShortFetch):
        GzipObject(lambda start, end: REMOTE.fetch(start, end)[1:], REMOTE.size, 100_000_000)
