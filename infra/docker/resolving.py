"""Resolving a part's requirements for the machine it is deployed to, whatever machine this is. pip does the work.

Only wheels count, and only their metadata is fetched: the GPU's 4.5 GB stay where they are.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.utils import NormalizedName, canonicalize_name

from infra.docker.requirement_sets import SOURCES, Locked, Part, constraints, locked
from infra.requirements import DEPLOYED, declared

PYPI = "https://pypi.org/simple"

GLIBC = 35
"""glibc 2.35 is what the function's Ubuntu 22.04 has; the images' Debian 12 has 2.36."""

PLATFORMS = (
    *(f"manylinux_2_{minor}_x86_64" for minor in range(GLIBC, 4, -1)),
    *(f"manylinux{name}_x86_64" for name in ("2014", "2010", "1")),
    "linux_x86_64",
)
"""Wheels that run there, the newest first."""

COMMAND_SECONDS = 300.0

_NO_INDEX = ("NewConnectionError", "Max retries exceeded", "ConnectTimeout", "ReadTimeout", "Connection to ")
"""How pip says that it could not ask: it has no exit status for it."""


class Unresolvable(Exception):
    """No set of wheels meets the requirements; the message is pip's."""


class OutOfReach(Exception):
    """The package index did not answer."""


@dataclass(frozen=True)
class Wheel:
    """A wheel that a part installs."""

    name: NormalizedName
    version: str
    url: str
    sha256: str

    @property
    def locked(self) -> Locked:
        """As a line of the lock file."""
        return Locked(self.name, self.version, self.sha256)


def resolve(part: Part) -> list[Wheel]:
    """The wheels of a part, by name, but for what is built of `SOURCES`. Raises Unresolvable, OutOfReach."""
    pins = [f"{name}{pin.specifier}" for name, pin in constraints(part).items()]
    return resolve_set([str(requirement) for requirement in declared(part.extra)], pins, part.extra_index)


def resolve_set(requirements: Sequence[str], pins: Sequence[str] = (), index: str | None = None) -> list[Wheel]:
    """The wheels that meet the requirements within the pins, as `resolve` gives them."""
    with _folder(requirements=requirements, pins=pins) as folder:
        _pip("wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), "-r", str(SOURCES))
        _pip(
            *("install", "--dry-run", "--ignore-installed", "--target", str(folder / "nowhere")),
            *("-r", str(folder / "requirements"), "-c", str(folder / "pins"), "--find-links", str(folder)),
            *("--only-binary", ":all:", "--use-feature", "fast-deps", "--report", str(folder / "report")),
            *("--implementation", "cp", "--python-version", DEPLOYED["python_version"]),
            *(argument for platform in PLATFORMS for argument in ("--platform", platform)),
            *(("--extra-index-url", index) if index else ()),
        )
        report = json.loads((folder / "report").read_text())
    sources = {source.name for source in locked(SOURCES)}
    wheels = [_wheel(each) for each in report["install"] if canonicalize_name(each["metadata"]["name"]) not in sources]
    return sorted(wheels, key=lambda wheel: wheel.name)


def _wheel(reported: dict[str, Any]) -> Wheel:
    """One entry of pip's report."""
    metadata, found = reported["metadata"], reported["download_info"]
    url, stated = found["url"], found["archive_info"].get("hashes", {}).get("sha256")
    return Wheel(canonicalize_name(metadata["name"]), metadata["version"], url, stated or _sha256(url))


def _sha256(url: str) -> str:
    """Of a wheel in a folder, which states none."""
    with Path(unquote(urlsplit(url).path)).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _folder(**files: Sequence[str]) -> Iterator[Path]:
    """A folder with these files of lines, for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="resolving-") as name:
        for file, lines in files.items():
            (Path(name) / file).write_text("\n".join(lines) + "\n")
        yield Path(name)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", *arguments, "--index-url", PYPI, "--no-input", "--retries", "1"]
    # The machine's own indexes and pins are not those of the machine that builds the images.
    environment = {**os.environ, "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
    )
    if done.returncode == 0:
        return
    error = done.stderr.strip()
    raise OutOfReach(error) if any(words in error for words in _NO_INDEX) else Unresolvable(error)
