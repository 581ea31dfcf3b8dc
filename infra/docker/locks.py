"""What the function and the two images install: resolved by uv, written down as one line a package with its hashes.

uv reads the wheels' metadata only, from PyPI: seconds, and none of the 4.5 GB of CUDA.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent
CONSTRAINTS = ROOT / "constraints.txt"
SOURCES = FOLDER / "sources.txt"
"""The few requirements without a wheel, which the images build: uv leaves them out."""

PYPI = "https://pypi.org/simple"
PYTHON = "3.11"
PLATFORM = "x86_64-manylinux_2_35"
"""glibc 2.35 is what the function's Ubuntu 22.04 has; the images' Debian 12 has 2.36."""

HEADER = "# Written by `python -m infra.docker lock`: pyproject.toml's extra `{extra}` within {constraints}.\n"

_COMMAND_SECONDS = 300.0


class Unresolvable(Exception):
    """No set of wheels meets the requirements; the message is uv's."""


class OutOfReach(Exception):
    """A package index did not answer; the message is uv's."""


class Part(StrEnum):
    """A part of the deployment with requirements of its own."""

    FUNCTION = "function"
    CPU = "cpu"
    GPU = "gpu"

    @property
    def extra(self) -> str:
        """The project's extra it is installed with."""
        return {Part.FUNCTION: "function", Part.CPU: "job", Part.GPU: "gpu"}[self]

    @property
    def differences(self) -> Path | None:
        """Pins that replace those of constraints.txt."""
        return FOLDER / "constraints-gpu.txt" if self is Part.GPU else None

    @property
    def lock(self) -> Path:
        """What is installed, by version and hash."""
        return FOLDER / f"requirements-{self}.txt"


@dataclass(frozen=True)
class Package:
    """A package of a lock. Several hashes: builds of one version that all run there; pip takes the most specific."""

    name: NormalizedName
    version: str
    hashes: tuple[str, ...]
    """`sha256:...`"""
    size: int = 0
    """Bytes of the largest build; 0 where the index does not say."""

    def __str__(self) -> str:
        return " ".join([f"{self.name}=={self.version}", *(f"--hash={each}" for each in self.hashes)])


def pins(part: Part) -> dict[NormalizedName, Requirement]:
    """constraints.txt with the part's differences."""
    lines = [
        *CONSTRAINTS.read_text().splitlines(),
        *(part.differences.read_text().splitlines() if part.differences else ()),
    ]
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in found}


def resolve(part: Part, project: Path = ROOT / "pyproject.toml") -> list[Package]:
    """The packages of a part, by name, but for those of `SOURCES`. Raises Unresolvable, OutOfReach."""
    with tempfile.TemporaryDirectory(prefix="resolving-") as name:
        constraints, excluded = Path(name, "constraints.txt"), Path(name, "excluded.txt")
        constraints.write_text("\n".join(map(str, pins(part).values())))
        excluded.write_text("\n".join(package.name for package in read(SOURCES)))
        return _packages(
            _uv(
                *("pip", "compile", str(project), "--extra", part.extra),
                *("--constraints", str(constraints), "--excludes", str(excluded)),
                *("--python-version", PYTHON, "--python-platform", PLATFORM, "--no-build"),
                *("--default-index", PYPI, "--format", "pylock.toml", "--no-header", "--quiet"),
            )
        )


def _uv(*arguments: str) -> str:
    command = [sys.executable, "-m", "uv", "--no-config", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_SECONDS)
    if done.returncode == 0:
        return done.stdout
    raise (OutOfReach if "Failed to fetch" in done.stderr else Unresolvable)(done.stderr.strip())


def _packages(pylock: str) -> list[Package]:
    """The packages of a lock in the format of PEP 751."""
    return [
        Package(
            canonicalize_name(package["name"]),
            package["version"],
            tuple(f"sha256:{wheel['hashes']['sha256']}" for wheel in package["wheels"]),
            max(wheel.get("size", 0) for wheel in package["wheels"]),
        )
        for package in tomllib.loads(pylock)["packages"]
    ]


def write(part: Part, packages: Sequence[Package]) -> None:
    """Write the part's lock."""
    constraints = " and ".join(path.name for path in (CONSTRAINTS, part.differences) if path)
    header = HEADER.format(extra=part.extra, constraints=constraints)
    part.lock.write_text(header + "".join(f"{package}\n" for package in packages))


def read(path: Path) -> list[Package]:
    """What a lock holds, in its order."""
    lines = [line.split() for line in path.read_text().splitlines() if not line.startswith("#")]
    return [
        Package(canonicalize_name(name), version, tuple(each.removeprefix("--hash=") for each in hashes))
        for (name, _, version), hashes in ((line[0].partition("=="), line[1:]) for line in lines)
    ]


def differences(part: Part, packages: Sequence[Package]) -> Iterator[str]:
    """Where a lock and what resolves differ. A new build of the same version is no difference."""
    ours = {package.name: package.version for package in read(part.lock)}
    theirs = {package.name: package.version for package in packages}
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            yield f"{part}: {name} is {ours.get(name, 'missing')} and should be {theirs.get(name, 'left out')}"
