"""Loading a folder in onnx-asr's layout: what it holds -> a Recognizer."""

from __future__ import annotations

from pathlib import Path

from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.model_size import folder_bytes
from gpu_job.asr.nemo.model_files import MANIFEST, PreparedModel
from gpu_job.asr.onnx.model_folder import CONFIG, TDT, BadOnnxModel, OnnxFolder, Quantization
from gpu_job.asr.onnx.tdt_model import OnnxTdt
from gpu_job.asr.recognizer import Recognizer
from gpu_job.audio.parallel import usable_cores


def load(
    folder: Path,
    quantization: Quantization,
    limits: BatchLimits,
    *,
    name: str | None = None,
    model_type: str | None = None,
    threads: int | None = None,
) -> Recognizer:
    """The model of a folder. Raises EngineFailed of kind model_load.

    A folder that `dropscribe prepare-model` made is compared with its manifest. `name`: what transcripts call it;
    without it the name in the manifest, or the folder's. `threads`: for the encoder; without it one for each core that
    this process may use. `model_type`: onnx-asr's name of the model, where its configuration does not have its type.
    """
    if (folder / MANIFEST).is_file():
        prepared = PreparedModel.open(folder)
        prepared.check()
        name = name or prepared.manifest.source
    threads = threads or usable_cores()
    memory_bytes = folder_bytes(folder, int8=quantization == "int8")
    opened = OnnxFolder.open(folder)
    if opened.config.model_type == TDT:
        return OnnxTdt(opened, quantization, name or folder.name, limits, threads, memory_bytes)
    model_type = model_type or opened.config.model_type
    if model_type is None:
        raise BadOnnxModel(f"{folder / CONFIG} names no model_type.")
    # Imports every model class of onnx-asr.
    from gpu_job.asr.onnx.other_models import OnnxAsrModel

    return OnnxAsrModel(folder, model_type, quantization, name or folder.name, limits, threads, memory_bytes)
