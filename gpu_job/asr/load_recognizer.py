"""Loading a model: what it is decides about the library that runs it.

A folder with ONNX networks runs on ONNX Runtime, for `parakeet-cpu` only; so does a published name there, whose
networks are fetched once. A `.nemo` file, a directory prepared for NeMo, and on a GPU a published name run on NeMo,
where that is installed.
"""

from __future__ import annotations

import gc
import logging
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.hub.names import HubModel, hub_model
from gpu_job.asr.onnx.model_folder import BadOnnxModel, OnnxFolder, Quantization, is_onnx_folder
from gpu_job.asr.recognizer import Recognizer
from gpu_job.audio.samples import SAMPLE_RATE
from shared.enums import Engine
from shared.errors import EngineFailed, FailureKind
from shared.telemetry.logs import remove_library_handlers

Precision = Literal["auto", "bf16", "fp32", "int8"]
"""What a model computes in: bf16 on NeMo only, int8 on ONNX Runtime only."""


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
    precision: Precision = "auto"


def load_recognizer(model: str, engine: Engine, options: RecognizerOptions) -> Recognizer:
    """Load a model. Raises EngineFailed of kind model_load.

    `model`: a folder with ONNX networks, a directory made by `dropscribe prepare-model`, a `.nemo` file, or a name at
    NVIDIA or Hugging Face. Where it runs on NeMo, torch and NeMo are imported, which takes seconds.
    """
    path = Path(model)
    if is_onnx_folder(path):
        return _load_onnx(path, engine, options)
    if engine is Engine.PARAKEET_CPU and not path.exists() and hub_model(model) is not None:
        return _load_published(model, options)
    if find_spec("nemo") is None:
        raise EngineFailed(
            f"The model {model} needs NeMo: install dropscribe[gpu], or make ONNX networks of it elsewhere with"
            " `dropscribe prepare-model`.",
            FailureKind.MODEL_LOAD,
        )
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


def _load_published(name: str, options: RecognizerOptions) -> Recognizer:
    """A published model's networks on the CPU, in int8 unless fp32 is asked for."""
    from gpu_job.asr.hub.fetch import fetch_model

    if options.precision == "bf16":
        raise BadOnnxModel(f"{name} runs in int8 or fp32 on a CPU; bf16 is for NeMo models.")
    quantization: Quantization = "fp32" if options.precision == "fp32" else "int8"
    folder = fetch_model(name, quantization=quantization)
    return _load_folder(folder, quantization, options, hub_model(name))


def _load_onnx(folder: Path, engine: Engine, options: RecognizerOptions) -> Recognizer:
    if engine is not Engine.PARAKEET_CPU:
        raise BadOnnxModel(f"{folder} holds ONNX networks, which run on the CPU only; the GPU takes a NeMo model.")
    return _load_folder(folder, _quantization(folder, options.precision), options)


def _load_folder(
    folder: Path, quantization: Quantization, options: RecognizerOptions, published: HubModel | None = None
) -> Recognizer:
    from gpu_job.asr.onnx.load import load

    limits = BatchLimits(options.max_chunks, int(options.cpu_audio_seconds * SAMPLE_RATE))
    if published is None:
        return load(folder, quantization, limits)
    return load(folder, quantization, limits, name=published.name, model_type=published.onnx_asr_name)


def _quantization(folder: Path, precision: Precision) -> Quantization:
    """int8 where there is a choice: it is the faster one."""
    if precision == "bf16":
        raise BadOnnxModel(f"{folder} holds ONNX networks, in fp32 or int8; bf16 is for NeMo models.")
    return OnnxFolder.open(folder).quantizations()[0] if precision == "auto" else precision


def _load_parakeet(model: str, engine: Engine, options: RecognizerOptions) -> Recognizer:
    from gpu_job.asr import device
    from gpu_job.asr.nemo.parakeet import Parakeet, ParakeetLimits

    if options.precision == "int8":
        raise EngineFailed(f"{model} is a NeMo model; int8 is for ONNX networks.", FailureKind.MODEL_LOAD)
    where = "cuda" if engine is Engine.PARAKEET_GPU else "cpu"
    if where == "cuda" and device.accelerator() != "cuda":
        raise EngineFailed("No GPU can be used on this instance.", FailureKind.MODEL_LOAD)
    limits = ParakeetLimits(
        options.max_chunks, options.gpu_audio_seconds, options.cpu_audio_seconds, options.gpu_memory_gb
    )
    return Parakeet.load(model, limits, where=where, precision=device.Precision(options.precision))
