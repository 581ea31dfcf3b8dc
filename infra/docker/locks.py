"""The files that the images install from: every wheel by version and hash."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from infra.docker.requirement_sets import SOURCES, Part, constraints, locked
from infra.docker.resolving import Wheel
from infra.requirements import requirements_of

HEADER = "# Written by `python -m infra.docker lock`: pyproject.toml's extra `job` within constraints.txt and {file}.\n"


def write(part: Part, wheels: Iterable[Wheel]) -> None:
    """Write the part's lock. The function has none."""
    assert part.lock
    assert part.differences
    lines = [str(wheel.locked) for wheel in wheels]
    part.lock.write_text(HEADER.format(file=part.differences.name) + "\n".join(lines) + "\n")


def written(part: Part) -> dict[NormalizedName, str]:
    """Name -> version of what the part is installed from, but for what is built of source."""
    if part.lock:
        return {each.name: each.version for each in locked(part.lock)}
    pins = [Requirement(line) for line in requirements_of(part.extra)]
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}


def problems(part: Part, wheels: Iterable[Wheel]) -> Iterator[str]:
    """Where the part's files and what resolves differ. A new build of the same version is no difference."""
    ours, theirs = written(part), {wheel.name: wheel.version for wheel in wheels}
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            yield f"{part}: {name} is {ours.get(name, 'missing')} and should be {theirs.get(name, 'left out')}"


def unpinned(part: Part) -> Iterator[str]:
    """Where the part's lock leaves its constraints. Offline. What torch alone brings is pinned by torch itself."""
    pins = constraints(part)
    for name, version in written(part).items():
        pin = pins.get(name)
        if pin is None and not name.startswith(("nvidia-", "triton")):
            yield f"{part}: {name} is in no constraints file"
        if pin is not None and not pin.specifier.contains(version, prereleases=True):
            yield f"{part}: {name} is {version}, {pin} is the constraint"
    for source in locked(SOURCES):
        if not pins[source.name].specifier.contains(source.version):
            yield f"{SOURCES.name}: {source.name} is {source.version}, {pins[source.name]} is the constraint"
