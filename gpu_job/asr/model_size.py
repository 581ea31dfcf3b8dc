"""How much memory a model takes, before it is loaded and, on ONNX Runtime, after."""

from __future__ import annotations

import re
from pathlib import Path

ONNX_MEMORY = 2.0
"""Bytes in memory for each of a network's file: ONNX Runtime keeps weights once more, as its kernels want them.
Parakeet 0.6 B in int8: 660 MB on disk, 1.3 GB in memory."""

_WEIGHTS = (".onnx", ".data", ".safetensors", ".nemo")
_BILLIONS = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)b(?![a-z0-9])", re.IGNORECASE)
_BYTES_PER_PARAMETER = 2.1
"""In bf16 on a GPU, in int8 on ONNX Runtime: 1.3 GB of 618 M parameters."""


def predicted_bytes(model: str) -> int | None:
    """Of a model as settings name it; None where neither its files nor its name say.

    Of a folder with networks in several precisions the smallest is taken, which is what is loaded by default.
    """
    path = Path(model)
    if path.is_file():
        # A .nemo file is in fp32, and takes half of that on a GPU: rather too much room than too little.
        return path.stat().st_size
    if path.is_dir():
        return folder_bytes(path, int8=any(path.rglob("*.int8.onnx")))
    named = _BILLIONS.search(model.replace("-", " ").replace("_", " "))
    return None if named is None else int(float(named[1]) * 1e9 * _BYTES_PER_PARAMETER)


def folder_bytes(folder: Path, *, int8: bool) -> int:
    """Of the weights in a folder. `int8`: of ONNX networks, those in int8 or the others."""
    files = [file for file in folder.rglob("*") if file.suffix in _WEIGHTS and file.is_file()]
    networks = [file for file in files if file.suffix == ".onnx"]
    if not networks:
        return sum(file.stat().st_size for file in files)
    chosen = [file for file in networks if (".int8." in file.name or file.stem.endswith("_int8")) is int8] or networks
    # Weights beside a network are named after it.
    beside = [
        file for file in files if file.suffix == ".data" and any(file.name.startswith(one.stem) for one in chosen)
    ]
    return int(ONNX_MEMORY * sum(file.stat().st_size for file in (*chosen, *beside)))
