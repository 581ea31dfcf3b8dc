"""The benchmark `media`: a table by kind of fault, and what was wrong with each file.

`python -m benchmarks.media.bench REGEX ...` runs the files whose `name (kind)` matches all of them, so that a long run
can be taken in parts; what was wrong with each file is kept over the parts.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import imageio_ffmpeg
from rich.console import Console
from rich.table import Table

from benchmarks.media.base_files import base_files
from benchmarks.media.clock_files import clock_files
from benchmarks.media.header_files import header_files
from benchmarks.media.measure import Measured, as_json
from benchmarks.media.part_files import part_files
from benchmarks.media.recipes import Recipe, Workshop
from benchmarks.media.runner import measure_all
from benchmarks.media.sound_files import sound_files
from benchmarks.media.verdict import Verdict, verdict
from benchmarks.report import Measurement, machine
from gpu_job.audio.parallel import usable_cores

FOLDER = Path("build/media")
"""Made files are kept here."""

DETAILS = Path("build/media.json")
LIST = Path("build/media.txt")
TABLE_CHARACTERS = 150

COLUMNS = {
    "exact": lambda one: one.is_right and not one.true_gaps,
    "gap reported": lambda one: one.is_right and one.true_gaps > 0,
    "silent loss": lambda one: one.silent_seconds > 0,
    "misplaced": lambda one: one.misplaced_seconds > 0,
    "false gap": lambda one: one.false_gaps > 0,
    "wrong length": lambda one: one.is_length_wrong,
    "wrong statement": lambda one: one.is_stated_wrong,
    "rejected wrongly": lambda one: one.is_rejected_wrongly,
    "crashed": lambda one: one.is_crashed,
}
"""A file counts in the first two, or in as many of the others as apply to it."""


@dataclass(frozen=True)
class Judged:
    """One file, what the product made of it, and what was wrong with that."""

    recipe: Recipe
    measured: Measured
    verdict: Verdict

    @property
    def is_made(self) -> bool:
        """Whether this ffmpeg writes such a file."""
        return self.measured.not_made is None


def media() -> Iterator[Measurement]:
    """Hundreds of made files: silent losses, false gaps, wrong lengths, wrong rejections, crashes."""
    judged = run(recipes())
    made = [one for one in judged if one.is_made]
    yield Measurement("media: files", len(made), "", f"{len(judged) - len(made)} not made", ">= 300", len(made) >= 300)
    for column, is_so in list(COLUMNS.items())[2:]:
        count = sum(map(is_so, (one.verdict for one in made)))
        yield Measurement(f"media: {column}", count, "files", f"of {len(made)}", "0", count == 0)
    longest = max(one.measured.wall_seconds for one in made)
    yield Measurement("media: longest wall time", longest, "s", "-", "< 60 s", longest < 60)
    largest = max(max(one.measured.peak_megabytes, one.measured.child_megabytes) for one in made)
    yield Measurement("media: largest memory", largest, "MB", "-", "< 1,000 MB", largest < 1000)


def recipes() -> list[Recipe]:
    """All files of the benchmark."""
    return [*base_files(), *header_files(), *clock_files(), *sound_files(), *part_files()]


def run(chosen: Sequence[Recipe]) -> list[Judged]:
    """Make, measure and judge these files, print the table and write the list and the details."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    workshop = Workshop(FOLDER, str(imageio_ffmpeg.get_ffmpeg_exe()))
    order = {recipe.name: number for number, recipe in enumerate(chosen)}
    judged = [_judged(recipe, measured) for recipe, measured in measure_all(chosen, workshop, usable_cores())]
    judged.sort(key=lambda one: order[one.recipe.name])
    Console(width=TABLE_CHARACTERS).print(table(judged))
    LIST.write_text("\n".join(_lines(judged)) + "\n")
    details = _kept() | {one.recipe.name: _details(one) for one in judged}
    DETAILS.write_text(json.dumps(list(details.values()), indent=1) + "\n")
    print(f"What was wrong with each file: {LIST}, {DETAILS}.")
    return judged


def _kept() -> dict[str, dict[str, object]]:
    """The details of earlier parts, by the name of the file."""
    try:
        return {one["name"]: one for one in json.loads(DETAILS.read_text())}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _judged(recipe: Recipe, measured: Measured) -> Judged:
    return Judged(recipe, measured, verdict(recipe, measured) if measured.not_made is None else Verdict())


def table(judged: Iterable[Judged]) -> Table:
    """Rows: kinds of fault. Columns: how many files, and what was wrong with how many."""
    kinds: dict[str, list[Judged]] = defaultdict(list)
    for one in judged:
        kinds[one.recipe.kind].append(one)
    shown = Table(title=f"{machine()}, {datetime.now(UTC):%Y-%m-%d}")
    for column in ("kind", "files", *COLUMNS, "not made"):
        shown.add_column(column, overflow="fold")
    for kind, files in kinds.items():
        shown.add_row(kind, *_counts(files))
    shown.add_row("all", *_counts([one for files in kinds.values() for one in files]))
    return shown


def _counts(files: Sequence[Judged]) -> list[str]:
    made = [one.verdict for one in files if one.is_made]
    counts = [len(made), *(sum(map(is_so, made)) for is_so in COLUMNS.values()), len(files) - len(made)]
    return [str(count) if count else "" for count in counts]


def _lines(judged: Iterable[Judged]) -> Iterator[str]:
    for one in judged:
        what = f"{one.recipe.kind}: {one.recipe.name}"
        if not one.is_made:
            yield f"NOT MADE {what}: {one.measured.not_made}"
        elif not one.verdict.is_right:
            yield f"{what}: {'; '.join(one.verdict.remarks)}\n    {one.recipe.description()}"


def _details(one: Judged) -> dict[str, object]:
    recipe = one.recipe
    names = {"name": recipe.name, "kind": recipe.kind, "made by": recipe.description(), "file": recipe.key}
    return {**names, **as_json(one.measured), "is_right": one.verdict.is_right, "verdict": asdict(one.verdict)}


def main() -> None:
    """Some of the files."""
    patterns = [re.compile(word) for word in sys.argv[1:]]
    run([one for one in recipes() if all(word.search(f"{one.name} ({one.kind})") for word in patterns)])


if __name__ == "__main__":
    main()
