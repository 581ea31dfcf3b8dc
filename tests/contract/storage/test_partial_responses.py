"""A list with `fields` holds what was asked for, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.api_core import exceptions

from infra.emulators.storage.errors import StorageError
from infra.emulators.storage.parsing import mask_of, project

if TYPE_CHECKING:
    from google.cloud import storage

ANSWER = {"items": [{"name": "a", "size": "1", "metadata": {"x": "1", "y": "2"}}, {"name": "b"}], "kind": "list"}


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ("", ANSWER),
        ("kind", {"kind": "list"}),
        ("items(name)", {"items": [{"name": "a"}, {"name": "b"}]}),
        ("items(name,metadata(x))", {"items": [{"name": "a", "metadata": {"x": "1"}}, {"name": "b"}]}),
        ("items(metadata(x,y)),kind", {"items": [{"metadata": {"x": "1", "y": "2"}}, {}], "kind": "list"}),
        ("nextPageToken", {}),
    ],
)
def test_what_is_asked_for_is_left(fields: str, left: object) -> None:
    assert project(ANSWER, mask_of(fields)) == left


@pytest.mark.parametrize("fields", ["a,", ",a", "a(", "a(b", "a(b))", "a)b", "a/b", "items/*", "()", "a b(c)d"])
def test_nonsense_is_refused(fields: str) -> None:
    with pytest.raises(StorageError):
        mask_of(fields)


def test_a_client_gets_the_fields_it_lists(bucket: storage.Bucket) -> None:
    blob = bucket.blob("a")
    blob.metadata = {"x": "1", "y": "2"}
    blob.upload_from_string(b"data")
    (listed,) = bucket.list_blobs(fields="items(name,metadata(x)),nextPageToken")
    assert (listed.name, listed.metadata, listed.size) == ("a", {"x": "1"}, None)


def test_without_the_page_token_a_client_sees_one_page(bucket: storage.Bucket) -> None:
    for number in range(3):
        bucket.blob(str(number)).upload_from_string(b"")
    assert len(list(bucket.list_blobs(page_size=2, fields="items(name)"))) == 2
    assert len(list(bucket.list_blobs(page_size=2, fields="items(name),nextPageToken"))) == 3


def test_a_malformed_selection_is_a_bad_request(bucket: storage.Bucket) -> None:
    with pytest.raises(exceptions.BadRequest):
        list(bucket.list_blobs(fields="items("))
