"""Loading a model. A prepared one is built without random numbers, its weights mapped from the file to the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nemo.collections.asr.models import ASRModel
from omegaconf import OmegaConf
from safetensors.torch import load_file
from torch.overrides import TorchFunctionMode

from gpu_job.asr.nemo.model_files import CONFIG, WEIGHTS, PreparedModel

ARTIFACT = "nemo:"
"""How a configuration marks the name of a file that stands beside it."""


class _WithoutInitialisation(TorchFunctionMode):
    """Leaves new parameters as allocated: pages nobody writes take neither time nor memory, and are soon replaced."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return (kwargs or {}).get("tensor", args[0] if args else None)
        return func(*args, **(kwargs or {}))


def load(name: str, device: str) -> tuple[Any, str]:
    """NeMo's model that a setting names, and what transcripts call it. Raises BadModel, or what NeMo raises.

    A prepared directory comes to the device in the precision of its files. A `.nemo` file or a published name comes to
    the CPU as NeMo restores it, which takes 20 to 40 times as long.
    """
    path = Path(name)
    if path.is_dir():
        prepared = PreparedModel.open(path)
        prepared.check()
        return build(prepared.directory, device), prepared.manifest.source
    if path.suffix == ".nemo":
        return ASRModel.restore_from(name, map_location="cpu"), path.stem
    return ASRModel.from_pretrained(name, map_location="cpu"), name


def build(directory: Path, device: str) -> Any:
    """The model of a directory, without the manifest's word for it.

    On a CPU the weights stay mapped: the kernel reads them when they are used, and once for all processes.
    """
    config = OmegaConf.to_container(OmegaConf.load(directory / CONFIG))
    with _WithoutInitialisation():
        model = ASRModel.from_config_dict(OmegaConf.create(_with_paths(config, directory.absolute())))
    # Strict: a parameter that the file does not hold would stay as it was allocated.
    model.load_state_dict(load_file(directory / WEIGHTS, device=device), strict=True, assign=True)
    return model.to(device)


def _with_paths(config: Any, directory: Path) -> Any:
    """The configuration with paths for names, so that NeMo's process-wide folder of a `.nemo` file is not needed."""

    def path(text: str) -> str:
        return str(directory / text.removeprefix(ARTIFACT)) if text.startswith(ARTIFACT) else text

    return mapped(config, path)


def mapped(node: Any, text: Callable[[str], str]) -> Any:
    """The containers of a configuration with every string passed through `text`."""
    match node:
        case str():
            return text(node)
        case dict():
            return {key: mapped(value, text) for key, value in node.items()}
        case list():
            return [mapped(value, text) for value in node]
        case _:
            return node
