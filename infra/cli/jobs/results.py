"""`dropscribe results`: the files of jobs that have ended, copied to this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from google.api_core.exceptions import NotFound
from rich.console import Console
from rich.text import Text

from dropscribe.errors import UnknownJob
from dropscribe.result_files import fetch_results, results_folder
from infra.cli.buckets import storage_client
from infra.cli.errors import errors_in_one_line
from infra.cli.exit_codes import OUTCOME_CODES, ExitCode, worst
from infra.cli.jobs.status import open_client
from infra.cli.tables import output_console, plain_table, print_line, printable
from shared.messages import TerminalMessage


@dataclass(frozen=True)
class Copied:
    """One job's results."""

    address: str
    outcome: TerminalMessage | None = None
    folder: Path | None = None
    problem: str | None = None

    def as_dict(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "job": self.address,
            "job_id": self.outcome.job_id if self.outcome else None,
            "outcome": self.outcome.outcome.value if self.outcome else None,
            "folder": str(self.folder) if self.folder else None,
            "files": [PurePosixPath(name).name for name in self.outcome.results] if self.outcome else [],
            "problem": self.problem,
        }


@errors_in_one_line
def copy_results(jobs: Sequence[str], state_bucket: str, out: Path, *, dry_run: bool, as_json: bool) -> int:
    """The exit status: the worst outcome's; 1 where a job has not ended, or its files are gone."""
    client, storage = open_client(state_bucket), storage_client()
    found: list[Copied] = []
    for address in jobs:
        try:
            outcome = client.job(address).outcome()
        except UnknownJob as error:
            found.append(Copied(address, problem=error.reason))
            continue
        if outcome is None:
            found.append(Copied(address, problem=f"{address} has not ended yet."))
            continue
        folder = results_folder(out, outcome)
        try:
            if not dry_run:
                fetch_results(storage, outcome, folder)
            found.append(Copied(address, outcome, folder, outcome.reason if not outcome.results else None))
        except NotFound:
            found.append(Copied(address, outcome, problem=f"The results of {address} were deleted."))
    if as_json:
        sys.stdout.write(json.dumps({"jobs": [one.as_dict() for one in found]}) + "\n")
    else:
        _print(found)
    if any(one.outcome is None or (one.problem and one.outcome.results) for one in found):
        return ExitCode.ERROR
    return worst({OUTCOME_CODES[one.outcome.outcome] for one in found if one.outcome is not None})


def _print(found: Sequence[Copied]) -> None:
    table = plain_table("job", "outcome", "results")
    for one in found:
        if one.outcome is not None and one.folder is not None:
            table.add_row(one.outcome.job_id, one.outcome.outcome.value, Text(printable(f"{one.folder}/")))
    if table.row_count:
        output_console().print(table)
    for one in found:
        if one.problem is not None:
            print_line(Console(stderr=True), one.problem)
