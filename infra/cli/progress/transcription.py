"""Progress in words: on a terminal a bar for each file that is worked on, elsewhere a line for each stage of a file."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Self

from rich import progress as bars
from rich.cells import cell_len, set_cell_size
from rich.console import Console

from infra.cli.progress.time_left import TimeLeft
from infra.cli.tables import print_line, printable
from shared.messages import TerminalMessage
from shared.progress.describe import rough_duration, speed_text, stage_text
from shared.progress.model import Progress, Stage

MAX_BARS = 8
"""Of files at once; one more bar stands for all of them."""
NAME_COLUMNS, BAR_COLUMNS = 26, 14


_STAGES_WITH_SHARES = frozenset({Stage.DECODING, Stage.TRANSCRIBING})


class RunProgress:
    """Of one run. Used from one thread."""

    def __init__(
        self,
        console: Console,
        names: Collection[str],
        *,
        audio_seconds: float = 0.0,
        predicted_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`audio_seconds`: of all files, and `predicted_seconds`: until all are done, as known before; 0: not known."""
        self._console = console
        self._is_live = console.is_terminal
        self._count = len(names)
        self._clock = clock
        self._began = clock()
        self._audio_seconds = audio_seconds
        self._time_left = TimeLeft(audio_seconds, predicted_seconds)
        self._first_words: float | None = None
        self._transcribed: dict[str, float] = {}
        self._stages: dict[str, str] = {}
        self._finished = 0
        self._tasks: dict[str, bars.TaskID] = {}
        self._bars = bars.Progress(
            bars.TextColumn("{task.description}", markup=False),
            bars.BarColumn(bar_width=BAR_COLUMNS),
            bars.TextColumn("{task.fields[status]}", markup=False),
            console=console,
            disable=not self._is_live,
            transient=True,
        )
        title = f"{self._count:,} files" if self._count != 1 else shortened_name(printable(next(iter(names))))
        self._all = self._bars.add_task(title, total=1.0, status="starting", visible=self._is_live)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    @property
    def startup_seconds(self) -> float | None:
        """From the start to the first words; None where there are none yet."""
        return self._first_words

    @property
    def x_real_time(self) -> float | None:
        """The speed of transcription; None where the run was too short to have one."""
        return self._time_left.x_real_time

    def stage(self, name: str, stage: str) -> None:
        """Show what happens to a file that has no job yet."""
        if self._is_live:
            subject = "" if self._count == 1 else f"{shortened_name(printable(name))} is "
            self._bars.update(self._all, status=f"{subject}{stage}")

    def update(self, progress: Progress) -> None:
        """Show how far a job is."""
        name = progress.upload.name
        self._advance(name, progress.transcribed_seconds)
        status = stage_text(progress)
        # Of a line for each stage, without how far it is.
        self._print_once(name, status.partition(" ")[0] if progress.stage in _STAGES_WITH_SHARES else status)
        self._show(name, status, progress.transcribed)

    def finish(self, message: TerminalMessage) -> None:
        """Show the outcome of a job."""
        name = message.upload.name
        self._finished += 1
        self._advance(name, message.media.duration_seconds if message.media else 0.0)
        self._print_once(name, message.outcome.value)
        if (task := self._tasks.pop(name, None)) is not None:
            self._bars.remove_task(task)
        self._show_all()

    def _advance(self, name: str, transcribed_seconds: float) -> None:
        self._transcribed[name] = max(transcribed_seconds, self._transcribed.get(name, 0.0))
        done, elapsed = sum(self._transcribed.values()), self._clock() - self._began
        if self._first_words is None and done > 0:
            self._first_words = elapsed
        self._time_left.add(elapsed, done)

    def _show(self, name: str, status: str, share: float) -> None:
        if not self._is_live:
            return
        if name not in self._tasks and len(self._tasks) < MAX_BARS and self._count > 1:
            self._tasks[name] = self._bars.add_task(shortened_name(printable(name)), total=1.0, status="")
        if name in self._tasks:
            self._bars.update(self._tasks[name], completed=share, status=status)
        self._show_all(status)

    def _show_all(self, stage: str = "") -> None:
        elapsed = self._clock() - self._began
        done = sum(self._transcribed.values())
        share = min(1.0, done / self._audio_seconds) if self._audio_seconds else 0.0
        parts = [f"{self._finished:,} done", f"{share:.0%}"] if self._count != 1 else [stage] if stage else []
        if (speed := self.x_real_time) is not None:
            parts.append(f"{speed_text(speed)} x real time")
        if self._finished < self._count and (left := self._time_left.seconds(elapsed)) is not None:
            parts.append(f"{rough_duration(left)} left")
        self._bars.update(self._all, completed=share, status=", ".join(parts))

    def _print_once(self, name: str, stage: str) -> None:
        if not self._is_live and self._stages.get(name) != stage:
            self._stages[name] = stage
            print_line(self._console, f"{name}: {stage}")


def shortened_name(name: str, columns: int = NAME_COLUMNS) -> str:
    """The beginning and the end of a long name, for a line that must not break."""
    if cell_len(name) <= columns:
        return name
    end = ""
    for letter in reversed(name):
        if cell_len(letter + end) > columns // 2 - 1:
            break
        end = letter + end
    return f"{set_cell_size(name, columns - 1 - cell_len(end))}…{end}"
