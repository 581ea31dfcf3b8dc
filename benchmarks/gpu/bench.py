"""The benchmark `gpu` of `python -m benchmarks`: every step, or a line where there is no CUDA."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from benchmarks.gpu.runner import OUT, RUN_SECONDS, run_steps
from benchmarks.gpu.steps import STEPS
from benchmarks.report import Measurement


def gpu() -> Iterator[Measurement]:
    """Every figure, or none where there is no CUDA."""
    if not torch.cuda.is_available():
        print("gpu: skipped, there is no CUDA device that torch can use")
        return
    yield from run_steps(STEPS, OUT, RUN_SECONDS, dry=False)
