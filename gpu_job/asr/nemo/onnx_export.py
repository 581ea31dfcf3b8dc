"""NeMo's Parakeet -> networks for ONNX Runtime, in onnx-asr's layout, which `gpu_job/asr/onnx/load.py` loads.

What is written was tried: in fp32 it must hear in a recording what NeMo hears in it, in int8 nearly so.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import nemo
import onnx
from kaldialign import edit_distance

from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.device import Precision as DevicePrecision
from gpu_job.asr.nemo import model_loading
from gpu_job.asr.nemo.export_layers import simplify
from gpu_job.asr.nemo.model_export import prepare, prepared_beside
from gpu_job.asr.nemo.model_files import MANIFEST, BadModel, FileRecord, Manifest, Precision, PreparedModel
from gpu_job.asr.nemo.parakeet import Parakeet, ParakeetLimits
from gpu_job.asr.onnx.load import load
from gpu_job.asr.onnx.model_folder import CONFIG, DECODER_JOINT, ENCODER, TDT, VOCABULARY, Quantization, network_file
from gpu_job.asr.onnx.quantize import quantize
from gpu_job.asr.onnx.vocabulary import BLANK
from gpu_job.asr.tokens import words_of
from gpu_job.audio.samples import Samples, seconds

MOST_DIFFERENT = 0.1
"""Share of the words that int8 may hear differently from NeMo in a short recording; a network whose matrices did not
survive hears next to nothing."""

_DISK_SHARES = 6
"""Of the archive's size: unpacked and prepared in fp32, networks as NeMo writes them and in one file, some room."""

_LARGEST_WEIGHTS = 1_500_000_000
"""Bytes: a protobuf message holds 2 GiB. Larger weights go to a file beside the network."""


def prepare_onnx(source: str, target: Path, precision: Precision, speech: Samples) -> PreparedModel:
    """Turn a `.nemo` file or a published TDT model into the ONNX folder `target`, or leave nothing. Raises BadModel.

    `speech` is transcribed before and after. Needs five to six times the archive on the target's disk for a while.
    """
    if precision is Precision.BF16:
        raise BadModel("ONNX networks are prepared in int8 or fp32; bf16 is for NeMo.")
    with prepared_beside(source, target, "exported") as place:
        _check_disk(place.archive, place.scratch)
        # By way of a prepared directory: it takes nothing but tensors from the archive.
        unpacked = prepare(str(place.archive), place.scratch / "nemo", Precision.FP32)
        _write(unpacked, place.made, precision)
        _compare(unpacked, place.made, precision, speech)
        _vouch(unpacked, place.made, precision, place.name)
    return PreparedModel.open(target)


def export(model: Any, folder: Path) -> None:
    """Write the fp32 networks, vocabulary and configuration of a TDT model on the CPU to a folder. Raises BadModel.

    The model's layers are replaced by those that are exported.
    """
    durations = list(model.cfg.decoding.get("durations") or [])
    if durations != list(range(len(durations))) or not durations:
        raise BadModel(f"Only TDT models whose n-th duration is n frames can be exported; these are {durations}.")
    simplify(model.encoder)
    with tempfile.TemporaryDirectory(dir=folder) as written:
        # The ending tells NeMo the format; it writes a network for each part, with the part's name before this one.
        model.export(str(Path(written) / "model.onnx"))
        for name in (ENCODER, DECODER_JOINT):
            network = onnx.load(Path(written) / network_file(name, "fp32"))
            _save(network, folder / network_file(name, "fp32"))
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


def to_int8(folder: Path) -> None:
    """Write the networks in int8 beside those in fp32."""
    for name in (ENCODER, DECODER_JOINT):
        quantize(folder / network_file(name, "fp32"), folder / network_file(name, "int8"))


def _save(network: onnx.ModelProto, path: Path) -> None:
    """One file, or where that would be too large for the format, `path` with all weights in `path`.data."""
    if sum(len(weights.raw_data) for weights in network.graph.initializer) < _LARGEST_WEIGHTS:
        onnx.save(network, path)
        return
    onnx.save(network, path, save_as_external_data=True, all_tensors_to_one_file=True, location=f"{path.name}.data")


def _check_disk(archive: Path, folder: Path) -> None:
    if archive.is_file():
        needed, free = _DISK_SHARES * archive.stat().st_size, shutil.disk_usage(folder).free
        if needed > free:
            raise BadModel(f"Preparing takes {needed / 1e9:.1f} GB of disk; {free / 1e9:.1f} GB are free.")


def _write(unpacked: PreparedModel, made: Path, precision: Precision) -> None:
    export(model_loading.build(unpacked.directory, "cpu").eval(), made)
    if precision is Precision.INT8:
        to_int8(made)
        for name in (ENCODER, DECODER_JOINT):
            (made / network_file(name, "fp32")).unlink()
            (made / f"{network_file(name, 'fp32')}.data").unlink(missing_ok=True)


def _compare(unpacked: PreparedModel, made: Path, precision: Precision, speech: Samples) -> None:
    """Raise BadModel unless the networks hear what NeMo hears."""
    limits = ParakeetLimits(1, seconds(len(speech)), seconds(len(speech)))
    theirs = Parakeet.load(str(unpacked.directory), limits, where="cpu", precision=DevicePrecision.FP32)
    expected = [word.text for word in words_of(theirs.transcribe([speech])[0])]
    quantization: Quantization = "int8" if precision is Precision.INT8 else "fp32"
    ours = load(made, quantization, BatchLimits(1, len(speech)))
    (tokens,) = ours.finish(ours.run(ours.prepare([speech])))
    found = [word.text for word in words_of(tokens)]
    different = int(edit_distance(expected, found)["total"])
    allowed = MOST_DIFFERENT * len(expected) if precision is Precision.INT8 else 0
    if different > allowed:
        raise BadModel(
            f"In {precision} the exported networks hear {different} words otherwise than NeMo, of {len(expected)} in a"
            " recording that comes with the project."
        )


def _vouch(unpacked: PreparedModel, made: Path, precision: Precision, source: str) -> None:
    """Write the manifest, of files that were just used."""
    manifest = Manifest(
        source=source,
        precision=precision,
        parameters=unpacked.manifest.parameters,
        nemo_version=nemo.__version__,
        files={path.name: FileRecord.of(path) for path in sorted(made.iterdir())},
    )
    for path in made.iterdir():
        path.chmod(0o644)
    (made / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
