"""Who was first: writes that succeed once, also where their answer is lost on the way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from google.cloud.storage import Bucket
from pydantic import BaseModel, ValidationError

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


def test_another_writers_object_of_equal_content_is_not_ours(bucket: Bucket) -> None:
    first = objects.create_once(bucket, NAME, b"4")
    objects.replace(bucket, NAME, b"5", first.generation)
    with pytest.raises(StateConflict):
        objects.replace(bucket, NAME, b"5", first.generation)


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
    monkeypatch.setattr(objects, "read", lambda *_, **__: None)
    with pytest.raises(StateConflict, match="vanished"):
        objects.create_once(bucket, NAME, b"second")


class Count(BaseModel):
    value: int = 0


def add_one(count: Count) -> Count:
    return Count(value=count.value + 1)


def stored(bucket: Bucket) -> Count:
    return objects.read_json(bucket, NAME, Count())


@pytest.mark.parametrize("threads", [2, 8])
def test_of_updates_at_once_none_is_lost(bucket: Bucket, threads: int) -> None:
    def add(_: int) -> Count:
        return objects.update_json(bucket, NAME, Count(), add_one, attempts=100)

    with ThreadPoolExecutor(threads) as pool:
        counts = list(pool.map(add, range(3 * threads)))
    assert stored(bucket) == Count(value=3 * threads)
    # Each saw its own addition, and nobody else's in its place.
    assert sorted(count.value for count in counts) == list(range(1, 3 * threads + 1))


def test_an_update_that_reports_a_conflict_has_added_nothing(bucket: Bucket) -> None:
    def add(_: int) -> int:
        try:
            objects.update_json(bucket, NAME, Count(), add_one, attempts=1)
        except StateConflict:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        added = sum(pool.map(add, range(24)))
    assert stored(bucket) == Count(value=added)
    assert added > 0


def test_an_update_whose_answer_was_lost_is_made_once(cloud: LoopbackCloud, bucket: Bucket) -> None:
    for number in (1, 2):
        cloud.storage_server.fail_next(1, method="POST", name_prefix=NAME, before=False)
        assert objects.update_json(bucket, NAME, Count(), add_one) == Count(value=number)
    assert stored(bucket) == Count(value=2)


def test_an_update_that_changes_nothing_writes_nothing(bucket: Bucket) -> None:
    assert objects.update_json(bucket, NAME, Count(), lambda _: None) == Count()
    assert objects.update_json(bucket, NAME, Count(), lambda count: count) == Count()
    assert objects.read(bucket, NAME) is None


def test_an_update_gives_up_after_its_attempts(bucket: Bucket) -> None:
    calls = []

    def overtaken(count: Count) -> Count:
        calls.append(count)
        bucket.blob(NAME).upload_from_string(Count(value=10 * len(calls)).model_dump_json())
        return add_one(count)

    with pytest.raises(StateConflict, match="3 times"):
        objects.update_json(bucket, NAME, Count(), overtaken, attempts=3)
    assert calls == [Count(value=0), Count(value=10), Count(value=20)]
    assert stored(bucket) == Count(value=30)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"value": "many"}', b"\xff"])
def test_unreadable_content_is_an_error_or_begins_anew(bucket: Bucket, content: bytes) -> None:
    bucket.blob(NAME).upload_from_string(content)
    for call in (stored, lambda bucket: objects.update_json(bucket, NAME, Count(), add_one)):
        with pytest.raises(ValidationError):
            call(bucket)
    assert objects.read_json(bucket, NAME, Count(), replace_unreadable=True) == Count()
    assert objects.update_json(bucket, NAME, Count(), add_one, replace_unreadable=True) == Count(value=1)
    assert stored(bucket) == Count(value=1)


def test_writes_that_come_too_fast_for_one_object_are_made_again(cloud: LoopbackCloud, bucket: Bucket) -> None:
    cloud.storage_server.fail_next(1, 429, "POST", NAME)
    first = objects.create_once(bucket, NAME, b"first")
    cloud.storage_server.fail_next(1, 429, "POST", NAME)
    second = objects.replace(bucket, NAME, b"second", first.generation)
    cloud.storage_server.fail_next(1, 429, "PATCH", NAME)
    assert objects.set_metadata(bucket, NAME, {"queued": "yes"})
    assert objects.read(bucket, NAME) == second


def test_what_is_written_in_anothers_place_is_there_and_the_other_is_not(cloud: LoopbackCloud, bucket: Bucket) -> None:
    objects.write(bucket, "before", b"{}", metadata={"of": "the one before"})
    cloud.storage_server.fail_next(1, 503, "POST", NAME)
    assert objects.write_and_delete(bucket, NAME, {"usd": "1"}, "before")
    stored = bucket.get_blob(NAME)
    assert stored is not None
    assert (stored.download_as_bytes(), stored.metadata) == (b"{}", {"usd": "1"})
    assert not objects.exists(bucket, "before")


def test_where_there_is_none_before_nothing_is_written(cloud: LoopbackCloud, bucket: Bucket) -> None:
    assert not objects.write_and_delete(bucket, NAME, {}, "before")
    assert not objects.exists(bucket, NAME)
    # A lost answer is one of these: what is to be written is there.
    objects.write(bucket, "before", b"{}")
    cloud.storage_server.fail_next(1, method="POST", name_prefix=NAME, before=False)
    assert not objects.write_and_delete(bucket, NAME, {}, "before")
    assert objects.exists(bucket, NAME)
