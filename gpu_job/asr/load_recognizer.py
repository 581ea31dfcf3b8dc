"""Loading a model: its name -> a Recognizer on the GPU or the CPU."""

from __future__ import annotations

import gc
import logging
from dataclasses import dataclass
from typing import Literal

from gpu_job.asr.recognizer import Recognizer
from shared.enums import Engine
from shared.errors import EngineFailed, FailureKind
from shared.telemetry.logs import remove_library_handlers


@dataclass(frozen=True)
class RecognizerOptions:
    """How a model is loaded and how large its batches may be. The defaults are the job's settings', too."""

    max_chunks: int = 128
    """Most chunks in one batch."""
    gpu_audio_seconds: float = 1200.0
    """Most audio in one batch on a GPU, padding included."""
    cpu_audio_seconds: float = 320.0
    """The same on a CPU."""
    gpu_memory_gb: float = 20.0
    """Most GPU memory for weights and batches, in GiB."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"


def load_recognizer(model: str, engine: Engine, options: RecognizerOptions) -> Recognizer:
    """Load Parakeet. Raises EngineFailed of kind model_load. Imports torch and NeMo, which takes seconds.

    `model`: a prepared directory, a `.nemo` file, or a name at NVIDIA or Hugging Face.
    """
    # NeMo's own telemetry is off, and would say so in two warnings.
    logging.getLogger("nv_one_logger").setLevel(logging.ERROR)
    # A fifth to a third of the import's time goes to the collection of garbage that is none.
    gc.disable()
    try:
        return _load_parakeet(model, engine, options)
    finally:
        gc.enable()
        # NeMo and Lightning bring log handlers of their own.
        remove_library_handlers()


def _load_parakeet(model: str, engine: Engine, options: RecognizerOptions) -> Recognizer:
    from gpu_job.asr.device import Precision, accelerator
    from gpu_job.asr.nemo.parakeet import Parakeet, ParakeetLimits

    where = "cuda" if engine is Engine.PARAKEET_GPU else "cpu"
    if where == "cuda" and accelerator() != "cuda":
        raise EngineFailed("No GPU can be used on this instance.", FailureKind.MODEL_LOAD)
    limits = ParakeetLimits(
        options.max_chunks, options.gpu_audio_seconds, options.cpu_audio_seconds, options.gpu_memory_gb
    )
    return Parakeet.load(model, limits, where=where, precision=Precision(options.precision))
