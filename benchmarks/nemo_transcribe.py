"""The peer: NeMo's own `transcribe()`, on an instance of its own, for the call ruins one for direct use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from omegaconf import open_dict

from benchmarks.gpu_sweep import noise, release, timed
from gpu_job.asr.device import Device


def as_nemo_users_do(model: Any, device: Device) -> Any:
    """A model in the device's precision, its decoder as NeMo has it by default: batched, on a GPU with CUDA graphs."""
    decoding = model.cfg.decoding
    with open_dict(decoding):
        decoding.strategy = "greedy_batch"
        decoding.greedy.use_cuda_graph_decoder = True
    model.change_decoding_strategy(decoding, verbose=False)
    return model.to(device.name).to(device.dtype).eval()


def fastest_transcribe(
    model: Any, device: Device, chunk_seconds: int, batches: Sequence[int], *, timestamps: bool
) -> tuple[float, int]:
    """Seconds of audio per second of `transcribe(arrays)` at its best batch size, and that size.

    The same audio at each size: two of the largest batches. A size that does not fit in memory does not count.
    """
    chunks = [noise(chunk_seconds)] * (2 * max(batches))
    factors: dict[int, float] = {}
    for batch in batches:

        def transcribe(batch: int = batch) -> None:
            model.transcribe(chunks, batch_size=batch, timestamps=timestamps, verbose=False)

        try:
            model.transcribe(chunks[:batch], batch_size=batch, timestamps=timestamps, verbose=False)  # warms up
            factors[batch] = len(chunks) * chunk_seconds / timed(transcribe, device, runs=1)
        except torch.OutOfMemoryError:
            continue
        release(device)
    if not factors:
        raise RuntimeError("no batch size fits in memory")
    best = max(factors, key=lambda batch: factors[batch])
    return factors[best], best
