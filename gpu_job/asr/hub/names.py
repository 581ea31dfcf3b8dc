"""Names of published models -> the repositories of the Hugging Face Hub that hold them as ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Quantization = Literal["fp32", "int8"]
"""What a model's weights are kept in; with int8 the matrices only."""


@dataclass(frozen=True)
class HubModel:
    """A published model."""

    name: str
    """As the user wrote it."""
    onnx_asr_name: str
    """What onnx-asr calls it; the repository where it has no name of its own for it."""
    repository: str
    """`owner/name` at the hub."""


def hub_model(name: str) -> HubModel | None:
    """The published model of this name; None where it is none, such as a path, or a model of NVIDIA's not in ONNX.

    `name`: NVIDIA's (`nvidia/parakeet-tdt-0.6b-v2`), onnx-asr's (`whisper-base`), or a repository in its layout.
    """
    # Imports onnxruntime: only where a model is asked for.
    from onnx_asr.resolver import model_repos

    owner, _, last = name.rpartition("/")
    known = {"": name, "nvidia": f"nemo-{last}"}.get(owner, name)
    if known in model_repos:
        return HubModel(name, known, model_repos[known])
    if owner == "nvidia":
        return None
    if name.count("/") == 1 and all(part and part[0].isalnum() for part in name.split("/")):
        return HubModel(name, name, name)
    return None
