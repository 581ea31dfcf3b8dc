"""What is written comes back: bytes, ranges, metadata, checksums and generations."""

from __future__ import annotations

import base64
import gzip
import random
import urllib.request
from typing import TYPE_CHECKING

import google_crc32c
import pytest
from google.api_core import exceptions

from tests.support.storage_testbench import beyond_testbench

if TYPE_CHECKING:
    from google.cloud import storage

    from infra.emulators.storage.server import StorageServer

CONTENT = random.Random(1).randbytes(700_000)


def stored(bucket: storage.Bucket, content: bytes = CONTENT, name: str = "calls/a.mp3") -> storage.Blob:
    blob: storage.Blob = bucket.blob(name)
    blob.upload_from_string(content, content_type="audio/mpeg")
    return blob


def base64_text(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


class TestBuckets:
    def test_created_bucket_is_found(self, client: storage.Client, bucket: storage.Bucket) -> None:
        assert client.get_bucket(bucket.name).name == bucket.name

    def test_same_name_twice_conflicts(self, client: storage.Client, bucket: storage.Bucket) -> None:
        with pytest.raises(exceptions.Conflict):
            client.create_bucket(bucket.name)

    def test_unknown_bucket_is_not_found(self, client: storage.Client) -> None:
        missing = client.bucket("never-made")
        assert client.lookup_bucket("never-made") is None
        with pytest.raises(exceptions.NotFound):
            client.get_bucket("never-made")
        with pytest.raises(exceptions.NotFound):
            missing.blob("a").upload_from_string(b"x")
        with pytest.raises(exceptions.NotFound):
            list(missing.list_blobs())


class TestContent:
    @pytest.mark.parametrize("content", [b"", b"x", CONTENT], ids=["empty", "one byte", "700 kB"])
    def test_bytes_and_checksums_come_back(self, bucket: storage.Bucket, content: bytes) -> None:
        stored(bucket, content)
        fresh = bucket.blob("calls/a.mp3")
        assert fresh.download_as_bytes(checksum="crc32c") == content
        # Set from the header that the client checks the bytes against, and skips the check without.
        assert fresh.crc32c == base64_text(google_crc32c.value(content).to_bytes(4, "big"))

    @pytest.mark.parametrize("content", [pytest.param(b"", marks=beyond_testbench), CONTENT], ids=["empty", "700 kB"])
    def test_chunked_download(self, bucket: storage.Bucket, content: bytes) -> None:
        stored(bucket, content)
        assert bucket.blob("calls/a.mp3", chunk_size=256 * 1024).download_as_bytes() == content

    def test_reader_keeps_the_generation_it_began_with(self, server: StorageServer, bucket: storage.Bucket) -> None:
        content = CONTENT * 30  # more than the sockets between server and reader hold
        stored(bucket, content)
        with urllib.request.urlopen(
            f"{server.url}/download/storage/v1/b/{bucket.name}/o/calls%2Fa.mp3?alt=media"
        ) as response:
            head = response.read(1000)
            stored(bucket, b"replaced")
            bucket.delete_blob("calls/a.mp3")
            assert head + response.read() == content

    def test_compressed_content_is_kept_compressed(self, bucket: storage.Bucket) -> None:
        compressed = gzip.compress(b"words " * 1000, mtime=0)
        blob = bucket.blob("words.txt")
        blob.content_encoding = "gzip"
        blob.upload_from_string(compressed)
        fresh = bucket.get_blob("words.txt")
        assert (fresh.content_encoding, fresh.size) == ("gzip", len(compressed))
        assert fresh.download_as_bytes(raw_download=True) == compressed
        assert fresh.download_as_bytes() == b"words " * 1000


class TestRanges:
    @pytest.mark.parametrize(
        ("start", "end", "expected"),
        [
            (0, 0, CONTENT[:1]),
            (10, 19, CONTENT[10:20]),
            (65_530, 131_080, CONTENT[65_530:131_081]),
            (699_990, None, CONTENT[-10:]),
            (699_990, 10_000_000, CONTENT[-10:]),
        ],
    )
    def test_range_is_served(self, bucket: storage.Bucket, start: int, end: int | None, expected: bytes) -> None:
        assert stored(bucket).download_as_bytes(start=start, end=end) == expected

    def test_range_behind_the_end_is_refused(self, bucket: storage.Bucket) -> None:
        with pytest.raises(exceptions.RequestRangeNotSatisfiable):
            stored(bucket).download_as_bytes(start=700_000)

    def test_file_reader_seeks(self, bucket: storage.Bucket) -> None:
        with stored(bucket).open("rb", chunk_size=4096) as reader:
            reader.seek(500_000)
            assert reader.read(4) == CONTENT[500_000:500_004]
            reader.seek(-3, 2)
            assert reader.read() == CONTENT[-3:]


class TestResource:
    def test_what_the_writer_says_is_kept(self, bucket: storage.Bucket) -> None:
        blob = bucket.blob("a.wav")
        blob.metadata = {"language": "en", "title": "Ünïcode ✓"}
        blob.upload_from_string(b"abc", content_type="audio/wav")
        fresh = bucket.get_blob("a.wav")
        assert fresh.metadata == blob.metadata
        assert (fresh.content_type, fresh.size) == ("audio/wav", 3)
        assert fresh.metageneration == 1
        assert fresh.time_created == fresh.updated

    @beyond_testbench
    def test_what_this_server_does_not_keep_is_refused_by_name(self, bucket: storage.Bucket) -> None:
        blob = bucket.blob("a.wav")
        blob.cache_control = "no-store"
        with pytest.raises(exceptions.MethodNotImplemented, match="cacheControl"):
            blob.upload_from_string(b"abc")

    @beyond_testbench
    def test_generations_grow_and_old_ones_are_gone(self, bucket: storage.Bucket) -> None:
        first = stored(bucket, b"one").generation
        second = stored(bucket, b"two").generation
        bucket.delete_blob("calls/a.mp3")
        third = stored(bucket, b"three").generation
        assert first < second < third
        assert bucket.blob("calls/a.mp3", generation=third).download_as_bytes() == b"three"
        for gone in (first, second):
            assert bucket.get_blob("calls/a.mp3", generation=gone) is None
            with pytest.raises(exceptions.NotFound):
                bucket.blob("calls/a.mp3", generation=gone).download_as_bytes()
            with pytest.raises(exceptions.NotFound):
                bucket.delete_blob("calls/a.mp3", generation=gone)

    def test_deleted_object_is_gone(self, bucket: storage.Bucket) -> None:
        blob = stored(bucket)
        blob.delete()
        assert not blob.exists()
        with pytest.raises(exceptions.NotFound):
            bucket.blob("calls/a.mp3").delete()
