"""What the GPU's steps measure: the card with the full-size model, or, for a dry run, the tiny model on a CPU."""

from __future__ import annotations

import gc
import logging
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from nemo.utils import logging as nemo_logging

from benchmarks.gpu.speech import speech, stretches
from benchmarks.report import Measurement
from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.device import Device, best_device
from gpu_job.asr.nemo import nemo_patch
from gpu_job.asr.nemo.model_loading import load
from gpu_job.asr.nemo.parakeet import Parakeet, ParakeetLimits
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from infra.tiny_parakeet import MODEL_PATH

Amount = TypeVar("Amount")
ENOUGH_SECONDS = 1.0
"""A measurement this long need not be repeated."""
SHORT_RECORDING = "podcast.mp3"
"""What a dry run hears."""


@dataclass(frozen=True)
class Part:
    """Some figures of a step. One that fails, or for which too little time is left, is a row that says so."""

    name: str
    rows: Callable[[], Iterable[Measurement]]
    needs_seconds: float = 0.0
    """With less time left it is not begun."""


@dataclass(frozen=True)
class Subject:
    """A model on a device."""

    device: Device
    card: str
    """The device's name as CUDA has it; `cpu` in a dry run."""
    full_model: Path
    """The full-size one, prepared; the tiny one in a dry run."""

    @classmethod
    def of_card(cls, model: Path) -> Subject:
        """The first GPU."""
        return cls(best_device(), torch.cuda.get_device_name(0), model)

    @classmethod
    def dry(cls) -> Subject:
        """The tiny model on the CPU, in fp32."""
        return cls(Device("cpu", torch.float32), "cpu", MODEL_PATH)

    @property
    def is_dry(self) -> bool:
        """Whether the figures mean nothing: only that everything runs."""
        return not self.device.is_gpu

    def amount(self, measured: Amount, dry: Amount) -> Amount:
        """How much is done, where that differs."""
        return dry if self.is_dry else measured

    def sounds(self, seconds: float, count: int) -> list[Samples]:
        """So many stretches of speech, all different."""
        sound = speech(SHORT_RECORDING) if self.is_dry else speech()
        return stretches(sound, seconds, count)

    def model(self) -> Any:
        """The full-size model, in a dry run the tiny one: NeMo's, on the device."""
        nemo_logging.setLevel(logging.ERROR)
        nemo_patch.apply()
        return load(str(self.full_model), self.device.name)[0]

    def engine(self, model: Any, chunks: int, audio_seconds: float) -> Parakeet:
        """The engine around a model, for batches of at most so much; its decoder has captured nothing yet."""
        self.free()
        limits = ParakeetLimits(chunks, audio_seconds, audio_seconds, self.memory_gib)
        return Parakeet(model, "full", self.device, limits)

    @property
    def memory_gib(self) -> float:
        """The card's, less what the driver keeps; on a CPU, where nobody counts, more than there is."""
        if self.is_dry:
            return 1e6
        return 0.97 * float(torch.cuda.get_device_properties(0).total_memory) / 2**30

    def wait(self) -> None:
        """Until the device has nothing to do."""
        if self.device.is_gpu:
            torch.cuda.synchronize()

    def free(self) -> None:
        """Give back the GPU's memory that nobody holds, also what a failed batch left behind."""
        gc.collect()
        if self.device.is_gpu:
            torch.cuda.empty_cache()

    def timed(self, action: Callable[[], object], runs: int = 5) -> float:
        """Median seconds of an action that ran before; waits for the device before and after. Long ones run once."""
        times: list[float] = []
        while not times or (len(times) < self.amount(runs, 1) and sum(times) < ENOUGH_SECONDS):
            times.append(self.once(action))
        return statistics.median(times)

    def once(self, action: Callable[[], object]) -> float:
        """Seconds of an action, until the device has done it."""
        self.wait()
        began = time.perf_counter()
        action()
        self.wait()
        return time.perf_counter() - began

    def peak_bytes(self, action: Callable[[], object]) -> int:
        """The most memory that was allocated during an action, weights included; 0 on a CPU."""
        if self.is_dry:
            action()
            return 0
        self.free()
        torch.cuda.reset_peak_memory_stats()
        action()
        self.wait()
        return int(torch.cuda.max_memory_allocated())


def figure(name: str, value: float, unit: str, detail: str = "") -> Measurement:
    """A figure that is held against nothing."""
    return Measurement(f"gpu: {name}", value, unit, detail, "-", None)


def check(name: str, value: float, unit: str, wanted: float, detail: str = "") -> Measurement:
    """A figure that has to be exactly so."""
    return Measurement(f"gpu: {name}", value, unit, detail, f"{wanted:g}", value == wanted)


def unlimited(chunks: int, seconds: float) -> BatchLimits:
    """Of batches that no prediction of memory makes smaller."""
    return BatchLimits(chunks, round(seconds * SAMPLE_RATE))
