"""`python -m tests.chaos --uploads 500 --seeds 5`: chaos runs, one after the other, and their figures."""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from infra.recordings import recording
from tests.chaos.disturber import Disturbances
from tests.chaos.faults import FaultRates
from tests.chaos.instances import Instances
from tests.chaos.run import ChaosOptions, ChaosRun, run_chaos


def main(
    uploads: Annotated[int, typer.Option(help="In each run.")] = 500,
    seeds: Annotated[int, typer.Option(help="Runs, of seeds from --first-seed on.")] = 5,
    first_seed: Annotated[int, typer.Option(help="Of the first run.")] = 1,
    share: Annotated[float, typer.Option(help="Share of all requests that fail.")] = 0.1,
    seconds_between: Annotated[float, typer.Option(help="Mean time between kills and their like.")] = 2.0,
    disturb_seconds: Annotated[float, typer.Option(help="From the first drop to the last disturbance.")] = 600.0,
    keep: Annotated[Path | None, typer.Option(help="Folder in which logs and objects are kept.")] = None,
) -> None:
    """Print what happened and what came of it; exit status 1 where a promise was broken."""
    logging.disable()  # that killed functions do not answer is no news
    broken = False
    for seed in range(first_seed, first_seed + seeds):
        options = ChaosOptions(
            uploads=uploads,
            seed=seed,
            drop_seconds=uploads / 5,
            disturb_seconds=disturb_seconds,
            rates=FaultRates(share),
            disturbances=Disturbances(seconds_between),
            long=recording("long_seen").path,
            patience_seconds=3600.0,
        )
        with tempfile.TemporaryDirectory(prefix="dropscribe-chaos-") as temporary:
            root = keep / str(seed) if keep else Path(temporary)
            root.mkdir(parents=True, exist_ok=True)
            run = run_chaos(root, options)
        typer.echo("\n".join(_lines(run)))
        broken |= bool(run.verdict.problems)
    sys.exit(broken)


def _lines(run: ChaosRun) -> list[str]:
    verdict = run.verdict
    return [
        f"seed {run.seed}: {run.uploads} uploads in {run.seconds:.0f} s, {run.executions} executions",
        f"  outcomes: {_counts(verdict.outcomes)}; {verdict.repeated_messages} messages came again",
        f"  faults: {run.faults.total()}: {_counts(run.faults)}",
        f"  disturbances: {run.disturbances.total()}: {_counts(run.disturbances)}",
        f"  bills ${verdict.billed_usd:.4f}, overhead ${verdict.overhead_usd:.4f}; Deepgram answered"
        f" {verdict.deepgram_answers} calls; again: {_counts(verdict.deepgram_again)}",
        *([_instances(verdict.instances)] if verdict.instances else []),
        f"  re-runs: {_counts(run.reruns)}; {verdict.runs - run.uploads} ended",
        *(f"  NOT INJECTED: {what}" for what in run.not_injected),
        *(f"  BROKEN: {problem}" for problem in verdict.problems or ()),
    ]


def _instances(found: Instances) -> str:
    return (
        f"  instances ran {found.seconds:.0f} s, ${found.usd:.4f}, and ${found.booked_usd:.4f} is booked; on no bill:"
        f" {found.unseen_seconds:.1f} s of processes killed before their first word, {found.unsaid_seconds:.1f} s of"
        f" killed ones behind their last, {found.unclocked_seconds:.1f} s of the others"
    )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"


if __name__ == "__main__":
    typer.run(main)
