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
    """An object whose generation is known."""
    blob: storage.Blob = bucket.blob("jobs/1.json")
    blob.upload_from_string(b"first")
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


def test_deletion_of_another_generation_is_refused(blob: storage.Blob) -> None:
    with pytest.raises(exceptions.PreconditionFailed):
        blob.delete(if_generation_match=1)
    assert blob.exists()
    blob.delete(if_generation_match=blob.generation)
    assert not blob.exists()


@beyond_testbench
def test_other_preconditions_are_refused_by_name(blob: storage.Blob) -> None:
    with pytest.raises(exceptions.MethodNotImplemented, match="ifGenerationNotMatch"):
        blob.reload(if_generation_not_match=1)
    with pytest.raises(exceptions.MethodNotImplemented, match="ifMetagenerationMatch"):
        blob.upload_from_string(b"second", if_metageneration_match=1)
