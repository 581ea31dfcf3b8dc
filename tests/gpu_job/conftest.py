"""The tiny model, loaded once on NeMo and on ONNX Runtime for all tests that only listen to it; the long recording."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pytest

from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.onnx.load import load
from gpu_job.asr.onnx.tdt_model import OnnxTdt
from gpu_job.audio.chunker import Chunk, chunks
from gpu_job.audio.cuts import CutRules
from gpu_job.audio.decode import decode
from gpu_job.audio.samples import SAMPLE_RATE
from infra.recordings import recording
from infra.tiny_parakeet import MODEL_PATH, ONNX_PATH

if TYPE_CHECKING:
    from gpu_job.asr.nemo.parakeet import Parakeet

SHORT_BLOCKS = 45
"""Of 4 s."""


@pytest.fixture(scope="session")
def parakeet() -> Parakeet:
    # Here, as it takes seconds and most tests of this folder do without.
    import torch

    from gpu_job.asr.device import Device
    from gpu_job.asr.nemo.parakeet import Parakeet, ParakeetLimits

    limits = ParakeetLimits(max_chunks=16, gpu_audio_seconds=640, cpu_audio_seconds=80)
    return Parakeet.load(str(MODEL_PATH), limits, Device("cpu", torch.float32))


@pytest.fixture(scope="session")
def tiny_model() -> OnnxTdt:
    """The same model on ONNX Runtime, where it does not matter which library runs it: loaded in a tenth of a second."""
    model = load(ONNX_PATH, "fp32", BatchLimits(16, 80 * SAMPLE_RATE))
    assert isinstance(model, OnnxTdt)
    return model


@pytest.fixture(scope="session")
def long_chunks() -> list[Chunk]:
    """Of ten minutes of speech, each up to 20 s long."""
    return list(chunks(decode(recording("long_seen.opus").path), CutRules()))


@pytest.fixture(scope="session")
def short_chunks() -> list[Chunk]:
    """Of three minutes of speech, each up to 8 s long: where it is not the length that matters, a third of the work."""
    return list(chunks(islice(decode(recording("long_seen.opus").path), SHORT_BLOCKS), CutRules(max_seconds=8.0)))
