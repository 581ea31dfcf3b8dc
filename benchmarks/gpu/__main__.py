"""`python -m benchmarks.gpu [--seconds N] [--out FOLDER] [--dry] [STEP ...]`: tests and figures on a machine with CUDA.

Each step is a process with a limit of its own and writes FOLDER/gpu.json after every figure, so that whatever ends the
run costs only what was not measured yet. Nothing is fetched: a copied tree is enough.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.gpu.runner import FIGURES, OUT, RUN_SECONDS, run_steps
from benchmarks.gpu.steps import STEPS
from benchmarks.report import write


def main() -> int:
    """The exit status: 0 where every step ended and everything holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=RUN_SECONDS, help="for everything (default: %(default)g)")
    parser.add_argument("--out", type=Path, default=OUT, help="default: %(default)s")
    parser.add_argument("--dry", action="store_true", help="the tiny model on the CPU, to see that everything runs")
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"default: {' '.join(one.name for one in STEPS)}")
    chosen = parser.parse_args()
    if unknown := set(chosen.steps) - {one.name for one in STEPS}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    steps = [one for one in STEPS if not chosen.steps or one.name in chosen.steps]
    rows = run_steps(steps, chosen.out, chosen.seconds, dry=chosen.dry)
    write(rows, chosen.out / FIGURES)
    return 1 if any(row.holds is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
