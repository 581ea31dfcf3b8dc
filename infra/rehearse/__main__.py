"""The command line behind `make rehearse`: every scenario, as a walk-through; 0 where each ends as it should."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from infra.rehearse.rehearsal import Rehearsal, faults_of, walk_through
from infra.rehearse.scenarios import SCENARIOS, Scenario
from infra.terraform_offline.terraform import SKIPPED, find_terraform


def rehearse(scenarios: Sequence[Scenario]) -> list[str]:
    """Run them, printing; a line for each that did not end as it should."""
    faults: list[str] = []
    has_terraform = find_terraform() is not None
    with ExitStack() as stack:
        for number, scenario in enumerate(scenarios, 1):
            print(f"\n{number}. {scenario.title}. {scenario.about}", flush=True)
            if scenario.needs_terraform and not has_terraform:
                print(f"  {SKIPPED}")
                continue
            if scenario.project is not None:
                stack.close()
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rehearsal-")))
                rehearsal = stack.enter_context(Rehearsal(folder, scenario.project()))
            faults += [f"{scenario.title}: {fault}" for fault in _faults(scenario, rehearsal)]
    return faults


def _faults(scenario: Scenario, rehearsal: Rehearsal) -> Iterator[str]:
    """What is not as it should be, printed below what was run."""
    scenario.prepare(rehearsal.project)
    for run in scenario.runs:
        print(f"\n  $ {run.command}", flush=True)
        ended = rehearsal.run(run)
        print(*walk_through(ended, with_list=run is SCENARIOS[0].runs[0]), sep="\n", flush=True)
        found = [*faults_of(run, ended), *rehearsal.strangers()]
        where = "ends well" if run.stops_at is None else f"stops at {run.stops_at!r}"
        print("  " + (f"NOT AS IT SHOULD BE: {'; '.join(found)}." if found else f"As it should be: it {where}."))
        yield from found
    jobs = rehearsal.project.resources.get("google_cloud_run_v2_job", 0)
    if scenario.jobs is not None and jobs != scenario.jobs:
        yield f"there are {jobs} jobs, not {scenario.jobs}"


def main() -> int:
    """Rehearse everything."""
    started = time.monotonic()
    faults = rehearse(SCENARIOS)
    print(f"\n{len(SCENARIOS)} scenarios in {time.monotonic() - started:.0f} s.")
    print(*(f"NOT AS IT SHOULD BE: {fault}." for fault in faults), sep="\n", end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
