"""What is installed where: the requirements of the function, the CPU job and the GPU job, and their pins."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from infra.requirements import CONSTRAINTS, pinned

FOLDER = Path(__file__).parent

SOURCES = FOLDER / "sources.txt"
"""The few requirements without a wheel."""

TORCH_CPU = "https://download.pytorch.org/whl/cpu"
"""PyTorch's index of builds without CUDA."""


class Part(StrEnum):
    """A part of the deployment with requirements of its own."""

    FUNCTION = "function"
    CPU = "cpu"
    GPU = "gpu"

    @property
    def extra(self) -> str:
        """The project's extra it is installed with."""
        return "function" if self is Part.FUNCTION else "job"

    @property
    def differences(self) -> Path | None:
        """Where it differs from constraints.txt."""
        return None if self is Part.FUNCTION else FOLDER / f"constraints-{self}.txt"

    @property
    def lock(self) -> Path | None:
        """What the image installs, by hash; the function's requirements are written into its archive."""
        return None if self is Part.FUNCTION else FOLDER / f"requirements-{self}.txt"

    @property
    def extra_index(self) -> str | None:
        """A package index besides PyPI."""
        return TORCH_CPU if self is Part.CPU else None


def constraints(part: Part) -> dict[NormalizedName, Requirement]:
    """The project's pins with the part's differences."""
    return pinned(CONSTRAINTS) | (pinned(part.differences) if part.differences else {})


@dataclass(frozen=True)
class Locked:
    """A requirement as an image installs it."""

    name: NormalizedName
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"


_LOCKED = re.compile(r"^(?P<name>\S+)==(?P<version>\S+) --hash=sha256:(?P<sha256>[0-9a-f]{64})$", re.MULTILINE)


def locked(path: Path) -> list[Locked]:
    """What a lock file holds, in its order."""
    return [
        Locked(canonicalize_name(found["name"]), found["version"], found["sha256"])
        for found in _LOCKED.finditer(path.read_text())
    ]
