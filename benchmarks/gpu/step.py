"""`python -m benchmarks.gpu.step NAME FILE SECONDS [MODEL]`: one step in this process, its figures as they come.

Without MODEL it is a dry run: the tiny model on the CPU. After SECONDS what is being measured is broken off, and what
it started is ended; where it hangs in a library, every thread's stack is told, and the caller has to end it.
"""

from __future__ import annotations

import faulthandler
import math
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from benchmarks.gpu.figures import Figures, missing
from benchmarks.gpu.steps import STEPS
from benchmarks.gpu.subject import Part, Subject
from benchmarks.report import Measurement

STACKS_SECONDS = 2.0
"""After its time is over a step that has not ended tells where it is."""
WHY_CHARACTERS = 400


class TimeIsUp(Exception):
    """The step's time is over: raised in whatever its main thread does."""


def measured(
    parts: Iterable[Part], seconds: float, begun: Callable[[str], None] = lambda name: None
) -> Iterator[Measurement]:
    """The rows of all parts. One that fails is a row that says why, and the others go on: a GPU hour is dear.

    `begun`: told each part's name.
    """
    ends = time.monotonic() + seconds
    for part in parts:
        left = ends - time.monotonic()
        if left < part.needs_seconds:
            yield missing(part.name, f"left out: {max(0.0, left):.0f} s were left of {seconds:.0f}")
            continue
        begun(part.name)
        try:
            yield from part.rows()
        except Exception as error:
            yield failed(part.name, error)
            if isinstance(error, TimeIsUp):
                ends = -math.inf  # the alarm's clock ran before this one


def failed(name: str, error: Exception) -> Measurement:
    """A row for what failed."""
    traceback.print_exception(error)
    return missing(name, f"failed: {type(error).__name__}: {error}"[:WHY_CHARACTERS])


def run_step(name: str, subject: Subject, file: Path, seconds: float) -> list[Measurement]:
    """Every row of a step; the file has those that came so far, after those of the steps before."""
    (step,) = (one for one in STEPS if one.name == name)
    figures = Figures(file)

    def parts() -> Iterator[Part]:
        figures.begin(name)
        try:
            yield from step.parts(subject)
        except Exception as error:
            # What a step does between its parts, such as loading the model, may fail, too.
            figures.add(failed(name, error))

    def begun(part: str) -> None:
        print(f"-- {name}: {part}", flush=True)
        figures.begin(part)

    for row in measured(parts(), seconds, begun):
        figures.add(row)
        print(row, flush=True)
    figures.end()
    return figures.rows


def _time_is_up(*_: object) -> None:
    raise TimeIsUp("the step's time was over")


def main(arguments: list[str]) -> int:
    """The exit status is 1 where a part failed or does not hold."""
    name, file, seconds, *model = arguments
    signal.signal(signal.SIGALRM, _time_is_up)
    signal.setitimer(signal.ITIMER_REAL, float(seconds))
    faulthandler.dump_traceback_later(float(seconds) + STACKS_SECONDS)
    try:
        subject = Subject.of_card(Path(model[0])) if model else Subject.dry()
        rows = run_step(name, subject, Path(file), float(seconds))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
    return 1 if any(row.holds is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
