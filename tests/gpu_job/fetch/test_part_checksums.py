"""The CRC32C of a file by those of its parts; and whether an upload consists of parts that others read."""

from __future__ import annotations

import random
from collections.abc import Callable

import google_crc32c
import pytest

from gpu_job.fetch.arrival import PART_BYTES
from gpu_job.fetch.part_checksums import parts_of, whole_checksum
from gpu_job.fetch.upload import consists_of
from shared.errors import DropscribeError
from tests.support.loopback_cloud import UPLOADS, LoopbackCloud

TIMEOUT = 10.0
CONTENT = random.Random(1).randbytes(2 * PART_BYTES + 1)


def checksums(data: bytes) -> dict[int, int]:
    return {at // PART_BYTES: google_crc32c.value(data[at : at + PART_BYTES]) for at in range(0, len(data), PART_BYTES)}


@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES, len(CONTENT)])
def test_the_whole_has_the_checksum_of_its_parts(size: int) -> None:
    data = CONTENT[:size]
    parts = checksums(data)
    assert len(parts) == parts_of(size)
    assert whole_checksum(list(parts.values()), size) == google_crc32c.value(data)


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        (lambda parts: None, True),
        (lambda parts: parts.pop(1), True),
        (lambda parts: parts.clear(), True),
        (lambda parts: parts.update({1: parts[1] ^ 1}), False),
        (lambda parts: parts.update({0: parts[1], 1: parts[0]}), False),
    ],
    ids=["all", "one not read", "none read", "other bytes", "other order"],
)
def test_an_upload_consists_of_what_was_read_of_it(
    cloud: LoopbackCloud, change: Callable[[dict[int, int]], object], is_same: bool
) -> None:
    upload, parts = cloud.drop(CONTENT), checksums(CONTENT)
    change(parts)
    assert consists_of(cloud.storage, upload, len(CONTENT), parts, TIMEOUT) is is_same


def test_nothing_more_is_read_for_an_attempt_that_has_ended(cloud: LoopbackCloud) -> None:
    upload, looks = cloud.drop(CONTENT), iter([False, True])
    with cloud.storage_server.counted() as calls:
        assert not consists_of(cloud.storage, upload, len(CONTENT), {}, TIMEOUT, lambda: next(looks))
    assert len(list(calls)) == 1


@pytest.mark.parametrize("known", [checksums(CONTENT), {}], ids=["all", "none read"])
def test_an_upload_that_is_gone_consists_of_nothing(cloud: LoopbackCloud, known: dict[int, int]) -> None:
    upload = cloud.drop(CONTENT)
    cloud.storage.bucket(UPLOADS).delete_blob(upload.name)
    with pytest.raises(DropscribeError):
        consists_of(cloud.storage, upload, len(CONTENT), known, TIMEOUT)
