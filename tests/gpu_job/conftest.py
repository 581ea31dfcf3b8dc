"""The tiny model, loaded once for all tests that only listen to it, and chunks of the long recording."""

from __future__ import annotations

import pytest

from gpu_job.chunking import Chunk, Cutting, chunks
from gpu_job.decoding import DecoderLimits, decode
from gpu_job.device import Device
from gpu_job.parakeet import Limits, Parakeet
from infra.recordings import recording
from infra.tiny_parakeet import MODEL_PATH

LIMITS = Limits(max_chunks=16, gpu_audio_seconds=640, cpu_audio_seconds=80)


@pytest.fixture(scope="session")
def parakeet() -> Parakeet:
    import torch

    return Parakeet.load(str(MODEL_PATH), LIMITS, Device("cpu", torch.float32))


@pytest.fixture(scope="session")
def long_chunks() -> list[Chunk]:
    """Of ten minutes of speech, each up to 20 s long."""
    return list(chunks(decode(recording("long_seen.opus").path, DecoderLimits()), Cutting()))
