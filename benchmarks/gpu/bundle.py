"""`python -m benchmarks.gpu.bundle [--python 3.12] [--out FOLDER]`: all that the GPU's benchmark needs, in two files.

For a machine with torch that reaches no package index and takes few megabytes: this project and wheels for that
machine's Python, both without what no step reads, as OUT/bundle.tar.xz, and OUT/on_device.sh, which unpacks it there
and runs the steps. Nothing else has to be copied.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PACKAGES = Path(__file__).with_name("bundle_packages.txt")
CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
OUT = Path("build/gpu-bundle")
BUNDLE, SCRIPT = "bundle.tar.xz", Path(__file__).with_name("on_device.sh")
SITE, TREE = "site", "tree"
"""Folders of the bundle: packages as they would be installed, and this project."""
LIMIT_BYTES = 64 * 2**20
"""What the machine these figures are made on takes at once."""

GLIBC_MINORS = (28, 27, 17, 24, 31, 34, 35, 26, 39, 12, 5)
"""Of the platforms that wheels are tagged with; pip takes no newer one for an older."""

UNREAD = re.compile(r"\.(onnx|pxd|pyx|pxi|c|h|hpp|cpp)$|silero_vad.*\.safetensors$|(^|/)tests?/|__pycache__/|^bin/")
"""Files of wheels: sources of compiled modules, tests, other forms of a detector's weights. librosa reads its .pyi."""

UNREAD_TREE = re.compile(r"^gpu_job/speakers/.*\.onnx$|^infra/tiny_parakeet/.*\.onnx$")
UNREAD_FOLDERS = ("docs", "tests")
"""What of the tree no step reads: the speakers' networks, the tiny model for ONNX Runtime, tests and pages."""

SPARE_BYTES = 3_000_000
"""For what both grow by until the day."""


class File(NamedTuple):
    """One of the bundle's."""

    name: str
    data: bytes
    mode: int = 0o644


def pins(packages: Path = PACKAGES, constraints: Path = CONSTRAINTS) -> list[str]:
    """`name==version` of each package. Raises KeyError for one without a version."""
    versions = dict(line.split("==") for line in _lines(constraints))
    by_name = {plain(name): f"{name}=={version}" for name, version in versions.items()}
    return [by_name[plain(name)] for name in _lines(packages)]


def _lines(file: Path) -> Iterator[str]:
    for line in file.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.strip()


def plain(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def fetch(wanted: Sequence[str], python: str, folder: Path) -> None:
    """The wheels of these pins; what has none is built, if it is pure Python. Raises CalledProcessError."""
    names = [f"manylinux_2_{minor}_x86_64" for minor in GLIBC_MINORS]
    names += [f"manylinux{year}_x86_64" for year in (2014, 2010, 1)]
    platforms = [part for name in names for part in ("--platform", name)]
    foreign = ["--only-binary=:all:", "--python-version", python, "--implementation", "cp", *platforms]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    for pin in wanted:
        name, version = pin.split("==")
        if any(_of(wheel) == (plain(name), version) for wheel in folder.glob("*.whl")):
            continue
        done = subprocess.run(
            [*pip, "download", "--no-deps", "-d", folder, *foreign, pin], check=False, capture_output=True
        )
        if done.returncode:
            subprocess.run([*pip, "wheel", "--no-deps", "-w", folder, pin], check=True)


def _of(wheel: Path) -> tuple[str, str]:
    name, version = wheel.name.split("-")[:2]
    return plain(name), version


def installed(wheels: Iterable[Path]) -> Iterator[File]:
    """The wheels' files as they would be installed, without what nothing reads."""
    for path in sorted(wheels):
        with zipfile.ZipFile(path) as wheel:
            for info in wheel.infolist():
                name = re.sub(r"^[^/]+\.data/(purelib|platlib)/", "", info.filename)
                if info.is_dir() or UNREAD.search(name) or ".data/" in name:
                    continue
                yield File(name, wheel.read(info), (info.external_attr >> 16) & 0o777 or 0o644)


def read_by_steps(folder: Path) -> Iterator[File]:
    """The project's files in a folder that some step reads."""
    tree = tree_files(folder)
    for name in sorted(set(tree) - set(left_at_home(tree))):
        path = folder / name
        if not path.is_symlink():
            yield File(name, path.read_bytes(), path.stat().st_mode & 0o777)


def pack(folders: Mapping[str, Iterable[File]], target: Path) -> dict[str, int]:
    """Files below these folders, as `.tar.xz` -> the bytes of each folder, unpacked."""
    sizes = dict.fromkeys(folders, 0)
    with tarfile.open(target, "w:xz", preset=9) as tar:
        for folder, files in folders.items():
            for name, data, mode in files:
                member = tarfile.TarInfo(f"{folder}/{name}")
                member.size, member.mode = len(data), mode
                tar.addfile(member, io.BytesIO(data))
                sizes[folder] += len(data)
    return sizes


def tree_files(folder: Path) -> dict[str, int]:
    """What git tracks, or does not ignore, below a folder: names and bytes."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout
    files = {name.decode(errors="surrogateescape"): folder / os.fsdecode(name) for name in listed.split(b"\0") if name}
    return {name: file.lstat().st_size for name, file in files.items() if file.is_file() or file.is_symlink()}


def left_at_home(tree: Mapping[str, int]) -> list[str]:
    """Those of its files that no step reads."""
    return sorted(name for name in tree if UNREAD_TREE.search(name) or name.partition("/")[0] in UNREAD_FOLDERS)


def main() -> int:
    """The exit status: 1 where the bundle is too large, SPARE_BYTES included."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default="3.12", help="of the GPU machine (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=OUT, help="default: %(default)s")
    chosen = parser.parse_args()
    wheels = chosen.out / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    wanted = pins()
    fetch(wanted, chosen.python, wheels)
    named = {(plain(name), version) for name, version in (pin.split("==") for pin in wanted)}
    target = chosen.out / BUNDLE
    packages = installed(wheel for wheel in wheels.glob("*.whl") if _of(wheel) in named)
    sizes = pack({TREE: read_by_steps(CONSTRAINTS.parent), SITE: packages}, target)
    shutil.copy(SCRIPT, chosen.out)
    packed = target.stat().st_size + SCRIPT.stat().st_size
    print(f"{len(wanted)} packages {sizes[SITE] / 1e6:.0f} MB, project {sizes[TREE] / 1e6:.1f} MB; {target}:", end=" ")
    print(f"{packed / 1e6:.1f} of {LIMIT_BYTES / 1e6:.1f} MB")
    print(f"There, with these two files in a folder: bash {SCRIPT.name} 540")
    print("Where what git tracks travels, too, take it out of the index until then, and have it ignored:")
    print("  git rm -r -q --cached . && echo '/*' >> .git/info/exclude")
    print("and afterwards, with that line out of .git/info/exclude again: git reset -q")
    return 0 if packed + SPARE_BYTES <= LIMIT_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
