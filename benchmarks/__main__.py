"""`python -m benchmarks [NAME ...]`: measure, print a table, write build/bench.json."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import function, job
from benchmarks.report import Measurement, write

BENCHMARKS: dict[str, Callable[[], Iterator[Measurement]]] = {
    "import": function.cold_import,
    "inspection": function.inspection,
    "dispatch": function.event_to_work_item,
    "demo": job.demo,
    "memory": job.memory_over_uploads,
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
