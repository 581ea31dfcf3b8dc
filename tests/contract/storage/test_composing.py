"""Objects composed of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.api_core import exceptions

from tests.support.storage_testbench import beyond_testbench

if TYPE_CHECKING:
    from google.cloud import storage

PARTS = ("first", "second")


@pytest.fixture
def parts(bucket: storage.Bucket) -> list[storage.Blob]:
    blobs = [bucket.blob(f"parts/{name}") for name in PARTS]
    for blob in blobs:
        blob.metadata = {"of": "the part"}
        blob.upload_from_string(blob.name)
    return blobs


def test_content_is_that_of_the_parts_and_metadata_are_the_requests(
    bucket: storage.Bucket, parts: list[storage.Blob]
) -> None:
    whole = bucket.blob("whole")
    whole.metadata, whole.content_type = {"usd": "1"}, "application/json"
    whole.compose(parts)
    stored = bucket.get_blob("whole")
    assert stored is not None
    assert stored.download_as_bytes() == b"parts/firstparts/second"
    assert (stored.metadata, stored.content_type) == ({"usd": "1"}, "application/json")
    assert all(part.exists() for part in parts)


@beyond_testbench
def test_parts_go_with_the_call_where_that_is_asked_for(bucket: storage.Bucket, parts: list[storage.Blob]) -> None:
    before = bucket.blob("whole")
    before.upload_from_string(b"before")
    whole = bucket.blob("whole")
    whole.compose(parts, delete_source_objects=True)
    assert whole.generation > before.generation
    assert bucket.blob("whole").download_as_bytes() == b"parts/firstparts/second"
    assert [blob.name for blob in bucket.list_blobs()] == ["whole"]


def test_without_one_of_the_parts_nothing_happens(bucket: storage.Bucket, parts: list[storage.Blob]) -> None:
    parts[1].delete()
    with pytest.raises(exceptions.NotFound):
        bucket.blob("whole").compose(parts, delete_source_objects=True)
    assert [blob.name for blob in bucket.list_blobs()] == [parts[0].name]


def test_preconditions_are_of_the_whole_and_of_each_part(bucket: storage.Bucket, parts: list[storage.Blob]) -> None:
    generations = [part.generation for part in parts]
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("whole").compose(parts, if_source_generation_match=[generations[0], 1])
    bucket.blob("whole").compose(parts, if_source_generation_match=generations, if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("whole").compose(parts, if_generation_match=0)


@beyond_testbench
def test_more_than_32_parts_are_refused(bucket: storage.Bucket, parts: list[storage.Blob]) -> None:
    with pytest.raises(exceptions.BadRequest):
        bucket.blob("whole").compose([parts[0]] * 33)
