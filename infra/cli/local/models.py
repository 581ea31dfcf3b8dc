"""Which model a command on this machine transcribes with: the published one, fetched once, unless told otherwise."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from gpu_job.asr.hub.names import PUBLISHED_MODEL, Quantization, hub_model
from gpu_job.asr.onnx.model_folder import is_onnx_folder
from infra.cli.errors import CommandError
from infra.cli.exit_codes import ExitCode
from infra.cli.progress.fetch import FetchProgress
from infra.tiny_parakeet import ONNX_PATH

TINY = "tiny"
"""The name of the built-in model: what the demo is for, and nothing else."""


def chosen_model(asked: str | None, console: Console) -> str:
    """What `--model` says -> what the job is given: a path, or a name that it finds in the hub's cache.

    Progress goes to `console`. Raises CommandError where there is no such file, and ModelNotFetched.
    """
    if asked == TINY:
        return str(ONNX_PATH)
    name = asked or PUBLISHED_MODEL
    # A relative path is relative to the caller; the job runs in another directory.
    if (path := Path(name)).exists():
        if not is_onnx_folder(path) and find_spec("nemo") is None:
            raise CommandError(
                f"{name} takes NeMo: install dropscribe[gpu], or give a folder with ONNX networks.", ExitCode.NO_MODEL
            )
        return str(path.resolve())
    if hub_model(name) is not None:
        _fetch(name, console)
    elif not name.startswith("nvidia/") or find_spec("nemo") is None:
        raise CommandError(
            f"{name}: there is no such file or folder, and no published model of this name. --model {TINY} takes the"
            " built-in model, which knows 145 words.",
            ExitCode.NO_MODEL,
        )
    return name


def _fetch(name: str, console: Console) -> None:
    """Have a published model in the hub's cache."""
    from gpu_job.asr.hub.fetch import fetch_model

    with FetchProgress(console) as progress:
        # As the job will load it, whose environment is this one's.
        quantization: Quantization = "fp32" if os.environ.get("MODEL_PRECISION") == "fp32" else "int8"
        fetch_model(name, quantization=quantization, listener=progress)
