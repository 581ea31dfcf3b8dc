"""`python -m tools.silero_vad.make_network`: `gpu_job/vad/silero_vad_16k.onnx` from the `silero-vad` package's weights.

The package's own graph for whole sequences takes twice the time: ONNX Runtime computes convolutions over four points
in time, one frame after the other, where here each of them is one multiplication of matrices for all frames.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from gpu_job.vad.segments import FRAME
from gpu_job.vad.silero import CONTEXT, NETWORK, STATE

SOURCE = "silero-vad 6.2.3, silero_vad_16k_sequence.onnx"
_BINS = 129
"""Frequencies of the spectrum."""
_HOP = 128
_OPSET = 17
_IR_VERSION = 10
"""Read by ONNX Runtime from 1.18 on."""

Weights = NDArray[np.float32]

_LSTM = ("lstm.input", "lstm.recurrent", "lstm.bias")


def shipped_network() -> Path:
    """The package's file, found without importing the package, which sets the threads of the whole process."""
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("The package silero-vad is not installed.", name="silero_vad")
    return Path(spec.submodule_search_locations[0]) / "data" / "silero_vad_16k_sequence.onnx"


class _Graph:
    """Nodes and constants in the order in which they are added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: NDArray[np.generic]) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, kind: str, *inputs: str, outputs: Sequence[str] = (), **attributes: Any) -> str:
        outputs = outputs or [f"{kind.lower()}_{len(self.nodes)}"]
        self.nodes.append(helper.make_node(kind, list(inputs), list(outputs), **attributes))
        return outputs[0]

    def shape(self, value: str, *shape: int) -> str:
        return self.add("Reshape", value, self.constant(np.array(shape, np.int64)))

    def slice(self, value: str, axis: int, begin: int, end: int, step: int = 1) -> str:
        bounds = (self.constant(np.array([each], np.int64)) for each in (begin, end, axis, step))
        return self.add("Slice", value, *bounds)

    def padded(self, value: str, *pads: int, mode: str = "constant") -> str:
        return self.add("Pad", value, self.constant(np.array(pads, np.int64)), mode=mode)

    def linear(self, value: str, weights: Weights, bias: Weights | None = None) -> str:
        product = self.add("MatMul", value, self.constant(weights))
        return product if bias is None else self.add("Add", product, self.constant(bias))


def network(weights: dict[str, Weights]) -> onnx.ModelProto:
    """The package's computation: spectrum, four convolutions, one recurrent layer, for all frames of a window."""
    graph = _Graph()
    # [frames, CONTEXT + FRAME] -> four windows of two hops each.
    mirrored = graph.padded("frames", 0, 0, 0, CONTEXT, mode="reflect")
    hops = graph.shape(mirrored, -1, (FRAME + 2 * CONTEXT) // _HOP, _HOP)
    windows = graph.add("Concat", graph.slice(hops, 1, 0, 4), graph.slice(hops, 1, 1, 5), axis=2)
    spectrum = graph.linear(windows, weights["stft.forward_basis_buffer"][:, 0].T)
    squares = graph.add("Mul", spectrum, spectrum)
    power = graph.add("Add", graph.slice(squares, 2, 0, _BINS), graph.slice(squares, 2, _BINS, 2 * _BINS))
    # [frames, 4, bins] -> [frames, 4, 128] -> [frames, 2, 64] -> [frames, 1, 64] -> [frames, 1, 128]
    value = graph.add("Sqrt", power)
    value = _convolution(graph, value, weights, 0, points=4, taps=[0, 1, 2])
    value = _convolution(graph, value, weights, 1, points=4, taps=[0, 1, 2], stride=2)
    # Of few points in time only some taps meet more than the padding.
    value = _convolution(graph, value, weights, 2, points=2, taps=[1, 2], stride=2)
    value = _convolution(graph, value, weights, 3, points=1, taps=[1])
    recurrent = [graph.constant(weights[name]) for name in _LSTM]
    value = graph.add(
        "LSTM",
        value,
        *recurrent,
        "",
        "hidden",
        "cell",
        outputs=("remembered", "last_hidden", "last_cell"),
        hidden_size=STATE,
    )
    value = graph.linear(
        graph.add("Relu", graph.shape(value, -1, STATE)),
        weights["output.weight"][:, :, 0].T,
        weights["output.bias"],
    )
    graph.add("Reshape", graph.add("Sigmoid", value), graph.constant(np.array([-1], np.int64)), outputs=["speech"])
    state = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, STATE]) for name in ("hidden", "cell")]
    last = [helper.make_tensor_value_info(f"last_{each.name}", TensorProto.FLOAT, [1, 1, STATE]) for each in state]
    frames = helper.make_tensor_value_info("frames", TensorProto.FLOAT, ["frames", CONTEXT + FRAME])
    speech = helper.make_tensor_value_info("speech", TensorProto.FLOAT, ["frames"])
    made = helper.make_graph(graph.nodes, "silero_vad_16k", [frames, *state], [speech, *last], graph.constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    helper.set_model_props(model, {"weights": SOURCE, "license": "MIT, Copyright (c) 2020-present Silero Team"})
    onnx.checker.check_model(model, full_check=True)
    return model


def _convolution(
    graph: _Graph,
    value: str,
    weights: dict[str, Weights],
    layer: int,
    *,
    points: int,
    taps: Sequence[int],
    stride: int = 1,
) -> str:
    """[frames, points, channels]: a convolution of three taps over the points, padded by one, and ReLU."""
    padded = graph.padded(value, 0, 1, 0, 0, 1, 0)
    last = points - 1
    neighbours = [graph.slice(padded, 1, tap, tap + last + 1, stride) for tap in taps]
    seen = graph.add("Concat", *neighbours, axis=2) if len(neighbours) > 1 else neighbours[0]
    kernel = np.concatenate([weights[f"encoder.{layer}.weight"][:, :, tap].T for tap in taps])
    return graph.add("Relu", graph.linear(seen, kernel, weights[f"encoder.{layer}.bias"]))


def shipped_weights(path: Path) -> dict[str, Weights]:
    """The package's constants by name, those of the recurrent layer under names of ours."""
    shipped = onnx.load(path).graph
    weights = {each.name: numpy_helper.to_array(each) for each in shipped.initializer}
    (recurrent,) = (node for node in shipped.node if node.op_type == "LSTM")
    return weights | {ours: weights[theirs] for ours, theirs in zip(_LSTM, recurrent.input[1:4], strict=True)}


def main(path: Path = NETWORK) -> None:
    """Write the network."""
    onnx.save(network(shipped_weights(shipped_network())), path)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
