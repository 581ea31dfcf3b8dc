"""Objects are listed by name, in pages, with prefixes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.api_core import exceptions

from tests.support.storage_testbench import beyond_testbench

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.cloud import storage

    from infra.emulators.storage.server import StorageServer

NAMES = ["a", "b/", "b/1", "b/2/x", "b/2/y", "b0", "c/d", "ä", "𝄞"]  # in the order of their UTF-8 bytes


@pytest.fixture
def filled(bucket: storage.Bucket) -> storage.Bucket:
    for name in reversed(NAMES):
        bucket.blob(name).upload_from_string(name.encode())
    return bucket


def names(listing: Iterable[storage.Blob]) -> list[str]:
    return [blob.name for blob in listing]


def test_empty_bucket_lists_nothing(bucket: storage.Bucket) -> None:
    assert names(bucket.list_blobs()) == []


def test_names_come_in_byte_order(filled: storage.Bucket) -> None:
    listing = list(filled.list_blobs())
    assert names(listing) == NAMES
    assert [blob.size for blob in listing] == [len(name.encode()) for name in NAMES]


@pytest.mark.parametrize("page_size", [1, 2, 4, len(NAMES), len(NAMES) + 1])
def test_pages_cover_every_name_once(filled: storage.Bucket, page_size: int) -> None:
    pages = [names(page) for page in filled.list_blobs(page_size=page_size).pages]
    assert [name for page in pages for name in page] == NAMES
    assert [len(page) for page in pages[:-1]] == [page_size] * (len(pages) - 1)


def test_prefix(filled: storage.Bucket) -> None:
    assert names(filled.list_blobs(prefix="b/2")) == ["b/2/x", "b/2/y"]
    assert names(filled.list_blobs(prefix="none")) == []


def test_objects_written_between_pages_do_not_repeat_others(filled: storage.Bucket) -> None:
    pages = filled.list_blobs(page_size=3).pages
    first = names(next(pages))
    filled.blob("0 before all").upload_from_string(b"")
    assert first + [name for page in pages for name in names(page)] == NAMES


@beyond_testbench
def test_what_the_server_cannot_filter_by_is_refused(server: StorageServer, bucket: storage.Bucket) -> None:
    for option, parameter in (("match_glob", "matchGlob"), ("delimiter", "delimiter")):
        with pytest.raises(exceptions.MethodNotImplemented, match=parameter):
            list(bucket.list_blobs(**{option: "/"}))
