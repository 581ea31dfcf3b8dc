"""`python -m benchmarks.gpu.bundle [--python 3.12] [--out FOLDER]`: what the GPU's benchmark needs, in one file.

For a machine with torch that reaches no package index, and takes few megabytes of a copied tree: wheels for its Python,
without what nothing reads, as OUT/site.tar.xz. `benchmarks/gpu/on_device.sh` unpacks it there and runs the steps.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

PACKAGES = Path(__file__).with_name("bundle_packages.txt")
CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
OUT = Path("build/gpu-bundle")
LIMIT_BYTES = 64 * 2**20
"""Of tree and bundle together: what the machine these figures are made on takes at once."""

GLIBC_MINORS = (28, 27, 17, 24, 31, 34, 35, 26, 39, 12, 5)
"""Of the platforms that wheels are tagged with; pip takes no newer one for an older."""

UNREAD = re.compile(r"\.(onnx|pxd|pyx|pxi|c|h|hpp|cpp)$|silero_vad.*\.safetensors$|(^|/)tests?/|__pycache__/|^bin/")
"""Files of wheels: sources of compiled modules, tests, other forms of a detector's weights. librosa reads its .pyi."""

UNREAD_TREE = re.compile(r"^gpu_job/speakers/.*\.onnx$|^infra/tiny_parakeet/.*\.onnx$")
UNREAD_FOLDERS = ("docs", "tests")
"""What of the tree no step reads: the speakers' networks, the tiny model for ONNX Runtime, tests and pages."""

SPARE_BYTES = 5_000_000
"""For what the tree grows by until the day."""


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


def pack(wheels: Iterable[Path], target: Path) -> int:
    """The wheels' files as they would be installed, as `.tar.xz` -> their bytes unpacked."""
    size = 0
    with tarfile.open(target, "w:xz", preset=9) as tar:
        for path in sorted(wheels):
            with zipfile.ZipFile(path) as wheel:
                for info in wheel.infolist():
                    name = re.sub(r"^[^/]+\.data/(purelib|platlib)/", "", info.filename)
                    if info.is_dir() or UNREAD.search(name) or ".data/" in name:
                        continue
                    data = wheel.read(info)
                    member = tarfile.TarInfo(name)
                    member.size, member.mode = len(data), (info.external_attr >> 16) & 0o777 or 0o644
                    tar.addfile(member, io.BytesIO(data))
                    size += len(data)
    return size


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
    """The exit status: 1 where bundle and tree are too large together, SPARE_BYTES included."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default="3.12", help="of the GPU machine (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=OUT, help="default: %(default)s")
    chosen = parser.parse_args()
    wheels = chosen.out / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    wanted = pins()
    fetch(wanted, chosen.python, wheels)
    named = {(plain(name), version) for name, version in (pin.split("==") for pin in wanted)}
    target = chosen.out / "site.tar.xz"
    unpacked = pack((wheel for wheel in wheels.glob("*.whl") if _of(wheel) in named), target)
    packed, tree = target.stat().st_size, tree_files(CONSTRAINTS.parent)
    unread = left_at_home(tree)
    read = sum(tree.values()) - sum(tree[name] for name in unread)
    print(f"{target}: {len(wanted)} packages, {packed / 1e6:.1f} MB, {unpacked / 1e6:.0f} MB unpacked")
    print(f"with what the steps read of the tree, {read / 1e6:.1f} of {sum(tree.values()) / 1e6:.1f} MB:", end=" ")
    print(f"{(packed + read) / 1e6:.1f} of {LIMIT_BYTES / 1e6:.1f} MB")
    named_at_home = [*UNREAD_FOLDERS, *(name for name in unread if UNREAD_TREE.search(name))]
    print("Where what git tracks is what travels, take the rest out of the index first, and have it ignored:")
    print(f"  git rm -r -q --cached -- {' '.join(named_at_home)}")
    print(f"  printf '/%s\\n' {' '.join(named_at_home)} >> .git/info/exclude")
    print("and afterwards, with those lines out of .git/info/exclude again: git reset -q")
    return 0 if packed + read + SPARE_BYTES <= LIMIT_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
