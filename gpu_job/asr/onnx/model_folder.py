"""A model's files in onnx-asr's layout: config.json, vocab.txt, and networks with or without `.int8` in their names.

Nothing here opens a network.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from shared.errors import EngineFailed, FailureKind

Quantization = Literal["fp32", "int8"]
"""What a network's weights are kept in; with int8 the matrices only."""

CONFIG = "config.json"
VOCABULARY = "vocab.txt"
ENCODER = "encoder-model"
DECODER_JOINT = "decoder_joint-model"
TDT = "nemo-conformer-tdt"
"""onnx-asr's `model_type` of Parakeet TDT."""

_SUFFIXES = {"fp32": ".onnx", "int8": ".int8.onnx"}


class BadOnnxModel(EngineFailed):
    """The folder holds no model that can be run, or not in the wanted quantization."""

    kind = FailureKind.MODEL_LOAD


def is_onnx_folder(path: Path) -> bool:
    """Whether a model lies here in onnx-asr's layout, rather than one prepared for NeMo."""
    return path.is_dir() and any(path.rglob("*.onnx"))


def network_file(name: str, quantization: Quantization) -> str:
    """The name of a network's file: `encoder-model.int8.onnx`."""
    return f"{name}{_SUFFIXES[quantization]}"


@dataclass(frozen=True)
class OnnxConfig:
    """What config.json says; the names are onnx-asr's, and so are the defaults."""

    model_type: str | None = None
    """onnx-asr's name of the kind of model; some published folders leave it out."""
    features_size: int = 80
    """Mel bands."""
    subsampling_factor: int = 8
    """Mel frames per encoder frame."""
    max_tokens_per_step: int = 10
    """Tokens at one encoder frame."""


@dataclass(frozen=True)
class OnnxFolder:
    """A folder whose configuration has been read."""

    path: Path
    config: OnnxConfig

    @classmethod
    def open(cls, path: Path) -> OnnxFolder:
        """Read config.json, where there is one. Raises BadOnnxModel."""
        try:
            said: Any = json.loads((path / CONFIG).read_bytes())
        except FileNotFoundError:
            said = {}
        except OSError as error:
            raise BadOnnxModel(f"{path} is no ONNX model: its {CONFIG} cannot be read ({error.strerror}).") from error
        except ValueError as error:
            raise BadOnnxModel(f"{path / CONFIG} is no JSON.") from error
        if not isinstance(said, dict):
            raise BadOnnxModel(f"{path / CONFIG} is no JSON object.")
        kind = said.get("model_type")
        numbers = {name: said[name] for name in _NUMBERS if isinstance(said.get(name), int) and said[name] > 0}
        return cls(path, OnnxConfig(kind if isinstance(kind, str) else None, **numbers))

    def quantizations(self) -> list[Quantization]:
        """The ones that the folder has files for."""
        files = {file.name for file in self.path.rglob("*.onnx")}
        found: list[Quantization] = []
        if any(name.endswith(_SUFFIXES["int8"]) for name in files):
            found.append("int8")
        if any(not name.endswith(_SUFFIXES["int8"]) for name in files):
            found.append("fp32")
        return found

    def file(self, name: str) -> Path:
        """A file of the folder. Raises BadOnnxModel where it is missing."""
        path = self.path / name
        if not path.is_file():
            raise BadOnnxModel(f"The model's file {name} is missing in {self.path}.")
        return path

    def network(self, name: str, quantization: Quantization) -> Path:
        """A network's file. Raises BadOnnxModel where it is missing."""
        return self.file(network_file(name, quantization))


_NUMBERS = ("features_size", "subsampling_factor", "max_tokens_per_step")
