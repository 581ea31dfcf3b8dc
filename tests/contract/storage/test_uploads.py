"""Uploads of any size arrive whole, through broken connections, and are never held in memory."""

from __future__ import annotations

import http.client
import io
import random
import socket
import tracemalloc
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import requests
from google.api_core import exceptions
from google.resumable_media.requests import ResumableUpload

from infra.emulators.storage.server import StorageServer
from tests.support.object_uploads import UPLOAD_KINDS
from tests.support.storage_testbench import beyond_testbench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from google.cloud import storage

CHUNK = 256 * 1024  # the least that a client may send at a time
MIB = 1024 * 1024
CONTENT = random.Random(2).randbytes(5 * CHUNK // 2)

each_upload_kind = pytest.mark.parametrize("upload", UPLOAD_KINDS, ids=lambda kind: kind.__name__)


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    """50 MB and a bit, no two MiB of it alike."""
    path = tmp_path / "large.wav"
    generator = random.Random(3)
    with path.open("wb") as file:
        for _ in range(48):
            file.write(generator.randbytes(MIB))
        file.write(b"tail")
    return path


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture
def begun(bucket: storage.Bucket, session: requests.Session) -> ResumableUpload:
    """An upload of CONTENT to `chunked` that has sent its first chunk."""
    address = f"{bucket.client.api_endpoint}/upload/storage/v1{bucket.path}/o?uploadType=resumable"
    upload = ResumableUpload(address, CHUNK)
    upload.initiate(session, io.BytesIO(CONTENT), {"name": "chunked"}, "audio/wav")
    upload.transmit_next_chunk(session)
    return upload


@each_upload_kind
class TestEveryKind:
    def test_bytes_arrive(self, bucket: storage.Bucket, upload: Callable[..., None]) -> None:
        upload(bucket.blob("a"), CONTENT)
        assert bucket.blob("a").download_as_bytes() == CONTENT

    @beyond_testbench
    def test_empty_content(self, bucket: storage.Bucket, upload: Callable[..., None]) -> None:
        upload(bucket.blob("a"), b"")
        assert bucket.get_blob("a").size == 0

    def test_replaced_and_refused_bytes_leave_the_disk(
        self, tmp_path: Path, connect: Callable[[str], storage.Client], upload: Callable[..., None]
    ) -> None:
        with StorageServer(tmp_path) as server:
            blob = connect(server.url).create_bucket("uploads").blob("a")
            upload(blob, b"one")
            upload(blob, b"two")
            with pytest.raises(exceptions.PreconditionFailed):
                upload(blob, b"three", if_generation_match=1)
            assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"two"]
            blob.bucket.delete_blob("a")
            assert list(tmp_path.iterdir()) == []


def test_unfinished_upload_leaves_no_bytes_when_the_server_stops(
    tmp_path: Path, connect: Callable[[str], storage.Client], session: requests.Session
) -> None:
    with StorageServer(tmp_path) as server:
        address = connect(server.url).create_bucket("uploads").blob("a").create_resumable_upload_session()
        session.put(address, CONTENT[:CHUNK], headers={"Content-Range": f"bytes 0-{CHUNK - 1}/*"})
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


class TestMultipart:
    @beyond_testbench
    def test_media_may_hold_what_looks_like_a_boundary(self, bucket: storage.Bucket, session: requests.Session) -> None:
        media = b"\r\n--B--\r\n--B\r\n\r\n--B-"
        body = b'--B\r\nContent-Type: application/json\r\n\r\n{"name": "a"}\r\n--B\r\nContent-Type: x/y\r\n\r\n'
        address = f"{bucket.client.api_endpoint}/upload/storage/v1{bucket.path}/o?uploadType=multipart"
        header = {"Content-Type": 'multipart/related; boundary="B"'}
        answer = session.post(address, body + media + b"\r\n--B--\r\n", headers=header)
        assert answer.status_code == 200
        assert bucket.blob("a").download_as_bytes() == media
        assert bucket.get_blob("a").content_type == "x/y"

    @pytest.mark.parametrize("end", [-1, -8, 60, 5], ids=["no dash", "no boundary", "no media", "no resource"])
    @beyond_testbench
    def test_body_cut_short_is_refused(self, bucket: storage.Bucket, session: requests.Session, end: int) -> None:
        body = b'--B\r\nContent-Type: application/json\r\n\r\n{"name": "a"}\r\n--B\r\n\r\nmedia\r\n--B--'
        address = f"{bucket.client.api_endpoint}/upload/storage/v1{bucket.path}/o?uploadType=multipart"
        answer = session.post(address, body[:end], headers={"Content-Type": "multipart/related; boundary=B"})
        assert answer.status_code == 400
        assert not bucket.blob("a").exists()

    @beyond_testbench
    def test_wrong_checksum_is_refused(self, bucket: storage.Bucket, session: requests.Session) -> None:
        resource = b'{"name": "a", "crc32c": "AAAAAA=="}'
        body = b"--B\r\nContent-Type: application/json\r\n\r\n" + resource + b"\r\n--B\r\n\r\nmedia\r\n--B--"
        address = f"{bucket.client.api_endpoint}/upload/storage/v1{bucket.path}/o?uploadType=multipart"
        answer = session.post(address, body, headers={"Content-Type": "multipart/related; boundary=B"})
        assert answer.status_code == 400
        assert not bucket.blob("a").exists()


