"""What only this server has: answers that go wrong on demand, and a call for each object that comes to be."""

from __future__ import annotations

import io
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
import requests
from google.api_core import exceptions
from google.cloud.storage.retry import DEFAULT_RETRY

from infra.emulators.storage.server import StorageServer
from tests.support.faulty_storage import FaultyStorageServer
from tests.support.object_uploads import UPLOAD_KINDS
from tests.support.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from google.cloud import storage

CHUNK = 256 * 1024
QUICK_RETRY = DEFAULT_RETRY.with_delay(initial=0.01, maximum=0.02)

each_upload_kind = pytest.mark.parametrize("upload", UPLOAD_KINDS, ids=lambda kind: kind.__name__)


@pytest.fixture
def events() -> list[Mapping[str, object]]:
    return []


@pytest.fixture
def server(tmp_path: Path, events: list[Mapping[str, object]]) -> Iterator[FaultyStorageServer]:
    with FaultyStorageServer(tmp_path, on_finalize=events.append) as server:
        yield server


@pytest.fixture
def endpoint(server: StorageServer) -> str:
    return server.url


class TestFaults:
    def test_request_is_refused_and_not_done(self, server: FaultyStorageServer, bucket: storage.Bucket) -> None:
        server.fail_next(1)
        with pytest.raises(exceptions.ServiceUnavailable):
            bucket.blob("a").upload_from_string(b"x", retry=None)
        assert not bucket.blob("a").exists()

    def test_client_retries_through(self, server: FaultyStorageServer, bucket: storage.Bucket) -> None:
        server.fail_next(2)
        bucket.blob("a").upload_from_string(b"x", retry=QUICK_RETRY)
        assert bucket.blob("a").download_as_bytes() == b"x"

    def test_lost_answer_of_a_guarded_write_comes_back_as_a_conflict(
        self, server: FaultyStorageServer, bucket: storage.Bucket, events: list[Mapping[str, object]]
    ) -> None:
        server.fail_next(1, method="POST", before=False)
        with pytest.raises(exceptions.PreconditionFailed):
            bucket.blob("a").upload_from_string(b"mine", if_generation_match=0, retry=QUICK_RETRY)
        assert bucket.blob("a").download_as_bytes() == b"mine"
        assert len(events) == 1

    @pytest.mark.parametrize("before", [True, False], ids=["chunk lost", "answer lost"])
    def test_resumable_upload_gets_over_faults_at_any_chunk(
        self, server: FaultyStorageServer, bucket: storage.Bucket, events: list[Mapping[str, object]], before: bool
    ) -> None:
        content = bytes(range(256)) * (5 * CHUNK // 512)
        for faults in range(1, 5):
            server.fail_next(faults, method="PUT", name_prefix="chunked", before=before)
            blob = bucket.blob(f"chunked {faults}", chunk_size=CHUNK)
            blob.upload_from_file(io.BytesIO(content), if_generation_match=0, retry=QUICK_RETRY)
            assert bucket.blob(blob.name).download_as_bytes() == content
        assert len(events) == 4

    def test_answer_is_lost_whatever_it_was(self, server: FaultyStorageServer, bucket: storage.Bucket) -> None:
        server.fail_next(1, status=429, before=False)
        with pytest.raises(exceptions.TooManyRequests):
            bucket.blob("absent").reload(retry=None)

    def test_reads_can_fail_too(self, server: FaultyStorageServer, bucket: storage.Bucket) -> None:
        blob = bucket.blob("a")
        blob.upload_from_string(b"x")
        server.fail_next(1, status=502, method="GET")
        with pytest.raises(exceptions.BadGateway):
            blob.download_as_bytes(retry=None)
        server.fail_next(3, method="GET")
        assert blob.download_as_bytes(retry=QUICK_RETRY) == b"x"

    def test_fault_is_for_its_method_and_names_only(self, server: FaultyStorageServer, bucket: storage.Bucket) -> None:
        bucket.blob("jobs/1").upload_from_string(b"x")
        server.fail_next(1, status=500, method="DELETE", name_prefix="jobs/")
        bucket.blob("other").upload_from_string(b"x")
        bucket.delete_blob("other")
        assert [blob.name for blob in bucket.list_blobs()] == ["jobs/1"]
        bucket.get_blob("jobs/1").download_as_bytes()
        with pytest.raises(exceptions.InternalServerError):
            bucket.delete_blob("jobs/1", retry=None)
        bucket.delete_blob("jobs/1")


class TestEvents:
    @each_upload_kind
    def test_event_holds_the_object_resource(
        self, bucket: storage.Bucket, events: list[Mapping[str, object]], upload: Callable[..., None]
    ) -> None:
        upload(bucket.blob("calls/ä b.mp3"), b"words")
        (event,) = events
        blob = bucket.get_blob("calls/ä b.mp3")
        assert event == requests.get(str(event["selfLink"]), timeout=PATIENCE).json()
        expected = {
            "kind": "storage#object",
            "id": f"{bucket.name}/calls/ä b.mp3/{blob.generation}",
            "bucket": bucket.name,
            "name": "calls/ä b.mp3",
            "generation": str(blob.generation),
            "metageneration": "1",
            "contentType": blob.content_type,
            "size": "5",
            "crc32c": blob.crc32c,
        }
        assert {name: event[name] for name in expected} == expected
        assert datetime.fromisoformat(str(event["timeCreated"])) == blob.time_created

    def test_each_generation_has_its_event(self, bucket: storage.Bucket, events: list[Mapping[str, object]]) -> None:
        blob = bucket.blob("a")
        blob.metadata = {"language": "en"}
        generations = []
        for content in (b"one", b"two"):
            blob.upload_from_string(content)
            generations.append(blob.generation)
        assert [event["generation"] for event in events] == [str(generation) for generation in generations]
        assert [event["name"] for event in events] == ["a", "a"]
        assert [event.get("metadata") for event in events] == [{"language": "en"}] * 2

    def test_nothing_else_has_one(self, bucket: storage.Bucket, events: list[Mapping[str, object]]) -> None:
        blob = bucket.blob("a")
        blob.upload_from_string(b"one")
        events.clear()
        with pytest.raises(exceptions.PreconditionFailed):
            bucket.blob("a").upload_from_string(b"two", if_generation_match=0)
        blob.download_as_bytes()
        bucket.blob("begun").create_resumable_upload_session()
        blob.delete()
        assert events == []

    def test_object_can_be_read_from_within_the_call(
        self, tmp_path: Path, connect: Callable[[str], storage.Client]
    ) -> None:
        read: list[bytes] = []

        def on_finalize(event: Mapping[str, object]) -> None:
            blob = connect(reentered.url).bucket(str(event["bucket"])).blob(str(event["name"]))
            read.append(blob.download_as_bytes())

        with StorageServer(tmp_path / "other", on_finalize) as reentered:
            connect(reentered.url).create_bucket("uploads").blob("a").upload_from_string(b"words")
        assert read == [b"words"]

    def test_failing_call_does_not_fail_the_write(
        self, tmp_path: Path, connect: Callable[[str], storage.Client], caplog: pytest.LogCaptureFixture
    ) -> None:
        def on_finalize(event: Mapping[str, object]) -> None:
            raise RuntimeError("nobody listens")

        with StorageServer(tmp_path / "other", on_finalize) as deaf:
            blob = connect(deaf.url).create_bucket("uploads").blob("a")
            blob.upload_from_string(b"words")
            assert blob.download_as_bytes() == b"words"
        assert "nobody listens" in caplog.text
