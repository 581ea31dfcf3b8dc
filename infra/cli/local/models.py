"""Which model a command on this machine transcribes with: the published one, fetched once, unless told otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from rich import progress as bars
from rich.console import Console

from gpu_job.asr.hub.names import PUBLISHED_MODEL, hub_model
from infra.cli.errors import CommandError
from infra.cli.tables import print_line
from infra.tiny_parakeet import ONNX_PATH

if TYPE_CHECKING:
    from gpu_job.asr.hub.fetch import FetchPlan

TINY = "tiny"
"""The name of the built-in model: what the demo is for, and nothing else."""


def chosen_model(asked: str | None, console: Console | None = None) -> str:
    """What `--model` says -> what the job is given: a path, or a name that it finds in the hub's cache.

    Raises CommandError where there is no such file, and where a published model cannot be fetched.
    """
    if asked == TINY:
        return str(ONNX_PATH)
    name = asked or PUBLISHED_MODEL
    # A relative path is relative to the caller; the job runs in another directory.
    if (path := Path(name)).exists():
        return str(path.resolve())
    if hub_model(name) is None:
        if name.startswith("nvidia/") and find_spec("nemo") is not None:
            return name
        raise CommandError(
            f"{name}: there is no such file or folder, and no published model of this name. --model {TINY} takes the"
            " built-in model, which knows 145 words."
        )
    _fetch(name, console or Console(stderr=True))
    return name


def _fetch(name: str, console: Console) -> None:
    """Have a published model in the hub's cache, with its size and the free disk first, and a bar."""
    from gpu_job.asr.hub.errors import ModelNotFetched
    from gpu_job.asr.hub.fetch import fetch_model

    with _progress(console) as progress:
        try:
            fetch_model(name, listener=FetchProgress(console, progress))
        except ModelNotFetched as error:
            raise CommandError(error.reason) from error


class FetchProgress:
    """What a fetch says, on the screen; where that is no terminal, its first line and its last."""

    def __init__(self, console: Console, progress: bars.Progress) -> None:
        self._console = console
        self._progress = progress

    def planned(self, plan: FetchPlan) -> None:
        """Print what comes from where, its size, and how much the disk has free."""
        kept = f", {plan.present_bytes / 1e6:,.0f} MB of it here already" if plan.present_bytes else ""
        print_line(
            self._console,
            f"Fetching {plan.model.name} ({plan.quantization}), once: {plan.total_bytes / 1e6:,.0f} MB{kept}, from"
            f" {plan.url} to {plan.cache}, which has {plan.free_bytes / 1e9:,.1f} GB free.",
        )
        self._task = self._progress.add_task("model", total=plan.total_bytes, completed=plan.present_bytes)

    def received(self, count: int) -> None:
        """Move the bar."""
        self._progress.advance(self._task, count)


@contextmanager
def _progress(console: Console) -> Iterator[bars.Progress]:
    columns = (
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(bar_width=24),
        bars.DownloadColumn(),
        bars.TransferSpeedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield progress
