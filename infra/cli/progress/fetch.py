"""Progress of fetching a model: size and free disk first, then a bar, or without a terminal a line at both ends."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich import progress as bars
from rich.console import Console

from infra.cli.tables import print_line
from shared.progress.describe import rough_duration

if TYPE_CHECKING:  # it takes the hub's client to import, for which the first lines need not wait
    from gpu_job.asr.hub.fetch import FetchPlan


class FetchProgress:
    """Listens to one fetch, and prints."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stack = ExitStack()
        self._bars = bars.Progress(
            bars.TextColumn("fetching the model"),
            bars.BarColumn(bar_width=14),
            bars.TextColumn("{task.percentage:.0f}%,"),
            bars.DownloadColumn(),
            bars.TransferSpeedColumn(),
            bars.TextColumn("{task.fields[left]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task: bars.TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()
        if self._task is not None and kind is None:
            print_line(self._console, "The model is here; from now on it takes no network.")

    def planned(self, plan: FetchPlan) -> None:
        """Say what is fetched, once; nothing where all of it is here."""
        left = plan.total_bytes - plan.present_bytes
        if not left:
            return
        resumed = f" ({megabytes(plan.present_bytes)} of it are here already)" if plan.present_bytes else ""
        print_line(
            self._console,
            f"Fetching {plan.model.name} from {plan.url}: {megabytes(plan.total_bytes)}{resumed} into {plan.cache},"
            f" where {megabytes(plan.free_bytes)} are free.",
        )
        self._task = self._bars.add_task("", total=plan.total_bytes, completed=plan.present_bytes, left="")
        self._stack.enter_context(self._bars)

    def received(self, count: int) -> None:
        """So many bytes came; negative: so many have to come again."""
        if self._task is None:
            return
        self._bars.advance(self._task, count)
        remaining = self._bars.tasks[0].time_remaining
        self._bars.update(self._task, left=f"{rough_duration(remaining)} left" if remaining else "")


def megabytes(count: int) -> str:
    """`650 MB`: of 10^6 bytes, as the hub counts."""
    return f"{count / 1e6:,.0f} MB" if count >= 10**6 else f"{count / 1e3:,.0f} kB"
