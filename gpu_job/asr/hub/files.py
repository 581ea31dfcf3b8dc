"""Which files of a repository a model consists of: asked of onnx-asr itself, which finds them in a folder by name."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from gpu_job.asr.hub.errors import FetchFailed
from gpu_job.asr.hub.names import HubModel, Quantization

CONFIG = "config.json"
_KINDS = frozenset({".onnx", ".ort", ".json", ".txt", ".yaml"})
"""Endings that onnx-asr looks for; a repository has more."""


def model_files(folder: Path, model: HubModel, quantization: Quantization) -> list[Path]:
    """The files in `folder` that the model is loaded from. Raises FetchFailed where one is missing."""
    from onnx_asr.loader import create_asr_resolver

    try:
        resolver = create_asr_resolver(model.onnx_asr_name, folder, offline=True)
        # onnx-asr's word for fp32 is none.
        return list(resolver.resolve_model(quantization=None if quantization == "fp32" else quantization).values())
    except (OSError, ValueError, TypeError) as error:
        raise FetchFailed(
            f"{model.repository} has no {quantization} ONNX model that onnx-asr can read ({error})."
        ) from error


def names_to_fetch(
    offered: Collection[str], config: bytes | None, model: HubModel, quantization: Quantization
) -> list[str]:
    """The names among `offered` to fetch, in that order: weights before the graph that refers to them.

    So a graph that is there has its weights, and a folder with every graph is whole.
    `config`: the content of config.json, which says what kind of model it is. Raises FetchFailed.
    """
    with TemporaryDirectory(prefix="dropscribe-") as scratch:
        folder = Path(scratch)
        for name in filter(_is_plain, offered):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        if config is not None:
            (folder / CONFIG).write_bytes(config)
        found = [path.relative_to(folder).as_posix() for path in model_files(folder, model, quantization)]
    graphs = [name for name in found if name.endswith(".onnx")]
    weights = [name for graph in graphs for name in weights_of(graph, offered)]
    return list(dict.fromkeys([*(name for name in found if name not in graphs), *weights, *graphs]))


def weights_of(graph: str, offered: Collection[str]) -> list[str]:
    """Files beside an ONNX graph that hold its weights, as onnx-asr's repositories name them."""
    return [name for name in (f"{graph}.data", f"{graph}_data") if name in offered]


def _is_plain(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix in _KINDS and not path.is_absolute() and ".." not in path.parts
