"""Networks in fp32 -> int8, by ONNX Runtime's dynamic quantization. Needs the `onnx` package, not torch."""

from __future__ import annotations

import logging
from pathlib import Path

_OPERATORS = ["MatMul", "Gemm"]
"""Weights of these only: they are nearly all, and convolutions in int8 are slower on CPUs."""


def quantize(network: Path, target: Path) -> None:
    """Write `target`: matrices in int8, a scale for each channel; activations are scaled while they are computed."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # It recommends preprocessing, which changes nothing here, on the root logger.
    logging.getLogger().addFilter(_is_no_advice)
    try:
        quantize_dynamic(
            network, target, op_types_to_quantize=_OPERATORS, per_channel=True, weight_type=QuantType.QInt8
        )
    finally:
        logging.getLogger().removeFilter(_is_no_advice)


def _is_no_advice(record: logging.LogRecord) -> bool:
    return "pre-processing before quantization" not in record.getMessage()
