"""Who was first: writes that succeed once, also where their answer is lost on the way."""

from __future__ import annotations

import pytest
from google.cloud.storage import Bucket

from shared import objects
from shared.errors import StateConflict
from tests.support.loopback_cloud import STATE, LoopbackCloud

NAME = "a/b.json"


@pytest.fixture
def bucket(cloud: LoopbackCloud) -> Bucket:
    return cloud.storage.bucket(STATE)


def test_what_was_never_written_is_not_there(bucket: Bucket) -> None:
    assert objects.read(bucket, NAME) is None
    assert not objects.delete(bucket, NAME)


def test_the_first_writer_stands(bucket: Bucket) -> None:
    first = objects.create_once(bucket, NAME, b"first", "text/plain", {"who": "me"})
    assert objects.create_once(bucket, NAME, b"second") == first == objects.read(bucket, NAME)
    blob = bucket.get_blob(NAME)
    assert (blob.content_type, blob.metadata) == ("text/plain", {"who": "me"})


def test_a_write_whose_answer_was_lost_is_still_ours(cloud: LoopbackCloud, bucket: Bucket) -> None:
    cloud.storage_server.fail_next(1, method="POST", name_prefix=NAME, before=False)
    written = objects.create_once(bucket, NAME, b"ours")
    assert written.data == b"ours"
    assert written == objects.read(bucket, NAME)


def test_a_replacement_whose_answer_was_lost_is_still_ours(cloud: LoopbackCloud, bucket: Bucket) -> None:
    first = objects.create_once(bucket, NAME, b"first")
    cloud.storage_server.fail_next(1, method="POST", name_prefix=NAME, before=False)
    second = objects.replace(bucket, NAME, b"second", first.generation)
    assert second.generation > first.generation
    assert second == objects.read(bucket, NAME)


def test_only_the_generation_that_was_read_is_replaced(bucket: Bucket) -> None:
    first = objects.create_once(bucket, NAME, b"first")
    second = objects.replace(bucket, NAME, b"second", first.generation)
    with pytest.raises(StateConflict):
        objects.replace(bucket, NAME, b"third", first.generation)
    with pytest.raises(StateConflict):
        objects.replace(bucket, NAME, b"third", 0)
    assert objects.read(bucket, NAME) == second


def test_what_is_gone_is_not_replaced(bucket: Bucket) -> None:
    first = objects.create_once(bucket, NAME, b"first")
    assert objects.delete(bucket, NAME)
    with pytest.raises(StateConflict):
        objects.replace(bucket, NAME, b"second", first.generation)
    assert objects.read(bucket, NAME) is None


def test_only_the_generation_that_was_read_is_deleted(bucket: Bucket) -> None:
    first = objects.create_once(bucket, NAME, b"first")
    second = objects.replace(bucket, NAME, b"second", first.generation)
    assert not objects.delete(bucket, NAME, first.generation)
    assert objects.delete(bucket, NAME, second.generation)
    assert objects.read(bucket, NAME) is None


def test_an_object_that_vanishes_under_the_writers_eyes_is_a_conflict(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects.create_once(bucket, NAME, b"first")
    # Deleted between the refused write and the look at what stands there.
    monkeypatch.setattr(objects, "read", lambda *_: None)
    with pytest.raises(StateConflict, match="vanished"):
        objects.create_once(bucket, NAME, b"second")
