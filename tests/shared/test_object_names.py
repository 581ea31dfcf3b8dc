"""Names of objects for files: their own where Cloud Storage takes it, else a valid one that a person recognises."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.object_names import folder_name, name_problem, object_name

PATHS = st.lists(st.binary(min_size=1, max_size=255).map(lambda part: part.translate(None, b"/\0") or b"x"), min_size=1)


@pytest.mark.parametrize(
    "path",
    [
        "a.mp3",
        "calls/Gespräch 100%.mp3",
        "日本語/会議.mp3",
        "\x1b[31mred.mp3",
        "a\u202eb.mp3",
        "x" * 255,
        "é/" * 340 + "é",
    ],
)
def test_a_name_that_cloud_storage_allows_is_kept(path: str) -> None:
    assert object_name(PurePosixPath(path)) == path


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (b"line\nbreak.mp3", "line%0Abreak-"),
        (b"calls/carriage\rreturn", "calls/carriage%0Dreturn-"),
        (b"caf\xe9 100%.mp3", "caf%E9 100%25-"),
        (b"\xff\xfe/a.mp3", "%FF%FE/a-"),
        (b".well-known/acme-challenge/a.mp3", "well-known/acme-challenge/a-"),
    ],
)
def test_what_it_forbids_is_escaped(path: bytes, name: str) -> None:
    assert object_name(Path(os.fsdecode(path))).startswith(name)


def test_a_long_path_keeps_its_beginning_its_file_name_and_its_suffix() -> None:
    path = PurePosixPath("calls", *("d" * 200 for _ in range(6)), "monday.mp3")
    name = object_name(path)
    assert name.startswith("calls/ddd")
    assert PurePosixPath(name).name.startswith("monday-")
    assert name.endswith(".mp3")
    assert len(name.encode()) <= 512
    assert object_name(path.with_name("tuesday.mp3")) != name
    assert object_name(path) == name


@given(PATHS)
def test_every_path_has_a_name_of_an_object_and_of_folders(parts: list[bytes]) -> None:
    name = object_name(Path(os.fsdecode(b"/".join(parts))))
    assert name_problem(name) is None
    assert all(len(part.encode()) <= 255 for part in name.split("/"))


@given(PATHS, PATHS)
def test_two_paths_have_two_names(one: list[bytes], other: list[bytes]) -> None:
    paths = [Path(os.fsdecode(b"/".join(parts))) for parts in (one, other)]
    assert (object_name(paths[0]) == object_name(paths[1])) == (paths[0].as_posix() == paths[1].as_posix())


@pytest.mark.parametrize("part", ["a.mp3", "nul\0byte", "x" * 1000 + ".mp3", "é" * 512])
def test_any_part_of_an_objects_name_can_be_a_folder(tmp_path: Path, part: str) -> None:
    folder = tmp_path / folder_name(part)
    folder.mkdir()
    assert folder.parent == tmp_path
    assert folder_name("a.mp3") == "a.mp3"
