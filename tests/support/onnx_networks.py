"""Tiny models in onnx-asr's layout: a CTC model with weights that are known, an RNN-T model from the shipped one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from infra.tiny_parakeet import ONNX_PATH

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


def write_rnnt_model(folder: Path) -> None:
    """The tiny model as one that has no durations: the same networks, the joint's last outputs cut off."""
    shutil.copytree(ONNX_PATH, folder)
    blank = len((folder / "vocab.txt").read_text(encoding="utf-8").splitlines()) - 1
    network = onnx.load(folder / "decoder_joint-model.onnx")
    (last,) = (node for node in network.graph.node if "outputs" in node.output)
    last.output[list(last.output).index("outputs")] = "with_durations"
    bounds = {"first": 0, "behind": blank + 1, "axis": -1}
    network.graph.initializer.extend(
        numpy_helper.from_array(np.array([value], np.int64), name) for name, value in bounds.items()
    )
    network.graph.node.append(helper.make_node("Slice", ["with_durations", *bounds], ["outputs"]))
    (outputs,) = (each for each in network.graph.output if each.name == "outputs")
    outputs.type.tensor_type.shape.dim[-1].dim_value = blank + 1
    onnx.save(network, folder / "decoder_joint-model.onnx")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "nemo-conformer-rnnt"}))
