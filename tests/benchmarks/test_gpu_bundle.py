"""The file that brings the GPU's benchmark its packages."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from benchmarks.gpu.bundle import pack, pins, tree_bytes


def wheel(folder: Path, name: str, files: dict[str, bytes], executable: str = "") -> Path:
    path = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as written:
        for file, data in files.items():
            info = zipfile.ZipInfo(file)
            info.external_attr = (0o755 if file == executable else 0o644) << 16
            written.writestr(info, data)
    return path


def test_every_package_has_the_version_that_is_tested() -> None:
    found = pins()
    assert found
    assert "nemo-toolkit==3.0.0" in [pin.lower().replace("_", "-") for pin in found]


def test_a_package_without_a_version_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "packages").write_text("# none\nunknown\n")
    with pytest.raises(KeyError):
        pins(tmp_path / "packages")


def test_files_stand_where_they_would_be_installed_without_what_nothing_reads(tmp_path: Path) -> None:
    files = {
        "one/__init__.py": b"import one",
        "one/run": b"#!",
        "one/core.pyx": b"source",
        "one/tests/test_one.py": b"test",
        "one-1.0.data/purelib/two.py": b"two",
        "one-1.0.data/scripts/one": b"script",
        "one-1.0.dist-info/METADATA": b"Name: one",
    }
    first = wheel(tmp_path, "one-1.0", files, executable="one/run")

    size = pack([first, wheel(tmp_path, "three-2.0", {"three.py": b"3"})], tmp_path / "site.tar.xz")

    with tarfile.open(tmp_path / "site.tar.xz") as packed:
        found = {member.name: member.mode for member in packed.getmembers()}
    assert found == {
        "one/__init__.py": 0o644,
        "one/run": 0o755,
        "two.py": 0o644,
        "one-1.0.dist-info/METADATA": 0o644,
        "three.py": 0o644,
    }
    assert size == sum(len(data) for name, data in files.items() if name in found) + len(b"two3")


def test_the_tree_is_what_git_does_not_ignore(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text("build/\n")
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "large").write_bytes(bytes(1000))
    (tmp_path / "new").write_bytes(bytes(100))
    assert tree_bytes(tmp_path) == 100 + len("build/\n")
