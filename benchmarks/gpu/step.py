"""`python -m benchmarks.gpu.step NAME FOLDER SECONDS [MODEL]`: one step in this process, its figures as they come.

Without MODEL it is a dry run: the tiny model on the CPU.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.gpu.steps import STEPS
from benchmarks.gpu.subject import Part, Subject
from benchmarks.report import Measurement, write_json


def measured(parts: Iterable[Part], seconds: float) -> Iterator[Measurement]:
    """The rows of all parts. One that fails is a row that says why, and the others go on: a GPU hour is dear."""
    began = time.monotonic()
    for part in parts:
        left = seconds - (time.monotonic() - began)
        if left < part.needs_seconds:
            yield missing(part.name, f"left out: {left:.0f} s were left of {seconds:.0f}")
            continue
        try:
            yield from part.rows()
        except Exception as error:
            traceback.print_exc()
            yield missing(part.name, f"failed: {type(error).__name__}: {error}"[:400])


def missing(name: str, why: str) -> Measurement:
    """A row for figures that there are not."""
    return Measurement(f"gpu: {name}", 0.0, "", why, "-", holds=False)


def run_step(name: str, subject: Subject, folder: Path, seconds: float) -> list[Measurement]:
    """Every row of a step; `FOLDER/NAME.json` has those that came so far."""
    (step,) = (one for one in STEPS if one.name == name)
    rows: list[Measurement] = []

    def parts() -> Iterator[Part]:
        try:
            yield from step.parts(subject)
        except Exception as error:
            # What a step does between its parts, such as loading the model, may fail, too.
            traceback.print_exc()
            rows.append(missing(name, f"failed: {type(error).__name__}: {error}"[:400]))

    for row in measured(parts(), seconds):
        rows.append(row)
        print(row, flush=True)
        write_json(rows, folder / f"{name}.json")
    write_json(rows, folder / f"{name}.json")
    return rows


def main(arguments: list[str]) -> int:
    """The exit status is 1 where a part failed or does not hold."""
    name, folder, seconds, *model = arguments
    subject = Subject.of_card(Path(model[0])) if model else Subject.dry()
    rows = run_step(name, subject, Path(folder), float(seconds))
    return 1 if any(row.holds is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