class TestResumable:
    def test_fifty_megabytes_pass_through_little_memory(
        self, bucket: storage.Bucket, large_file: Path, tmp_path: Path
    ) -> None:
        blob = bucket.blob("large", chunk_size=MIB)
        tracemalloc.start()
        try:
            blob.upload_from_filename(str(large_file))
            fresh = bucket.blob("large")
            fresh.download_to_filename(str(tmp_path / "back"))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert (tmp_path / "back").read_bytes() == large_file.read_bytes()
        assert peak < 24 * MIB  # of client and server together

    def test_chunks_of_unknown_total(self, bucket: storage.Bucket) -> None:
        with bucket.blob("streamed").open("wb", chunk_size=CHUNK) as writer:
            for start in range(0, len(CONTENT), 100_000):
                writer.write(CONTENT[start : start + 100_000])
        assert bucket.blob("streamed").download_as_bytes() == CONTENT

    def test_attributes_are_those_of_the_beginning(self, bucket: storage.Bucket) -> None:
        blob = bucket.blob("a")
        blob.metadata = {"language": "en"}
        blob.upload_from_file(io.BytesIO(b"x"), content_type="audio/flac")
        fresh = bucket.get_blob("a")
        assert (fresh.metadata["language"], fresh.content_type) == ("en", "audio/flac")

    def test_progress_is_told(self, begun: ResumableUpload, session: requests.Session) -> None:
        status = session.put(begun.resumable_url, headers={"Content-Range": f"bytes */{len(CONTENT)}"})
        assert (status.status_code, status.headers["Range"]) == (308, f"bytes=0-{CHUNK - 1}")

    def test_progress_of_nothing(self, bucket: storage.Bucket, session: requests.Session) -> None:
        address = bucket.blob("a").create_resumable_upload_session()
        status = session.put(address, headers={"Content-Range": "bytes */*"})
        assert status.status_code == 308
        assert "Range" not in status.headers

    def test_goes_on_after_a_broken_connection(
        self, bucket: storage.Bucket, begun: ResumableUpload, session: requests.Session
    ) -> None:
        begin_chunk_and_hang_up(begun, CONTENT[CHUNK : CHUNK + CHUNK // 2])
        begun.recover(session)
        assert CHUNK <= begun.bytes_uploaded < len(CONTENT)
        while not begun.finished:
            begun.transmit_next_chunk(session)
        assert bucket.blob("chunked").download_as_bytes() == CONTENT

    def test_chunk_sent_again_counts_once(
        self, bucket: storage.Bucket, begun: ResumableUpload, session: requests.Session
    ) -> None:
        again = {"Content-Range": f"bytes 0-{CHUNK - 1}/{len(CONTENT)}"}
        assert (
            session.put(begun.resumable_url, CONTENT[:CHUNK], headers=again).headers["Range"] == f"bytes=0-{CHUNK - 1}"
        )
        begin_chunk_and_hang_up(begun, CONTENT[CHUNK : CHUNK + 1000])
        while not begun.finished:
            begun.transmit_next_chunk(session)  # the whole chunk, of which the server has a part
        assert bucket.blob("chunked").download_as_bytes() == CONTENT

    @beyond_testbench
    def test_gap_is_refused(self, begun: ResumableUpload, session: requests.Session) -> None:
        late = {"Content-Range": f"bytes {2 * CHUNK}-{len(CONTENT) - 1}/{len(CONTENT)}"}
        assert session.put(begun.resumable_url, CONTENT[2 * CHUNK :], headers=late).status_code == 400

    def test_finished_upload_answers_with_its_object(
        self, bucket: storage.Bucket, begun: ResumableUpload, session: requests.Session
    ) -> None:
        while not begun.finished:
            begun.transmit_next_chunk(session)
        generation = bucket.get_blob("chunked").generation
        status = session.put(begun.resumable_url, headers={"Content-Range": f"bytes */{len(CONTENT)}"})
        assert (status.status_code, status.json()["generation"]) == (200, str(generation))
        assert bucket.get_blob("chunked").generation == generation

    @beyond_testbench
    def test_precondition_is_checked_again_at_the_end(self, bucket: storage.Bucket, session: requests.Session) -> None:
        address = bucket.blob("a").create_resumable_upload_session(if_generation_match=0)
        bucket.blob("a").upload_from_string(b"another was first")
        for _ in range(2):  # a client whose answer was lost asks again
            assert session.put(address, b"too late").status_code == 412
        assert bucket.blob("a").download_as_bytes() == b"another was first"

    @beyond_testbench
    def test_wrong_checksum_is_refused(self, bucket: storage.Bucket) -> None:
        with pytest.raises(exceptions.BadRequest):
            bucket.blob("a").upload_from_file(io.BytesIO(b"words"), checksum=None, crc32c_checksum_value="AAAAAA==")
        assert not bucket.blob("a").exists()

    def test_unknown_upload_is_not_found(
        self, endpoint: str, bucket: storage.Bucket, session: requests.Session
    ) -> None:
        address = f"{endpoint}/upload/storage/v1{bucket.path}/o?uploadType=resumable&upload_id=none"
        assert session.put(address, b"x").status_code == 404


def begin_chunk_and_hang_up(upload: ResumableUpload, content: bytes) -> None:
    """Announce all that is left of CONTENT, send `content` of it and close the connection."""
    address = urlsplit(upload.resumable_url)
    connection = http.client.HTTPConnection(address.netloc)
    connection.putrequest("PUT", f"{address.path}?{address.query}")
    first = upload.bytes_uploaded
    connection.putheader("Content-Range", f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}")
    connection.putheader("Content-Length", str(len(CONTENT) - first))
    connection.endheaders()
    connection.send(content)
    connection.sock.shutdown(socket.SHUT_WR)
    while connection.sock.recv(1024):  # until the server has noticed, so that no test depends on when it does
        pass
    connection.close()
