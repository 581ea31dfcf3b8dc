"""NeMo's Parakeet -> networks for ONNX Runtime, in onnx-asr's layout, which `gpu_job/asr/onnx/load.py` loads."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import onnx

from gpu_job.asr.nemo.model_files import BadModel
from gpu_job.asr.onnx.model_folder import CONFIG, DECODER_JOINT, ENCODER, TDT, VOCABULARY, network_file
from gpu_job.asr.onnx.vocabulary import BLANK

_LARGEST_MESSAGE = 2**31 - 2**20
"""Bytes: a protobuf message holds 2 GiB. Larger weights go to a file beside the network."""


def export(model: Any, folder: Path) -> None:
    """Write the fp32 networks, vocabulary and configuration of a TDT model on the CPU to a folder. Raises BadModel."""
    durations = list(model.cfg.decoding.get("durations") or [])
    if durations != list(range(len(durations))) or not durations:
        raise BadModel(f"Only TDT models whose n-th duration is n frames can be exported; these are {durations}.")
    with tempfile.TemporaryDirectory(dir=folder) as written:
        # The ending tells NeMo the format; it writes a network for each part, with the part's name before this one.
        model.export(str(Path(written) / "model.onnx"))
        for name in (ENCODER, DECODER_JOINT):
            network = onnx.load(Path(written) / network_file(name, "fp32"))
            save(network, folder / network_file(name, "fp32"))
    pieces = [*model.tokenizer.vocab, BLANK]
    lines = (f"{piece} {index}\n" for index, piece in enumerate(pieces))
    (folder / VOCABULARY).write_text("".join(lines), encoding="utf-8")
    config = {
        "model_type": TDT,
        "features_size": model.cfg.preprocessor.features,
        "subsampling_factor": model.encoder.subsampling_factor,
        "max_tokens_per_step": model.cfg.decoding.greedy.max_symbols,
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")


def save(network: onnx.ModelProto, path: Path) -> None:
    """One file, or where that would be too large for the format, `path` with all weights in `path`.data."""
    # Untyped in protobuf.
    if network.ByteSize() < _LARGEST_MESSAGE:  # type: ignore[no-untyped-call]
        onnx.save(network, path)
        return
    onnx.save(network, path, save_as_external_data=True, all_tensors_to_one_file=True, location=f"{path.name}.data")
