"""The model on one device, over chunk lengths and batch sizes: encoder speed, arithmetic, and peak memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu.points import Point, Stopped, Sweep
from benchmarks.gpu.subject import Subject
from shared.errors import EngineFailed


def sweep(subject: Subject, model: Any, points: Sweep) -> Iterator[Point | Stopped]:
    """Batches of each chunk length until memory is full."""
    for chunk_seconds in points.chunk_seconds:
        for chunks in points.batches(chunk_seconds):
            try:
                measured: Point | Stopped = measure(subject, model, chunk_seconds, chunks, points.runs)
            except (EngineFailed, RuntimeError) as error:
                # Not only OutOfMemoryError: cuDNN and CUDA graphs say it in words of their own.
                measured = Stopped(chunk_seconds, chunks, str(error).splitlines()[0][:200])
            subject.free()
            yield measured
            if isinstance(measured, Stopped):
                break


def measure(subject: Subject, model: Any, chunk_seconds: int, chunks: int, runs: int) -> Point:
    """One whole batch for its memory, which also warms up, then the encoder alone for its speed."""
    engine = subject.engine(model, chunks, float(chunks * chunk_seconds))
    prepared = engine.prepare(subject.sounds(chunk_seconds, chunks))
    peak = subject.peak_bytes(lambda: engine.finish(engine.run(prepared)))
    features, frames = encoder_input(subject, model, chunk_seconds, chunks)
    seconds = subject.timed(lambda: encode(model, features, frames), runs)
    return Point(chunk_seconds, chunks, chunk_seconds * chunks / seconds, peak)


def encoder_input(subject: Subject, model: Any, chunk_seconds: int, chunks: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mel features [chunks, mels, frames] in the encoder's precision, and the frames of each chunk.

    Of one chunk over and over: what the encoder takes does not depend on what is said.
    """
    (sound,) = subject.sounds(chunk_seconds, 1)
    with torch.inference_mode():
        signal = torch.from_numpy(sound).to(subject.device.name).repeat(chunks, 1)
        lengths = torch.full((chunks,), signal.shape[1], device=subject.device.name)
        features, frames = model.preprocessor(input_signal=signal, length=lengths)
        return features.to(subject.device.dtype), frames


def encode(model: Any, features: torch.Tensor, frames: torch.Tensor) -> None:
    """One pass of the encoder."""
    with torch.inference_mode():
        model.encoder(audio_signal=features, length=frames)


def flops_per_audio_second(subject: Subject, model: Any, chunk_seconds: int) -> float:
    """Floating-point operations of the encoder's convolutions and matrix products, as torch counts them.

    Attention's share grows with the chunk's length. The engine has been built: it sets the precision.
    """
    features, frames = encoder_input(subject, model, chunk_seconds, 1)
    with FlopCounterMode(display=False) as counter:
        encode(model, features, frames)
    return float(counter.get_total_flops()) / chunk_seconds
