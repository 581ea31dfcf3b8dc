"""What the parts weigh: wheels as their own directories say, base image and model as their makers do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from infra.docker.requirement_sets import Part
from infra.docker.resolving import Wheel
from infra.docker.wheel_sizes import Size, sizes_of

BASE = Size(packed=45_000_000, unpacked=130_000_000, modules=0)
"""python:3.11-slim-bookworm for linux/amd64, about, by Docker Hub's page; its modules come compiled or are unused."""

MODEL = Size(packed=1_240_000_000, unpacked=1_240_000_000, modules=0)
"""0.6 B parameters of two bytes. Weights hardly compress."""

LARGEST = 8
"""Wheels that are named."""


def table(parts: Mapping[Part, Sequence[Wheel]]) -> str:
    """A Markdown table of the parts, and one of the largest wheels in each. Raises what `sizes_of` raises."""
    sizes = {part: sizes_of(wheel.url for wheel in wheels) for part, wheels in parts.items()}
    return "\n".join([*_parts(sizes), *(line for part in parts for line in _largest(part, parts[part], sizes[part]))])


def _parts(sizes: Mapping[Part, Sequence[Size]]) -> Iterator[str]:
    yield "| part | wheels | compressed | on disk | with the model, compressed | with the model, on disk |"
    yield "|---|---|---|---|---|---|"
    for part, each in sizes.items():
        whole = sum(each, BASE if part.lock else Size(0, 0, 0))
        cells = [_gb(whole.compressed), _gb(whole.installed)]
        cells += [_gb((whole + MODEL).compressed), _gb((whole + MODEL).installed)] if part.lock else ["", ""]
        yield f"| {part} | {len(each)} | {' | '.join(cells)} |"


def _largest(part: Part, wheels: Sequence[Wheel], sizes: Sequence[Size]) -> Iterator[str]:
    yield f"\n| {part}: largest wheels | compressed | on disk |\n|---|---|---|"
    order = sorted(zip(wheels, sizes, strict=True), key=lambda pair: pair[1].installed, reverse=True)
    for wheel, size in order[:LARGEST]:
        yield f"| {wheel.name} {wheel.version} | {_gb(size.compressed)} | {_gb(size.installed)} |"


def _gb(count: int) -> str:
    """Bytes, for people."""
    return f"{count / 1e9:.2f} GB"
