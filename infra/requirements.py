"""Which of the pins in constraints.txt a part of the project needs: the closure of one of its extras.

Read off the distributions that are installed here, for the machine that is deployed to: offline, and within a second.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"

DEPLOYED = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.11.0",
    "python_version": "3.11",
    "sys_platform": "linux",
}
"""Marker environment of function and images: CPython 3.11 on Linux x86-64."""


class Unpinned(Exception):
    """A requirement that is not pinned, not installed, or installed in another version than the pinned one."""


def pinned(path: Path = CONSTRAINTS) -> dict[NormalizedName, Requirement]:
    """The pins of a constraints file, by normalised name."""
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    pins = [Requirement(line) for line in lines if line]
    return {canonicalize_name(pin.name): pin for pin in pins}


def declared(extra: str) -> list[Requirement]:
    """What pyproject.toml asks for with this extra, and the extras it names. Raises KeyError for an unknown one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [Requirement(text) for text in (*project["dependencies"], *project["optional-dependencies"][extra])]
    ours = [each for each in asked if each.name == project["name"]]
    nested = [found for each in ours for name in each.extras for found in declared(name)]
    return list(dict.fromkeys([each for each in asked if each not in ours] + nested))


def requirements_of(extra: str) -> list[str]:
    """Lines `name==version`, sorted: all that `pip install --no-deps` needs for the extra. Raises Unpinned."""
    pins = pinned()
    needed = {canonicalize_name(requirement.name) for requirement in _closure(declared(extra))}
    if missing := sorted(needed - set(pins)):
        raise Unpinned(f"Not in {CONSTRAINTS.name}: {', '.join(missing)}.")
    for name in needed:
        _same_version(pins[name])
    return sorted((str(pins[name]) for name in needed), key=str.lower)


def _closure(roots: list[Requirement]) -> Iterator[Requirement]:
    """Every requirement that the roots lead to where it is deployed, each name with each set of extras once."""
    waiting, seen = list(roots), set[tuple[str, frozenset[str]]]()
    while waiting:
        requirement = waiting.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        yield requirement
        waiting += _required_by(requirement)


def _required_by(requirement: Requirement) -> list[Requirement]:
    try:
        texts = distribution(requirement.name).requires or ()
    except PackageNotFoundError:
        raise Unpinned(f"{requirement.name} is not installed here, so what it needs is not known.") from None
    found = [Requirement(text) for text in texts]
    return [each for each in found if _applies(each, requirement.extras)]


def _applies(requirement: Requirement, extras: set[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**DEPLOYED, "extra": extra}) for extra in extras or {""})


def _same_version(pin: Requirement) -> None:
    """Raise Unpinned unless the closure was read off the pinned version; local parts such as +cpu do not count."""
    if not pin.specifier.contains(installed := distribution(pin.name).version, prereleases=True):
        raise Unpinned(f"{pin.name} {installed} is installed, {pin} is pinned: run `make` to bring both together.")
