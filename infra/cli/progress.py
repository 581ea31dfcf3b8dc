"""Progress of each file: live bars on a terminal, else a line for every change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from rich import progress as bars
from rich.console import Console

from infra.cli.tables import print_line, printable
from shared.messages import TerminalMessage
from shared.state.jobs import JobRecord


class Progress:
    """One line for each file."""

    def __init__(self, console: Console, names: Sequence[str]) -> None:
        self._console = console
        self._is_live = console.is_terminal
        self._printed: dict[str, str] = {}
        self._bars = bars.Progress(
            bars.TextColumn("{task.description}", markup=False),
            bars.BarColumn(bar_width=24),
            bars.TextColumn("{task.fields[status]}", markup=False),
            bars.TimeElapsedColumn(),
            console=console,
            disable=not self._is_live,
        )
        self._tasks = {name: self._bars.add_task(printable(name), total=1.0, status="uploaded") for name in names}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def update(self, name: str, record: JobRecord) -> None:
        """Show how far a job is by its record."""
        duration = record.media.duration_seconds if record.media else 0.0
        share = min(1.0, record.transcribed_seconds / duration) if duration else 0.0
        method = record.decision.method.value if record.decision else ""
        self._show(name, f"{record.state.value} {method}".strip(), 0.95 * share)

    def finish(self, message: TerminalMessage) -> None:
        """Show the outcome of a job."""
        self._show(message.upload.name, message.outcome.value, 1.0)

    def _show(self, name: str, status: str, share: float) -> None:
        self._bars.update(self._tasks[name], completed=share, status=status)
        if not self._is_live and self._printed.get(name) != status:
            self._printed[name] = status
            print_line(self._console, f"{name}: {status}")
