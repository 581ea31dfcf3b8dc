"""Gzip streams are unpacked whole, whatever the blocks they come in, or refused with the reason."""

from __future__ import annotations

import gzip
import random
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import BadMedia, Rejected
from shared.gzip_content import PIECE_BYTES, GzipDecoder, is_gzip_encoded, unpacked

LIMIT = 10_000_000


def blocks(data: bytes, length: int) -> Iterator[bytes]:
    for start in range(0, len(data), length):
        yield data[start : start + length]


@given(members=st.lists(st.binary(max_size=300), min_size=1, max_size=4), length=st.integers(1, 50))
def test_the_content_of_all_members_comes_out(members: list[bytes], length: int) -> None:
    packed = b"".join(gzip.compress(member) for member in members) + bytes(7)
    assert b"".join(unpacked(blocks(packed, length), LIMIT)) == b"".join(members) == gzip.decompress(packed)


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 5])
@pytest.mark.parametrize("block", [100, 2**30])
def test_pieces_are_small_and_none_is_left_in_the_decoder(size: int, block: int) -> None:
    pieces = list(unpacked(blocks(gzip.compress(bytes(size)), block), LIMIT))
    assert sum(map(len, pieces)) == size
    assert all(len(piece) <= PIECE_BYTES for piece in pieces)


@given(cut=st.integers(2, 10_000))
def test_a_cut_stream_is_no_content(cut: int) -> None:
    packed = gzip.compress(random.Random(7).randbytes(5000))
    if cut >= len(packed):
        return
    with pytest.raises(BadMedia, match="ends too early"):
        list(unpacked([packed[:cut]], LIMIT))


@pytest.mark.parametrize("at", [0, 500, -8, -4])
def test_a_damaged_stream_is_no_content(at: int) -> None:
    packed = bytearray(gzip.compress(random.Random(7).randbytes(5000)))
    packed[at] ^= 0xFF
    with pytest.raises(BadMedia, match="damaged"):
        list(unpacked([bytes(packed)], LIMIT))


def test_other_bytes_behind_the_stream_are_not_passed_over() -> None:
    with pytest.raises(BadMedia, match="cannot be unpacked"):
        list(unpacked([gzip.compress(b"sound") + b"more sound"], LIMIT))


def test_a_bomb_ends_at_the_limit_and_takes_no_memory() -> None:
    bomb = gzip.compress(gzip.compress(bytes(400_000_000), 1), 1)
    inner = gzip.decompress(bomb)
    pieces = unpacked([inner], LIMIT)
    tracemalloc.start()
    try:
        out = sum(len(next(pieces)) for _ in range(LIMIT // PIECE_BYTES))
        with pytest.raises(Rejected, match=r"larger than 10 MB \(MAX_UNPACKED_BYTES\)"):
            next(pieces)
        assert tracemalloc.get_traced_memory()[1] < 8 * PIECE_BYTES
    finally:
        tracemalloc.stop()
    assert out == LIMIT // PIECE_BYTES * PIECE_BYTES


def test_the_limit_itself_is_allowed() -> None:
    assert b"".join(unpacked([gzip.compress(bytes(1000))], 1000)) == bytes(1000)
    with pytest.raises(Rejected):
        list(unpacked([gzip.compress(bytes(1001))], 1000))


@given(st.binary(min_size=2, max_size=2000), st.data())
def test_a_copy_goes_on_where_the_decoder_stands(content: bytes, data: st.DataObject) -> None:
    packed = gzip.compress(content) + gzip.compress(content)
    at = data.draw(st.integers(0, len(packed)))
    decoder = GzipDecoder(LIMIT)
    front = b"".join(decoder.add(packed[:at]))
    twins = [decoder.copy(), decoder]
    for twin in twins:
        assert front + b"".join(twin.add(packed[at:])) == content * 2
        assert twin.unpacked_bytes == 2 * len(content)
        twin.end()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, False),
        ("", False),
        ("identity", False),
        ("br", False),
        ("gzip", True),
        ("X-GZIP", True),
        ("a, gzip", True),
    ],
)
def test_the_encodings_that_are_gzip(value: str | None, expected: bool) -> None:
    assert is_gzip_encoded(value) is expected
