"""The model on one device, over chunk lengths and batch sizes: encoder speed, arithmetic, and peak memory."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from gpu_job.asr.device import Device
from gpu_job.asr.nemo.parakeet import Parakeet, ParakeetLimits
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from shared.errors import EngineFailed

ENOUGH_SECONDS = 1.0
"""A measurement this long need not be repeated."""


@dataclass(frozen=True)
class Sweep:
    """Which points are measured."""

    chunk_seconds: Sequence[int]
    growth: int = 2
    """Each batch is so many times as large as the one before, from 1 chunk on."""
    max_audio_seconds: float = 60_000.0
    """In one batch; memory is full before that on the cards of today."""
    runs: int = 3
    """Of the encoder alone, at most."""

    def batches(self, chunk_seconds: int) -> Iterator[int]:
        """Batch sizes, smallest first."""
        size = 1
        while size * chunk_seconds <= self.max_audio_seconds:
            yield size
            size *= self.growth


@dataclass(frozen=True)
class Point:
    """One batch of chunks of one length."""

    chunk_seconds: int
    chunks: int
    encoder_factor: float
    """Seconds of audio per second, by the encoder alone."""
    peak_bytes: int
    """Largest allocation of a whole batch, weights included; 0 on a CPU, where nobody counts."""

    @property
    def audio_seconds(self) -> int:
        """In the batch."""
        return self.chunk_seconds * self.chunks


@dataclass(frozen=True)
class Stopped:
    """A batch that did not fit; no larger one was tried."""

    chunk_seconds: int
    chunks: int
    reason: str


def noise(chunk_seconds: int) -> Samples:
    """What the full model's blank bias was set on."""
    wave = np.random.default_rng(0).standard_normal(chunk_seconds * SAMPLE_RATE, dtype=np.float32)
    return 0.1 * wave


def parakeet(model: Any, device: Device, chunks: int, chunk_seconds: int) -> Parakeet:
    """The engine around a model, with a decoder whose CUDA graphs are still to be captured, for batches of one size.

    A decoder's graphs are as large as the largest batch it ever had, and cost as much for smaller ones.
    """
    release(device)
    audio = float(chunks * chunk_seconds)
    limits = ParakeetLimits(chunks, gpu_audio_seconds=audio, cpu_audio_seconds=audio, gpu_memory_gb=memory_gb(device))
    return Parakeet(model, "full", device, limits)


def memory_gb(device: Device) -> float:
    """The card's memory in GB of 10^9 bytes; on a CPU, where nobody counts, more than there is."""
    return float(torch.cuda.get_device_properties(0).total_memory) / 1e9 if device.is_gpu else 1e6


def sweep(model: Any, device: Device, points: Sweep) -> Iterator[Point | Stopped]:
    """Batches of each chunk length until memory is full."""
    for chunk_seconds in points.chunk_seconds:
        for chunks in points.batches(chunk_seconds):
            try:
                measured: Point | Stopped = measure(model, device, chunk_seconds, chunks, points.runs)
            except (EngineFailed, RuntimeError) as error:
                # Not only OutOfMemoryError: cuDNN and CUDA graphs say it in words of their own.
                measured = Stopped(chunk_seconds, chunks, str(error).splitlines()[0][:200])
            release(device)
            yield measured
            if isinstance(measured, Stopped):
                break


def measure(model: Any, device: Device, chunk_seconds: int, chunks: int, runs: int) -> Point:
    """One whole batch for its memory, which also warms up, then the encoder alone for its speed."""
    engine = parakeet(model, device, chunks, chunk_seconds)
    prepared = engine.prepare([noise(chunk_seconds)] * chunks)
    if device.is_gpu:
        torch.cuda.reset_peak_memory_stats()
    engine.finish(engine.run(prepared))
    peak = torch.cuda.max_memory_allocated() if device.is_gpu else 0
    del engine, prepared
    features, frames = encoder_input(model, device, chunk_seconds, chunks)
    seconds = timed(lambda: encode(model, features, frames), device, runs)
    return Point(chunk_seconds, chunks, chunk_seconds * chunks / seconds, peak)


def encoder_input(model: Any, device: Device, chunk_seconds: int, chunks: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mel features [chunks, mels, frames] in the encoder's precision, and the frames of each chunk."""
    with torch.inference_mode():
        signal = torch.from_numpy(noise(chunk_seconds)).to(device.name).repeat(chunks, 1)
        lengths = torch.full((chunks,), signal.shape[1], device=device.name)
        features, frames = model.preprocessor(input_signal=signal, length=lengths)
        return features.to(device.dtype), frames


def encode(model: Any, features: torch.Tensor, frames: torch.Tensor) -> None:
    """One pass of the encoder."""
    with torch.inference_mode():
        model.encoder(audio_signal=features, length=frames)


def flops_per_audio_second(model: Any, device: Device, chunk_seconds: int) -> float:
    """Floating-point operations of the encoder's convolutions and matrix products, as torch counts them.

    Attention's share grows with the chunk's length. The engine has been built: it sets the precision.
    """
    features, frames = encoder_input(model, device, chunk_seconds, 1)
    with FlopCounterMode(display=False) as counter:
        encode(model, features, frames)
    return float(counter.get_total_flops()) / chunk_seconds


def timed(action: Callable[[], object], device: Device, runs: int) -> float:
    """Median seconds of an action that ran before; waits for the device before and after. Long ones run once."""
    times: list[float] = []
    while len(times) < runs and sum(times) < ENOUGH_SECONDS:
        synchronize(device)
        began = time.perf_counter()
        action()
        synchronize(device)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def synchronize(device: Device) -> None:
    """Wait until the device has nothing to do."""
    if device.is_gpu:
        torch.cuda.synchronize()


def release(device: Device) -> None:
    """Give back the GPU's memory that nobody holds, also what a failed batch left behind."""
    if device.is_gpu:
        gc.collect()
        torch.cuda.empty_cache()
