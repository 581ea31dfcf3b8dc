"""A remote object read through blocks is the object itself, and no more of it moves than was read."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.remote_object import RemoteObject
from trigger_function.inspection.ranged_reader import RangedReader, ReadBudgetExceeded, ShortFetch

DATA = bytes(range(256)) * 4
BLOCK = 64

Step = tuple[int, int]


def reader(remote: RemoteObject, **limits: int) -> RangedReader:
    return RangedReader(remote.fetch, remote.size, **{"block_bytes": BLOCK, **limits})


@given(
    steps=st.lists(st.tuples(st.integers(0, len(DATA) + 100), st.integers(0, 300)), max_size=20),
    cached_blocks=st.integers(1, 5),
)
def test_reads_what_a_local_file_reads(steps: list[Step], cached_blocks: int) -> None:
    remote, local = reader(RemoteObject.of(DATA), cached_blocks=cached_blocks), io.BytesIO(DATA)
    for offset, count in steps:
        assert remote.seek(offset) == local.seek(offset)
        assert remote.read(count) == local.read(count)
        assert remote.tell() == local.tell()


def test_seeks_from_the_start_the_place_and_the_end() -> None:
    file = reader(RemoteObject.of(DATA))
    assert file.seek(-10, io.SEEK_END) == len(DATA) - 10
    assert file.read() == DATA[-10:]
    assert file.seek(10) == 10
    assert file.seek(-4, io.SEEK_CUR) == 6
    with pytest.raises(ValueError, match="-1"):
        file.seek(-1)


def test_fetches_whole_aligned_blocks_and_the_rest_at_the_end() -> None:
    remote = RemoteObject.of(DATA[:1000])
    file = reader(remote)
    file.read_at(100, 1)
    file.read_at(999, 1)
    assert remote.requests == [(64, 128), (960, 1000)]
    assert (file.bytes_fetched, file.requests) == (104, 2)


def test_neighbours_come_in_one_request_and_what_is_there_is_not_fetched_again() -> None:
    remote = RemoteObject.of(DATA)
    file = reader(remote)
    file.read_at(130, 1)
    file.read_at(0, 5 * BLOCK)
    file.read_at(0, 5 * BLOCK)
    assert remote.requests == [(128, 192), (0, 128), (192, 320)]


def test_keeps_the_blocks_used_last() -> None:
    remote = RemoteObject.of(DATA)
    file = reader(remote, cached_blocks=2)
    for block in (0, 1, 0, 2, 0, 1):
        file.read_at(block * BLOCK, 1)
    assert [start // BLOCK for start, _ in remote.requests] == [0, 1, 2, 1]


def test_past_the_end_there_is_nothing_to_fetch() -> None:
    remote = RemoteObject.of(DATA)
    file = reader(remote)
    assert file.read_at(len(DATA), 10) == b""
    assert remote.requests == []


def test_stops_before_the_budget_is_passed() -> None:
    remote = RemoteObject.of(DATA)
    file = reader(remote, max_bytes=3 * BLOCK)
    file.read_at(0, 3 * BLOCK)
    with pytest.raises(ReadBudgetExceeded, match="192"):
        file.read_at(3 * BLOCK, 1)
    assert file.read_at(0, 10) == DATA[:10], "what was fetched stays readable"
    assert remote.bytes_fetched == file.bytes_fetched == 3 * BLOCK


@pytest.mark.parametrize("answer", [b"", b"x" * (BLOCK - 1), b"x" * (BLOCK + 1)], ids=["none", "less", "more"])
def test_a_fetch_of_another_length_is_an_error_that_a_retry_may_heal(answer: bytes) -> None:
    answers = [answer, DATA[:BLOCK]]
    file = RangedReader(lambda start, end: answers.pop(0), len(DATA), block_bytes=BLOCK)
    with pytest.raises(ShortFetch, match=str(len(answer))) as caught:
        file.read(1)
    assert isinstance(caught.value, ConnectionError)
    assert file.read(1) == DATA[:1]


def test_what_a_fetch_raises_comes_out() -> None:
    error = TimeoutError("slow")

    def fetch(start: int, end: int) -> bytes:
        raise error

    with pytest.raises(TimeoutError) as caught:
        RangedReader(fetch, 10).read(1)
    assert caught.value is error


def test_is_read_only() -> None:
    file = reader(RemoteObject.of(DATA))
    assert file.readable()
    assert file.seekable()
    assert not file.writable()
