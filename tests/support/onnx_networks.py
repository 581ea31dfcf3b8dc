"""Tiny networks for ONNX Runtime with weights that are known: a CTC model in onnx-asr's layout."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

BANDS, SUBSAMPLING = 80, 8


def write_ctc_model(folder: Path, pieces: list[str], sharpness: float = 4.0) -> None:
    """NeMo's kind of CTC model, random but for this: it says the blank in silence. Every eighth mel frame counts."""
    dice = np.random.default_rng(0)
    weights = sharpness * dice.normal(size=(BANDS, len(pieces) + 1)).astype(np.float32)
    bias = np.zeros(len(pieces) + 1, np.float32)
    bias[-1] = 1.0
    constants = {
        "weights": weights,
        "bias": bias,
        "begin": np.array([0], np.int64),
        "end": np.array([2**40], np.int64),
        "axis": np.array([2], np.int64),
        "step": np.array([SUBSAMPLING], np.int64),
    }
    nodes = [
        helper.make_node("Slice", ["audio_signal", "begin", "end", "axis", "step"], ["some"]),
        helper.make_node("Transpose", ["some"], ["frames"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["frames", "weights"], ["products"]),
        helper.make_node("Add", ["products", "bias"], ["logits"]),
        helper.make_node("LogSoftmax", ["logits"], ["logprobs"], axis=-1),
    ]
    inputs = [
        helper.make_tensor_value_info("audio_signal", TensorProto.FLOAT, ["batch", BANDS, "time"]),
        helper.make_tensor_value_info("length", TensorProto.INT64, ["batch"]),
    ]
    output = helper.make_tensor_value_info("logprobs", TensorProto.FLOAT, ["batch", "frames", len(pieces) + 1])
    graph = helper.make_graph(
        nodes, "ctc", inputs, [output], [numpy_helper.from_array(value, name) for name, value in constants.items()]
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), folder / "model.onnx"
    )
    vocabulary = [*pieces, "<blk>"]
    (folder / "vocab.txt").write_text("".join(f"{piece} {number}\n" for number, piece in enumerate(vocabulary)))
    (folder / "config.json").write_text(json.dumps({"model_type": "nemo-conformer-ctc", "features_size": BANDS}))
