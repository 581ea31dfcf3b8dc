"""The steps on a GPU machine, in the order of what their answers are worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Who runs the steps needs neither torch nor NeMo, whose imports take a tenth of a minute.
    from benchmarks.gpu.subject import Part, Subject


@dataclass(frozen=True)
class Step:
    """One process of its own, ended when its time is over; what it wrote until then counts."""

    name: str
    function: str
    """Module of this package and name."""
    at_most_seconds: float
    needs_model: bool = False
    """Whether it takes the full-size model, which is written on the CPU beside the steps before."""

    def parts(self, subject: Subject) -> Iterator[Part]:
        """Of its figures."""
        module, _, name = self.function.partition(".")
        made: Callable[[Subject], Iterator[Part]] = getattr(import_module(f"benchmarks.gpu.{module}"), name)
        return made(subject)


STEPS = (
    Step("machine", "machine.look", 75.0),
    Step("correctness", "correctness.correctness", 120.0),
    Step("faults", "faults.faults", 100.0),
    Step("job", "job.job", 170.0, needs_model=True),
    Step("engine", "engine.engine", 150.0, needs_model=True),
    Step("peers", "peers.peers", 100.0, needs_model=True),
    Step("knobs", "knobs.knobs", 100.0, needs_model=True),
)
"""Limits: nine minutes hold all that is expected to take (45, 70, 40, 140, 110, 70 and 90 s)."""
