"""Measures many files at once, each in a process of its own, with a limit on its time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from benchmarks.media.measure import Measured, measure
from benchmarks.media.recipes import Recipe, Workshop

HANG_SECONDS = 60.0
"""A file that takes longer hangs; making it and the independent decoder have limits of their own."""

SPARE_SECONDS = 60.0
"""For making the file and for the independent decoder."""


@dataclass
class _Run:
    recipe: Recipe
    process: BaseProcess
    answers: Connection
    deadline: float


def measure_all(recipes: Sequence[Recipe], workshop: Workshop, at_once: int) -> Iterator[tuple[Recipe, Measured]]:
    """Each recipe with what was measured, as they end."""
    # A server that forks: libraries are imported once, and no thread of this process is in the way.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([measure.__module__])
    waiting, running = list(reversed(recipes)), list[_Run]()
    while waiting or running:
        while waiting and len(running) < at_once:
            recipe = waiting.pop()
            answers, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_measure, args=(recipe, workshop, theirs))
            process.start()
            theirs.close()
            running.append(_Run(recipe, process, answers, time.monotonic() + HANG_SECONDS + SPARE_SECONDS))
        wait([run.answers for run in running], timeout=1.0)
        for run in list(running):
            if run.answers.poll() or not run.process.is_alive() or time.monotonic() > run.deadline:
                running.remove(run)
                yield run.recipe, _answer(run)


def _measure(recipe: Recipe, workshop: Workshop, answers: Connection) -> None:
    # Its own process group, so that a file that hangs is ended with its decoders.
    os.setsid()
    answers.send(measure(recipe, workshop))


def _answer(run: _Run) -> Measured:
    try:
        if run.answers.poll():
            measured: Measured = run.answers.recv()
            run.process.join(10)
            return measured
        is_late = run.process.is_alive()
    except EOFError:
        is_late = False
    finally:
        with suppress(ProcessLookupError, PermissionError):
            if run.process.is_alive() and run.process.pid is not None:
                os.killpg(run.process.pid, signal.SIGKILL)
        run.process.join(10)
        run.answers.close()
    return Measured(error="hangs" if is_late else f"the process ended with {run.process.exitcode}")
