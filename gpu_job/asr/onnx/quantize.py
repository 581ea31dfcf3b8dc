"""Networks in fp32 -> int8, by ONNX Runtime's dynamic quantization. Needs the `onnx` package, not torch."""

from __future__ import annotations

import logging
from pathlib import Path
from tempfile import TemporaryDirectory

import onnxruntime

from gpu_job.onnx_sessions import session_options

_OPERATORS = ["MatMul", "Gemm"]
"""Weights of these only: they are nearly all, and convolutions in int8 are slower on CPUs."""

_WEIGHTS_FILE = "session.optimized_model_external_initializers_file_name"
_WEIGHTS_FROM = "session.optimized_model_external_initializers_min_size_in_bytes"
_SMALL = 1024
"""Bytes: smaller weights stay in the graph."""


def quantize(network: Path, target: Path) -> None:
    """Write `target`: matrices in int8, a scale for each channel; activations are scaled while they are computed.

    The weights lie in `target`.data, and the operators of the graph are already fused: a session opens in a third of
    the time and in half of the memory that one file as the quantization leaves it takes.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with TemporaryDirectory(dir=target.parent) as scratch:
        quantized = Path(scratch) / target.name
        # It recommends preprocessing, which changes nothing here, on the root logger.
        logging.getLogger().addFilter(_is_no_advice)
        try:
            quantize_dynamic(
                network, quantized, op_types_to_quantize=_OPERATORS, per_channel=True, weight_type=QuantType.QInt8
            )
        finally:
            logging.getLogger().removeFilter(_is_no_advice)
        _fuse(quantized, target)


def _fuse(network: Path, target: Path) -> None:
    """Write the network as ONNX Runtime rewrites it when it opens one, but for what depends on the CPU's kind."""
    options = session_options(threads=1)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    options.add_session_config_entry(_WEIGHTS_FILE, f"{target.name}.data")
    options.add_session_config_entry(_WEIGHTS_FROM, str(_SMALL))
    onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])


def _is_no_advice(record: logging.LogRecord) -> bool:
    return "pre-processing before quantization" not in record.getMessage()
