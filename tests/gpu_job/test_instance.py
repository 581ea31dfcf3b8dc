"""What an instance has, read from its control group and its file system."""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gpu_job.instance import bytes_in, disk_space, memory_bytes

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("memory.max", "1073741824\n", 2**30),
        ("memory.max", "max\n", MACHINE),
        ("memory/memory.limit_in_bytes", "536870912\n", 2**29),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n", MACHINE),
    ],
    ids=["version 2", "version 2 without a limit", "version 1", "version 1 without a limit"],
)
def test_memory_is_the_control_groups_limit(tmp_path: Path, file: str, text: str, expected: int) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    assert memory_bytes(tmp_path) == expected


def test_without_control_groups_it_is_the_machines(tmp_path: Path) -> None:
    assert memory_bytes(tmp_path) == MACHINE


def test_disk_space_is_the_file_systems(tmp_path: Path) -> None:
    space = disk_space(tmp_path)
    assert 0 < space.free_bytes <= space.total_bytes


def test_bytes_in_a_folder_are_those_of_all_files_below_it(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"x" * 100_000)
    (tmp_path / "c").write_bytes(b"x" * 100_000)
    before = bytes_in(tmp_path)
    assert 200_000 <= before < 300_000
    (tmp_path / "link").symlink_to(tmp_path / "c")
    assert bytes_in(tmp_path) < before + 50_000


def test_folders_that_are_removed_meanwhile_take_nothing(tmp_path: Path) -> None:
    def come_and_go() -> None:
        for _ in range(1000):
            with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
                (Path(folder) / "upload").write_bytes(b"x")

    with ThreadPoolExecutor(1) as threads:
        coming_and_going = threads.submit(come_and_go)
        while not coming_and_going.done():
            bytes_in(tmp_path)
        coming_and_going.result()
    assert bytes_in(tmp_path) == 0
