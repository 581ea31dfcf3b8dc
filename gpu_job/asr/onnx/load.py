"""Loading a folder in onnx-asr's layout: what it holds -> a Recognizer."""

from __future__ import annotations

from pathlib import Path

from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.onnx.model_folder import TDT, BadOnnxModel, OnnxFolder, Quantization
from gpu_job.asr.onnx.tdt_model import OnnxTdt
from gpu_job.asr.recognizer import Recognizer
from gpu_job.audio.parallel import usable_cores


def load(
    folder: Path,
    quantization: Quantization,
    limits: BatchLimits,
    *,
    name: str | None = None,
    threads: int | None = None,
) -> Recognizer:
    """The model of a folder. Raises EngineFailed of kind model_load.

    `name`: what transcripts call it; without it the folder's name. `threads`: for the encoder; without it one for each
    core that this process may use.
    """
    opened = OnnxFolder.open(folder)
    if opened.config.model_type != TDT:
        raise BadOnnxModel(f"{folder} holds a model of type {opened.config.model_type}, which cannot be run.")
    return OnnxTdt(opened, quantization, name or folder.name, limits, threads or usable_cores())
