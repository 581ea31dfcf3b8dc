"""A short chaos run: `make chaos` makes the long ones."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.disturber import Disturbances
from tests.chaos.run import ChaosOptions, run_chaos


def test_uploads_end_right_whatever_fails_meanwhile(tmp_path: Path) -> None:
    options = ChaosOptions(
        uploads=12, seed=7, drop_seconds=8.0, disturb_seconds=30.0, disturbances=Disturbances(seconds_between=3.0)
    )
    run = run_chaos(tmp_path, options)
    assert run.verdict.problems == []
    assert run.verdict.outcomes.total() >= 12  # and one more for each re-run
    assert run.faults.total() > 0
    assert run.disturbances.total() > 0
