"""Preconditions are checked in the same instant as the act they guard."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

import pytest
from google.api_core import exceptions

from tests.support.object_uploads import UPLOAD_KINDS
from tests.support.storage_testbench import beyond_testbench

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.cloud import storage

WRITERS = 16

each_upload_kind = pytest.mark.parametrize("upload", UPLOAD_KINDS, ids=lambda kind: kind.__name__)


@pytest.fixture
def blob(bucket: storage.Bucket) -> storage.Blob:
    """An object of metageneration 2, with its properties known."""
    blob: storage.Blob = bucket.blob("jobs/1.json")
    blob.upload_from_string(b"first")
    blob.metadata = {"state": "claimed"}
    blob.patch()
    return blob


@each_upload_kind
class TestWrites:
    def test_must_not_exist(self, bucket: storage.Bucket, upload: Callable[..., None]) -> None:
        blob = bucket.blob("claim")
        upload(blob, b"mine", if_generation_match=0)
        with pytest.raises(exceptions.PreconditionFailed):
            upload(blob, b"theirs", if_generation_match=0)
        assert blob.download_as_bytes() == b"mine"

    def test_may_be_made_again_after_its_deletion(self, blob: storage.Blob, upload: Callable[..., None]) -> None:
        blob.delete()
        upload(blob, b"again", if_generation_match=0)
        assert blob.bucket.blob(blob.name).download_as_bytes() == b"again"

    def test_must_be_this_generation(self, blob: storage.Blob, upload: Callable[..., None]) -> None:
        generation = blob.generation
        upload(blob, b"second", if_generation_match=generation)
        with pytest.raises(exceptions.PreconditionFailed):
            upload(blob, b"third", if_generation_match=generation)
        assert blob.bucket.blob(blob.name).download_as_bytes() == b"second"

    def test_generation_of_an_absent_object(self, bucket: storage.Bucket, upload: Callable[..., None]) -> None:
        with pytest.raises(exceptions.PreconditionFailed):
            upload(bucket.blob("absent"), b"x", if_generation_match=1)
        assert not bucket.blob("absent").exists()

    def test_must_be_another_generation(self, blob: storage.Blob, upload: Callable[..., None]) -> None:
        generation = blob.generation
        with pytest.raises((exceptions.PreconditionFailed, exceptions.NotModified)):
            upload(blob, b"second", if_generation_not_match=generation)
        upload(blob, b"second", if_generation_not_match=generation - 1)
        assert blob.bucket.blob(blob.name).download_as_bytes() == b"second"

    def test_must_be_this_metageneration(self, blob: storage.Blob, upload: Callable[..., None]) -> None:
        with pytest.raises(exceptions.PreconditionFailed):
            upload(blob, b"second", if_metageneration_match=1)
        upload(blob, b"second", if_metageneration_match=2)
        assert blob.bucket.get_blob(blob.name).metageneration == 1

    @beyond_testbench
    def test_must_be_another_metageneration(self, blob: storage.Blob, upload: Callable[..., None]) -> None:
        with pytest.raises((exceptions.PreconditionFailed, exceptions.NotModified)):
            upload(blob, b"second", if_metageneration_not_match=2)
        upload(blob, b"second", if_metageneration_not_match=1)
        assert blob.bucket.get_blob(blob.name).metageneration == 1

    @pytest.mark.parametrize("exists", [False, True], ids=["absent", "present"])
    def test_one_of_many_writers_wins(
        self,
        bucket: storage.Bucket,
        connect: Callable[[str], storage.Client],
        endpoint: str,
        upload: Callable[..., None],
        exists: bool,
    ) -> None:
        blob = bucket.blob("contended")
        if exists:
            blob.upload_from_string(b"before")
        expected_generation = blob.generation or 0
        start = Barrier(WRITERS)

        def write(client: storage.Client, content: bytes) -> bool:
            start.wait()
            try:
                upload(client.bucket(bucket.name).blob(blob.name), content, if_generation_match=expected_generation)
            except exceptions.PreconditionFailed:
                return False
            return True

        contents = [str(writer).encode() for writer in range(WRITERS)]
        with ThreadPoolExecutor(WRITERS) as pool:
            won = list(pool.map(write, [connect(endpoint) for _ in contents], contents))
        assert sum(won) == 1
        assert bucket.blob(blob.name).download_as_bytes() == contents[won.index(True)]


@beyond_testbench
def test_resumable_upload_is_checked_when_it_begins(blob: storage.Blob) -> None:
    with pytest.raises(exceptions.PreconditionFailed):
        blob.create_resumable_upload_session(if_generation_match=0)


class TestReads:
    def test_matching(self, blob: storage.Blob) -> None:
        blob.reload(if_generation_match=blob.generation, if_metageneration_match=2)
        assert blob.download_as_bytes(if_generation_match=blob.generation, if_metageneration_match=2) == b"first"

    @pytest.mark.parametrize("precondition", [{"if_generation_match": 1}, {"if_metageneration_match": 1}])
    def test_not_matching(self, blob: storage.Blob, precondition: dict[str, int]) -> None:
        with pytest.raises(exceptions.PreconditionFailed):
            blob.reload(**precondition)
        with pytest.raises(exceptions.PreconditionFailed):
            blob.download_as_bytes(**precondition)

    def test_not_modified(self, blob: storage.Blob) -> None:
        for precondition in ({"if_generation_not_match": blob.generation}, {"if_metageneration_not_match": 2}):
            with pytest.raises(exceptions.NotModified):
                blob.reload(**precondition)
            with pytest.raises(exceptions.NotModified):
                blob.download_as_bytes(**precondition)
        blob.reload(if_generation_not_match=blob.generation - 1)


class TestChanges:
    @pytest.mark.parametrize("precondition", [{"if_generation_match": 1}, {"if_metageneration_match": 1}])
    def test_not_matching(self, blob: storage.Blob, precondition: dict[str, int]) -> None:
        blob.metadata = {"state": "done"}
        with pytest.raises(exceptions.PreconditionFailed):
            blob.patch(**precondition)
        with pytest.raises(exceptions.PreconditionFailed):
            blob.delete(**precondition)
        assert blob.bucket.get_blob(blob.name).metadata["state"] == "claimed"

    def test_matching(self, blob: storage.Blob) -> None:
        blob.metadata = {"state": "done"}
        blob.patch(if_generation_match=blob.generation, if_metageneration_match=2)
        assert blob.metageneration == 3
        blob.delete(if_generation_match=blob.generation, if_metageneration_match=3)
        assert not blob.exists()

    def test_copy_guards_both_ends(self, blob: storage.Blob) -> None:
        bucket, generation = blob.bucket, blob.generation
        with pytest.raises(exceptions.PreconditionFailed):
            bucket.copy_blob(blob, bucket, "copy", if_source_generation_match=generation - 1)
        bucket.copy_blob(blob, bucket, "copy", if_source_generation_match=generation, if_generation_match=0)
        with pytest.raises(exceptions.PreconditionFailed):
            bucket.copy_blob(blob, bucket, "copy", if_generation_match=0)

    def test_one_of_many_patches_wins(
        self, blob: storage.Blob, connect: Callable[[str], storage.Client], endpoint: str
    ) -> None:
        start = Barrier(WRITERS)

        def patch(client: storage.Client, worker: int) -> bool:
            contended = client.bucket(blob.bucket.name).blob(blob.name)
            contended.metadata = {"state": f"held by {worker}"}
            start.wait()
            try:
                contended.patch(if_metageneration_match=2)
            except exceptions.PreconditionFailed:
                return False
            return True

        workers = range(WRITERS)
        with ThreadPoolExecutor(WRITERS) as pool:
            won = list(pool.map(patch, [connect(endpoint) for _ in workers], workers))
        assert sum(won) == 1
        assert blob.bucket.get_blob(blob.name).metadata["state"] == f"held by {won.index(True)}"
