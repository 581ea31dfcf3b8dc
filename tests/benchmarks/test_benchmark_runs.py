"""The benchmarks' effects at the smallest size: the GPU's sections on the CPU, and a whole job without a model."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import GpuBenchmark, Plan
from benchmarks.gpu_sweep import Point, Stopped, Sweep, sweep
from benchmarks.length_memory import NullCloud
from benchmarks.runs import looped, run
from gpu_job.asr.device import Device
from infra.tiny_parakeet import MODEL_PATH
from tests.support.waiting import PATIENCE

CPU = Device("cpu", torch.float32)
PLAN = Plan(Sweep([2], max_audio_seconds=4, runs=1), engine_seconds=0.05, job_seconds=0.1, peer_batches=(1,))


def test_the_gpus_sections_measure_the_tiny_model_on_a_cpu() -> None:
    bench = GpuBenchmark(MODEL_PATH, CPU, "NVIDIA L4", PLAN, chunk_seconds=2)

    rows = list(chain(bench.encoder(), bench.engine(), bench.peer()))

    measured = [(point.chunk_seconds, point.chunks) for point in bench.points if isinstance(point, Point)]
    assert measured == [(2, 1), (2, 2)]
    assert set(bench.engine_runs) == {2}
    assert all(row.value > 0 for row in rows)
    assert sum("share of peak" in row.name for row in rows) == 1


def test_a_batch_that_does_not_fit_ends_its_row_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(_model: object, _device: Device, chunk_seconds: int, chunks: int, _runs: int) -> Point:
        if chunk_seconds * chunks > 20:
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 20 GiB.")
        return Point(chunk_seconds, chunks, 100.0, 0)

    monkeypatch.setattr("benchmarks.gpu_sweep.measure", no_room)

    found = list(sweep(None, CPU, Sweep([10, 20], max_audio_seconds=80)))

    assert [(point.chunk_seconds, point.chunks) for point in found] == [(10, 1), (10, 2), (10, 4), (20, 1), (20, 2)]
    assert [point for point in found if isinstance(point, Stopped)] == [
        Stopped(10, 4, "CUDA out of memory."),
        Stopped(20, 2, "CUDA out of memory."),
    ]


def test_a_section_that_fails_is_a_row_and_the_others_go_on() -> None:
    bench = GpuBenchmark(Path("no-such-model.nemo"), CPU, "NVIDIA L4", PLAN)

    rows = list(bench.rows())

    assert [row.name for row in rows] == ["gpu: encoder", "gpu: peer", "gpu: whole_job"]
    assert [row.holds for row in rows] == [False, False, False]


def test_a_run_tells_its_audio_its_time_and_what_the_time_went_to(tmp_path: Path) -> None:
    with NullCloud(tmp_path / "cloud") as cloud:
        done = run(cloud, looped(90.0, tmp_path), copies=2, timeout=PATIENCE)

    assert done.audio_seconds == pytest.approx(180.0, abs=1.0)
    assert 0 < done.start_up_seconds < done.wall_seconds
    assert 0 <= done.waited <= 1
