"""The figures of a run in one file, which has all that came so far whenever it is read.

One file, for machines that are lent bring back a few only.
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.report import Measurement, write_json


def missing(name: str, why: str) -> Measurement:
    """A row for figures that there are not."""
    return Measurement(f"gpu: {name}", 0.0, "", why, "-", holds=False)


def read_rows(file: Path) -> list[Measurement]:
    """Of a file that may not be there yet."""
    return [Measurement(**row) for row in json.loads(file.read_text())] if file.exists() else []


class Figures:
    """Those of one step, after what others wrote before it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._earlier = read_rows(file)
        self.rows: list[Measurement] = []

    def add(self, row: Measurement) -> None:
        """One more, in the file before this returns."""
        self.rows.append(row)
        self._write([])

    def begin(self, part: str) -> None:
        """What is done from now on: the last row of the file, until the next one comes, for a process that dies or
        hangs does not say in what."""
        self._write([missing(part, "was being measured when the step ended")])

    def end(self) -> None:
        """Nothing more comes."""
        self._write([])

    def _write(self, unfinished: list[Measurement]) -> None:
        write_json([*self._earlier, *self.rows, *unfinished], self._file)
