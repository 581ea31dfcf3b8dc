"""`python -m benchmarks [NAME ...]`: measure, print a table, write build/bench.json."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from benchmarks.report import Measurement, write

BENCHMARKS = {
    "import": "function.cold_import",
    "inspection": "function.inspection",
    "dispatch": "function.event_to_work_item",
    "decision": "decision.decision",
    "month": "month.month_of_uploads",
    "burst": "month.burst",
    "million": "month.million",
    "many-uploads": "many_uploads.many_uploads",
    "reconciler": "reconciler.reconciler",
    "break-even": "break_even.break_even",
    "joins": "shards.all_joins",
    "chunk-seconds": "joins.chunk_seconds",
    "shards": "shards.shards",
    "executions": "executions.executions",
    "speakers": "speakers.speakers",
    "voices": "voices.voices",
    "keyterms": "keyterms.keyterms",
    "written-form": "written_form.written_form",
    "omissions": "omissions.omissions",
    "losses": "losses.losses",
    "front-end": "front_end.decoding",
    "decoders": "decoders.decoders",
    "cuts": "front_end.cut_search",
    "engine": "engine.tiny",
    "full-engine": "engine.full",
    "demo": "job.demo",
    "memory": "job.memory_over_uploads",
    "whole-job": "whole_job.whole_job",
    "length": "length_memory.memory_against_length",
    "model-load": "model_load.model_load",
    "cpu-engine": "cpu_engine.cpu_engine",
    "media": "media.bench.media",
    "without-model": "without_model.without_model",
    "gpu": "gpu.bench.gpu",
}
"""Name -> module and function. Imported when they are run: one's libraries must not weigh on another's figures."""


def main() -> int:
    """Run the named benchmarks, or all. One that fails does not stop the others."""
    names = sys.argv[1:] or list(BENCHMARKS)
    if unknown := set(names) - set(BENCHMARKS):
        print(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    found: list[Measurement] = []
    failed: list[str] = []
    for name in names:
        try:
            found.extend(measured(name))
        except Exception:
            traceback.print_exc()
            failed.append(name)
    write(found, Path("build/bench.json"))
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def measured(name: str) -> Iterator[Measurement]:
    """What one benchmark finds."""
    module, _, function = BENCHMARKS[name].rpartition(".")
    found: Iterator[Measurement] = getattr(import_module(f"benchmarks.{module}"), function)()
    return found


if __name__ == "__main__":
    sys.exit(main())
