"""Objects written while they are made: the same bytes, once, whatever becomes of a request."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from google.cloud.storage import Bucket
from hypothesis import given
from hypothesis import strategies as st

from shared import objects, piece_stream
from shared.piece_stream import PieceStream, create_once_from
from tests.support.loopback_cloud import STATE, LoopbackCloud

CHUNK_BYTES = 2**18
"""The least that Cloud Storage takes in a chunk."""

CONTENT = bytes(range(256)) * 2_500
PIECES = [CONTENT[first : first + 100_000] for first in range(0, len(CONTENT), 100_000)]


@pytest.fixture
def bucket(cloud: LoopbackCloud) -> Bucket:
    return cloud.storage.bucket(STATE)


@given(st.lists(st.binary(max_size=9), max_size=9), st.integers(1, 12))
def test_pieces_are_read_as_one_file(pieces: list[bytes], size: int) -> None:
    stream, whole = PieceStream(pieces), b"".join(pieces)
    for first in range(0, len(whole) + 1, size):
        assert stream.tell() == min(first, len(whole))
        assert stream.read(size) == whole[first : first + size]


@pytest.mark.parametrize("length", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, len(CONTENT)])
def test_what_is_stored_is_all_of_it(bucket: Bucket, length: int) -> None:
    pieces = (piece for piece in (PIECES if length == len(CONTENT) else [CONTENT[:length]]))
    with patch.object(piece_stream, "CHUNK_BYTES", CHUNK_BYTES):
        create_once_from(bucket, "a.json", pieces, "application/json")
    blob = bucket.get_blob("a.json")
    assert blob is not None
    assert blob.content_type == "application/json"
    assert blob.download_as_bytes() == CONTENT[:length]


def test_what_was_stored_first_stands(bucket: Bucket) -> None:
    objects.create_once(bucket, "a.json", b"first")
    create_once_from(bucket, "a.json", iter(PIECES), "application/json")
    stored = objects.read(bucket, "a.json")
    assert stored is not None
    assert stored.data == b"first"


@pytest.mark.parametrize("before", [True, False], ids=["refused", "answer lost"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_request_that_fails_is_repeated(cloud: LoopbackCloud, bucket: Bucket, method: str, before: bool) -> None:
    cloud.storage_server.fail_next(1, method=method, name_prefix="a.json", before=before)
    with patch.object(piece_stream, "CHUNK_BYTES", CHUNK_BYTES):
        create_once_from(bucket, "a.json", iter(PIECES), "application/json")
    stored = objects.read(bucket, "a.json")
    assert stored is not None
    assert stored.data == CONTENT
