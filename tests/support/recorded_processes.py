"""Processes that a server starts, seen by its test."""

from __future__ import annotations

from typing import Any

from infra.emulators.processes import ProcessGroup


def recording_process_type() -> tuple[type[ProcessGroup], list[ProcessGroup]]:
    """A type of process for a server, and all of that type that were started, the oldest first."""
    started: list[ProcessGroup] = []

    class Recorded(ProcessGroup):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)

    return Recorded, started
