"""Fetching an upload: exactly its generation, with gzip encoding unpacked inside a bound."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest
from google.cloud.storage.exceptions import DataCorruption

from gpu_job.fetch.arrival import PART_BYTES
from gpu_job.fetch.upload import fetch
from infra.recordings import recording
from shared.errors import BadMedia, Rejected
from tests.support.loopback_cloud import LoopbackCloud

AUDIO = recording("call.opus").path.read_bytes()
TIMEOUT, LIMIT = 10.0, 10_000_000


def fetched(cloud: LoopbackCloud, folder: Path, data: bytes, content_encoding: str | None) -> bytes:
    upload = cloud.drop(data, content_encoding=content_encoding)
    path = folder / "fetched" / "upload"
    path.parent.mkdir()
    fetch(cloud.storage, upload, path, TIMEOUT, LIMIT)
    assert list(path.parent.iterdir()) == [path]
    return path.read_bytes()


def test_gzip_encoding_is_unpacked(cloud: LoopbackCloud, tmp_path: Path) -> None:
    assert fetched(cloud, tmp_path, gzip.compress(AUDIO), "gzip") == AUDIO


def test_content_that_only_claims_to_be_gzip_stays_as_it_is(cloud: LoopbackCloud, tmp_path: Path) -> None:
    assert fetched(cloud, tmp_path, AUDIO, "gzip") == AUDIO


def test_gzip_without_the_encoding_stays_packed(cloud: LoopbackCloud, tmp_path: Path) -> None:
    packed = gzip.compress(AUDIO)
    assert fetched(cloud, tmp_path, packed, None) == packed


def test_a_bomb_fills_the_disk_to_the_limit_only(cloud: LoopbackCloud, tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(200_000_000), 1)
    with pytest.raises(Rejected, match="larger than 10 MB"):
        fetched(cloud, tmp_path, bomb, "gzip")
    assert sum(file.stat().st_size for file in (tmp_path / "fetched").iterdir()) <= LIMIT + len(bomb)


def test_broken_gzip_is_rejected(cloud: LoopbackCloud, tmp_path: Path) -> None:
    with pytest.raises(BadMedia, match="ends too early"):
        fetched(cloud, tmp_path, gzip.compress(AUDIO)[:-100], "gzip")


@pytest.mark.parametrize("limit", [LIMIT, 100_000], ids=["cannot be unpacked", "unpacks to too much"])
def test_gzip_that_was_damaged_on_the_way_is_no_word_about_the_upload(
    cloud: LoopbackCloud, tmp_path: Path, limit: int
) -> None:
    packed = gzip.compress(random.Random(1).randbytes(PART_BYTES + 100_000), 1)
    upload = cloud.drop(packed, content_encoding="gzip")
    cloud.storage_server.damage_downloads(PART_BYTES)
    with pytest.raises(DataCorruption, match="CRC32C"):
        fetch(cloud.storage, upload, tmp_path / "upload", TIMEOUT, limit)
