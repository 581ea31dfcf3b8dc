"""Run the GPU's steps one after the other, each in a process with a limit; figures come from the file they write."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.gpu.figures import missing, read_rows
from benchmarks.gpu.processes import adopting_orphans, descendants, end_descendants
from benchmarks.gpu.rows import job_against_parts
from benchmarks.gpu.steps import Step
from benchmarks.report import Measurement, write_json

OUT = Path("build/gpu")
FIGURES, MODEL_LOG = "gpu.json", "model.log"
"""In the folder of a run."""
RUN_SECONDS = 540.0
"""A lent machine is there for a quarter of an hour, start and copying included."""
LEAST_SECONDS = 20.0
"""A step with less time left is not begun."""
END_SECONDS = 8.0
"""Kept of a step's limit, so that it breaks off what it measures, ends what it started, and leaves out by itself what
it has no time for."""
MODEL_SECONDS = 120.0
"""Longest wait for the full-size model, once a step needs it."""
DRY = {"OMP_NUM_THREADS": "1"}
"""Of a dry run: the tiny model's products are too small for several threads, which wait for each other when busy."""
OFFLINE = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}


def run_steps(steps: Sequence[Step], out: Path, seconds: float, *, dry: bool) -> list[Measurement]:
    """The rows of all steps, in OUT/gpu.json after each figure. The model is written beside the first steps, which do
    not need it."""
    out.mkdir(parents=True, exist_ok=True)
    file, deadline = out / FIGURES, time.monotonic() + seconds
    write_json([], file)
    with tempfile.TemporaryDirectory() as folder, adopting_orphans():
        model = Path(folder) / "full"
        is_needed = not dry and any(step.needs_model for step in steps)
        with _written(model, out / MODEL_LOG) if is_needed else _nothing() as maker:
            for step in steps:
                why = _without_model(step, maker, deadline) or _run(step, file, deadline, None if dry else model)
                if why:
                    write_json([*read_rows(file), missing(step.name, why)], file)
    rows = read_rows(file)
    rows += job_against_parts(rows)
    write_json(rows, file)
    return rows


def _run(step: Step, file: Path, deadline: float, model: Path | None) -> str:
    """Why a step did not come to its end; empty where it did."""
    limit = min(step.at_most_seconds, deadline - time.monotonic())
    if limit < LEAST_SECONDS:
        return f"left out: {limit:.0f} s were left"
    arguments = [step.name, str(file), f"{limit - END_SECONDS:g}", *([str(model)] if model else [])]
    command = [sys.executable, "-m", "benchmarks.gpu.step", *arguments]
    environment = {**os.environ, **OFFLINE, **({} if model else DRY)}
    print(f"== {step.name}: at most {limit:.0f} s", flush=True)
    before = descendants(os.getpid())
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
    try:
        status = process.wait(limit)
        return "" if status in (0, 1) else f"ended with status {status}"
    except subprocess.TimeoutExpired:
        return f"ended after {limit:.0f} s"
    finally:
        if left := end_descendants(but=before):
            print(f"== {step.name}: {left} processes were left and are ended", flush=True)
        process.wait()


def _without_model(step: Step, maker: subprocess.Popen[bytes] | None, deadline: float) -> str:
    """Why there is no model for a step that needs it; empty where there is one, or no need. Waits for it."""
    if maker is None or not step.needs_model:
        return ""
    try:
        status = maker.wait(min(MODEL_SECONDS, max(0.0, deadline - time.monotonic())))
    except subprocess.TimeoutExpired:
        return "left out: the model was not written in time"
    return f"left out: the model was not written (status {status}, {MODEL_LOG})" if status else ""


@contextmanager
def _written(model: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The full-size model with random weights, being written on the CPU."""
    command = [sys.executable, "-m", "benchmarks.model_load", "make", f"{model}.nemo", str(model)]
    with log.open("wb") as file:
        maker = subprocess.Popen(command, stdout=file, stderr=file, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
    try:
        yield maker
    finally:
        maker.kill()
        maker.wait()


@contextmanager
def _nothing() -> Iterator[None]:
    yield None
