"""Run the GPU's steps one after the other, each in a process with a limit; figures come from the files they write."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.gpu.rows import job_against_parts
from benchmarks.gpu.steps import Step
from benchmarks.report import Measurement

OUT = Path("build/gpu")
RUN_SECONDS = 540.0
"""A lent machine is there for a quarter of an hour, start and copying included."""
LEAST_SECONDS = 20.0
"""A step with less time left is not begun."""
END_SECONDS = 5.0
"""Kept of a step's limit, so that it leaves out by itself what it has no time for."""
DRY = {"OMP_NUM_THREADS": "1"}
"""Of a dry run: the tiny model's products are too small for several threads, which wait for each other when busy."""
OFFLINE = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}


def run_steps(steps: Sequence[Step], out: Path, seconds: float, *, dry: bool) -> list[Measurement]:
    """The rows of all steps. The model is written beside the first ones, which do not need it."""
    out.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + seconds
    rows: list[Measurement] = []
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "full"
        is_needed = not dry and any(step.needs_model for step in steps)
        with _written(model, out / "model.log") if is_needed else _nothing() as maker:
            for step in steps:
                if step.needs_model and maker is not None:
                    maker.wait()
                left = min(step.at_most_seconds, deadline - time.monotonic())
                if left < LEAST_SECONDS:
                    rows.append(_row(step, f"left out: {left:.0f} s were left"))
                    continue
                rows += _run(step, out, left, None if dry else model)
    return [*rows, *job_against_parts(rows)]


def _run(step: Step, out: Path, limit: float, model: Path | None) -> Iterator[Measurement]:
    file = out / f"{step.name}.json"
    file.unlink(missing_ok=True)
    arguments = [step.name, str(out), f"{limit - END_SECONDS:g}", *([str(model)] if model else [])]
    command = [sys.executable, "-m", "benchmarks.gpu.step", *arguments]
    environment = {**os.environ, **OFFLINE, **({} if model else DRY)}
    print(f"== {step.name}: at most {limit:.0f} s", flush=True)
    try:
        status = subprocess.run(command, env=environment, timeout=limit, check=False).returncode
        ended = "" if status in (0, 1) else f"ended with status {status}"
    except subprocess.TimeoutExpired:
        ended = f"ended after {limit:.0f} s"
    if file.exists():
        yield from (Measurement(**row) for row in json.loads(file.read_text()))
    if ended or not file.exists():
        yield _row(step, ended or "wrote nothing")


def _row(step: Step, why: str) -> Measurement:
    return Measurement(f"gpu: {step.name}", 0.0, "", why, "-", holds=False)


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
