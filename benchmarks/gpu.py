"""`python -m benchmarks.gpu [--quick]`: the full-size engine and the whole job on this machine's GPU.

The model has random weights and emits as many tokens a second as speech does. Under eight minutes on an H200, under
three with --quick. Where there is no CUDA it says so and ends well.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

import torch
from nemo.utils import logging as nemo_logging

from benchmarks import gpu_rows, model_load
from benchmarks.engine_runs import EngineRun, through_local_engine
from benchmarks.gpu_sweep import (
    Point,
    Stopped,
    Sweep,
    flops_per_audio_second,
    memory_gb,
    noise,
    parakeet,
    release,
    sweep,
)
from benchmarks.nemo_transcribe import as_nemo_users_do, fastest_transcribe
from benchmarks.report import Measurement, write
from benchmarks.runs import JobRun, looped, options, run
from gpu_job.asr.device import Device, best_device
from gpu_job.asr.nemo import nemo_patch
from gpu_job.asr.nemo.model_loading import load
from gpu_job.asr.nemo.parakeet import memory_of
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE
from infra.emulators.cloud import LaptopCloud

FILE = Path("build/gpu.json")
MIN_BATCHES, MAX_BATCHES = 4, 200
BUFFERED_BATCHES = 3
"""Audio that may wait for the model: a batch being gathered, and as much as two more decoders finish meanwhile."""
UPLOAD_SECONDS = 7200.0


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    sweep: Sweep
    engine_seconds: float
    """About so long the engine runs for each chunk length."""
    job_seconds: float
    """About so long the whole job runs."""
    peer_batches: tuple[int, ...]
    upload_seconds: float = UPLOAD_SECONDS
    """Length of each upload."""


DEFAULT_CHUNK = int(gpu_rows.default("chunk_seconds"))
FULL = Plan(Sweep(sorted({10, 20, 30, 60, 120, DEFAULT_CHUNK})), 5.0, 60.0, (32, 64, 128, 256))
QUICK = Plan(Sweep(sorted({10, DEFAULT_CHUNK, 120}), growth=4, runs=1), 2.0, 20.0, (32, 128))


@dataclass
class GpuBenchmark:
    """The sections in their order; each builds on the ones before it."""

    model_path: Path
    device: Device
    name: str
    """Of the device, as CUDA has it."""
    plan: Plan
    chunk_seconds: int = DEFAULT_CHUNK
    """What the job uses, and the peer gets."""
    points: list[Point | Stopped] = field(default_factory=list)
    engine_runs: dict[int, EngineRun] = field(default_factory=dict)
    """By chunk length, at the encoder's fastest batch."""
    _model: Any = None

    def rows(self) -> Iterator[Measurement]:
        """Every section's figures; a section that fails is a row that says why, and the others go on."""
        for section in (self.encoder, self.engine, self.peer, self.whole_job):
            try:
                yield from section()
            except Exception as error:
                # A GPU hour is dear: what was measured so far must not be lost to whatever went wrong now.
                traceback.print_exc()
                yield Measurement(f"gpu: {section.__name__}", 0.0, "", f"failed: {error}", "-", holds=False)
            release(self.device)

    def encoder(self) -> Iterator[Measurement]:
        """The sweep: speed of the encoder alone, share of the card's peak, and memory against the memory model."""
        nemo_logging.setLevel(logging.ERROR)
        nemo_patch.apply()
        self._model, _ = load(str(self.model_path), self.device.name)
        for point in sweep(self._model, self.device, self.plan.sweep):
            self.points.append(point)
            print(point, flush=True)
        for best in self._fastest():
            flops = flops_per_audio_second(self._model, self.device, best.chunk_seconds)
            yield from gpu_rows.encoder_rows(best, self.points, flops, self.name)
            largest = gpu_rows.largest(self._measured(), best.chunk_seconds)
            if largest and largest.peak_bytes:
                yield gpu_rows.memory_row(largest, memory_of(self._model, self.device))

    def engine(self) -> Iterator[Measurement]:
        """The engine alone, at the encoder's fastest batch of each chunk length."""
        for best in self._fastest():
            engine = parakeet(self._model, self.device, best.chunks, best.chunk_seconds)
            samples = noise(best.chunk_seconds)
            size = engine.batch_limits.largest(len(samples))  # keeps a reserve that the sweep did not
            engine.transcribe([samples] * size)  # captures the decoder's graphs
            batches = ceil(self.plan.engine_seconds * best.encoder_factor / (size * best.chunk_seconds))
            count = size * min(max(batches, MIN_BATCHES), MAX_BATCHES)
            chunks = [Chunk(index * best.chunk_seconds * SAMPLE_RATE, samples) for index in range(count)]
            done = self.engine_runs[best.chunk_seconds] = through_local_engine(engine, chunks)
            yield gpu_rows.engine_row(best, size, done, self.name)
            del engine

    def peer(self) -> Iterator[Measurement]:
        """NeMo's `transcribe()` beside our engine, on chunks as long as the job's."""
        self._model = None
        release(self.device)
        ours = self._engine_factor()
        model = as_nemo_users_do(load(str(self.model_path), self.device.name)[0], self.device)
        for timestamps in (True, False):
            theirs, batch = fastest_transcribe(
                model, self.device, self.chunk_seconds, self.plan.peer_batches, timestamps=timestamps
            )
            yield gpu_rows.peer_row(ours, theirs, batch, timestamps=timestamps)

    def whole_job(self) -> Iterator[Measurement]:
        """Uploads on the laptop cloud through the real worker, with the batches that were fastest here."""
        factor = self._engine_factor()
        best = gpu_rows.fastest(self._measured(), self.chunk_seconds)
        assert best is not None  # the engine ran at this point
        done = self._job(best, max(1, ceil(self.plan.job_seconds * factor / self.plan.upload_seconds)))
        yield from gpu_rows.job_rows(done, factor, self.name)

    def _job(self, best: Point, uploads: int) -> JobRun:
        settings = {
            "CHUNK_SECONDS": str(self.chunk_seconds),
            "GPU_BATCH_SIZE": str(best.chunks),
            "BATCH_AUDIO_SECONDS": str(best.audio_seconds),
            "BUFFERED_AUDIO_SECONDS": str(BUFFERED_BATCHES * best.audio_seconds),
            "GPU_MEMORY_LIMIT_GB": f"{memory_gb(self.device):g}",
            # The laptop cloud's job has none; with one, the worker loads the model onto it.
            "JOB_GPU": str(gpu_rows.default("job_gpu")) if self.device.is_gpu else "none",
        }
        with tempfile.TemporaryDirectory() as folder:
            path = looped(self.plan.upload_seconds, Path(folder))
            with LaptopCloud(Path(folder) / "cloud", options(str(self.model_path), **settings)) as cloud:
                return run(cloud, path, copies=uploads)

    def _engine_factor(self) -> float:
        """Of chunks as long as the job's."""
        if self.chunk_seconds not in self.engine_runs:
            raise RuntimeError(f"the engine was not measured with chunks of {self.chunk_seconds} s")
        return self.engine_runs[self.chunk_seconds].real_time_factor

    def _measured(self) -> list[Point]:
        return [point for point in self.points if isinstance(point, Point)]

    def _fastest(self) -> Iterator[Point]:
        for chunk_seconds in self.plan.sweep.chunk_seconds:
            if best := gpu_rows.fastest(self._measured(), chunk_seconds):
                yield best


def gpu(plan: Plan = FULL) -> Iterator[Measurement]:
    """Every figure, or none where there is no CUDA."""
    if not torch.cuda.is_available():
        print("gpu: skipped, there is no CUDA device that torch can use")
        return
    device = best_device()
    name = torch.cuda.get_device_name(0)
    print(f"gpu: {name}, {device.dtype}, torch {torch.__version__}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "full"
        model_load.make(Path(folder) / "full.nemo", prepared)
        yield from GpuBenchmark(prepared, device, name, plan).rows()


def main() -> int:
    """Print each figure as it comes, then the table, and write FILE."""
    measured: list[Measurement] = []
    for row in gpu(QUICK if "--quick" in sys.argv[1:] else FULL):
        print(row, flush=True)
        measured.append(row)
    if measured:
        write(measured, FILE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
