"""The whole job, from its process's start to its message, against its stages run one after another."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.job_run import JobRun
from benchmarks.report import Measurement
from benchmarks.runs import JobCloud, hour, run
from benchmarks.stages import START_UP
from infra.emulators.cloud import RESULTS, LaptopCloud
from infra.tiny_parakeet import ONNX_PATH

RUNS = 3
OVERHEAD = 1.15

Stages = dict[str, float]
"""Seconds by stage."""


def whole_job() -> Iterator[Measurement]:
    """An hour of MP3 through the tiny model on ONNX Runtime, as the CPU's job runs it; runs and stages take turns."""
    runs: list[JobRun] = []
    alone: list[Stages] = []
    with tempfile.TemporaryDirectory() as folder:
        path = hour(Path(folder), "mp3")
        with JobCloud(Path(folder) / "cloud", str(ONNX_PATH)) as cloud:
            for _ in range(RUNS):
                runs.append(run(cloud, path))
                alone.append(stages_alone(cloud, path))
    yield from rows(runs, alone)


def rows(runs: Sequence[JobRun], alone: Sequence[Stages]) -> Iterator[Measurement]:
    """Medians of runs and stages, and what they are held against.

    The target is the longest stage after the start-up: fetching, decoding and cutting can hide behind the start-up,
    transcription cannot, for it needs the model.
    """
    wall = statistics.median(one.wall_seconds for one in runs)
    stages = {stage: statistics.median(one[stage] for one in alone) for stage in alone[0]}
    longest = max((stage for stage in stages if stage != START_UP), key=lambda stage: stages[stage])
    bound = stages[START_UP] + stages[longest]
    serial = sum(stages.values())
    each = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in stages.items())
    yield Measurement("whole job: 1 h of audio", wall, "s", f"stages alone {serial:.1f} s: {each}", "-", None)
    yield Measurement(
        f"whole job / (start-up + {longest})",
        wall / bound,
        "x",
        f"{bound:.1f} s; all stages one after another: {serial / bound:.2f} x",
        f"<= {OVERHEAD} x",
        wall / bound <= OVERHEAD,
    )
    waited = statistics.median(one.waited for one in runs)
    start_up = statistics.median(one.start_up_seconds for one in runs)
    peer = f"after a start-up of {start_up:.1f} s, to the message"
    yield Measurement("whole job: share of time without a batch", 100 * waited, "%", peer, "-", None)


def stages_alone(cloud: LaptopCloud, path: Path) -> Stages:
    """One process that does the stages one after another, in a worker's environment."""
    # Not in the uploads bucket, where it would be transcribed.
    blob = cloud.storage().bucket(RESULTS).blob(f"stages/{path.name}")
    blob.upload_from_filename(str(path))
    command = [sys.executable, "-m", "benchmarks.stages", RESULTS, str(blob.name), str(blob.generation)]
    answer = subprocess.run(command, env=cloud.environment, stdout=subprocess.PIPE, text=True, check=True)
    found: Stages = json.loads(answer.stdout.splitlines()[-1])
    return found
