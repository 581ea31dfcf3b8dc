"""Measurements as a table and as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Measurement:
    """One figure beside what it is held against."""

    name: str
    value: float
    unit: str
    peer: str
    """What stands beside it, with its figure."""
    target: str
    holds: bool | None
    """Whether the target is met; None where there is none."""


def machine() -> str:
    """The processor, its cores and the system."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    return f"{os.cpu_count()} cores {model}, {platform.system()}, Python {platform.python_version()}"


def write_json(measurements: Sequence[Measurement], path: Path) -> None:
    """Write the list, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    unfinished.write_text(json.dumps([asdict(one) for one in measurements], indent=2) + "\n")
    unfinished.replace(path)


def write(measurements: Sequence[Measurement], path: Path) -> None:
    """Print the table and write the list."""
    write_json(measurements, path)
    table = Table(title=f"{machine()}, {datetime.now(UTC):%Y-%m-%d}")
    for column in ("what", "value", "peer", "target", "holds"):
        table.add_column(column, overflow="fold")
    for one in measurements:
        holds = "-" if one.holds is None else "yes" if one.holds else "NO"
        table.add_row(one.name, f"{one.value:.3g} {one.unit}", one.peer, one.target, holds)
    console = Console()
    console.print(table)
    console.print(f"Written to {path}.", highlight=False)
