"""Any name that Cloud Storage allows works everywhere, and never becomes a path on disk."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pytest
from google.api_core import exceptions

from infra.emulators.storage.server import StorageServer
from tests.support.hostile_names import HOSTILE_NAMES
from tests.support.storage_testbench import beyond_testbench

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from _pytest.mark import ParameterSet
    from google.cloud import storage


def hostile(name: str) -> ParameterSet:
    strips_or_overflows = name in {"/leading", "é" * 512}
    return pytest.param(name, id=ascii(name[:20]), marks=beyond_testbench if strips_or_overflows else ())


each_hostile_name = pytest.mark.parametrize("name", [hostile(name) for name in HOSTILE_NAMES])


@each_hostile_name
def test_name_survives_the_round_trip(bucket: storage.Bucket, name: str) -> None:
    blob = bucket.blob(name)
    blob.upload_from_string(b"small")
    assert [listed.name for listed in bucket.list_blobs(prefix=name)] == [name]
    assert bucket.get_blob(name).name == name
    assert bucket.blob(name).download_as_bytes() == b"small"
    blob.reload()  # from here on the download goes by the server's media link
    assert blob.download_as_bytes() == b"small"
    blob.delete()
    assert not blob.exists()


@each_hostile_name
def test_name_survives_a_resumable_upload(bucket: storage.Bucket, name: str) -> None:
    bucket.blob(name).upload_from_file(io.BytesIO(b"chunked"))  # its size is not given: the client goes resumable
    assert bucket.blob(name).download_as_bytes() == b"chunked"


def test_names_do_not_reach_the_disk(tmp_path: Path, connect: Callable[[str], storage.Client]) -> None:
    root = tmp_path / "objects"
    with StorageServer(root) as server:
        bucket = connect(server.url).create_bucket("uploads")
        for name in HOSTILE_NAMES:
            bucket.blob(name).upload_from_string(b"x")
        written = [path for path in tmp_path.rglob("*") if path != root]
    assert len(written) == len(HOSTILE_NAMES)
    assert all(path.parent == root and re.fullmatch("[0-9a-f]{32}", path.name) for path in written)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "line\nfeed", "carriage\rreturn", "x" * 1025, "é" * 513, "\ud800"],
    ids=["empty", "dot", "two dots", "line feed", "carriage return", "1025 bytes", "1026 bytes", "lone surrogate"],
)
@pytest.mark.parametrize("size", [None, 1], ids=["resumable", "multipart"])
@beyond_testbench
def test_forbidden_name_is_refused(bucket: storage.Bucket, name: str, size: int | None) -> None:
    with pytest.raises(exceptions.BadRequest):
        bucket.blob(name).upload_from_file(io.BytesIO(b"x"), size=size)
    assert list(bucket.list_blobs()) == []
