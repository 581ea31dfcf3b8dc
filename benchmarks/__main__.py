"""`python -m benchmarks [NAME ...]`: measure, print a table, write build/bench.json."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import (
    break_even,
    decision,
    engine,
    front_end,
    function,
    gpu,
    holes,
    job,
    joins,
    length_memory,
    model_load,
    month,
    whole_job,
)
from benchmarks.report import Measurement, write

BENCHMARKS: dict[str, Callable[[], Iterator[Measurement]]] = {
    "import": function.cold_import,
    "inspection": function.inspection,
    "dispatch": function.event_to_work_item,
    "decision": decision.decision,
    "month": month.month_of_uploads,
    "break-even": break_even.break_even,
    "joins": joins.at_joins,
    "chunk-seconds": joins.chunk_seconds,
    "holes": holes.holes,
    "front-end": front_end.decoding,
    "cuts": front_end.cut_search,
    "engine": engine.tiny,
    "full-engine": engine.full,
    "demo": job.demo,
    "memory": job.memory_over_uploads,
    "whole-job": whole_job.whole_job,
    "length": length_memory.memory_against_length,
    "model-load": model_load.model_load,
    "gpu": gpu.gpu,
}


def main() -> int:
    """Run the named benchmarks, or all."""
    names = sys.argv[1:] or list(BENCHMARKS)
    unknown = set(names) - set(BENCHMARKS)
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    write([measurement for name in names for measurement in BENCHMARKS[name]()], Path("build/bench.json"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
