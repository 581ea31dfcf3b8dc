"""`dropscribe prepare-model`: a `.nemo` model as a directory that loads in a second."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from rich.console import Console

from gpu_job.asr.nemo.model_files import BadModel, Precision, PreparedModel
from infra.cli.exit_codes import ExitCode
from infra.cli.tables import print_line
from infra.recordings import recording

_SPEECH = "podcast.mp3"
"""What exported networks must hear as NeMo does."""


def prepare_model(source: str, target: Path, precision: Precision) -> int:
    """Write the directory for NeMo and print its size and precision. Returns the exit status."""

    def prepared() -> PreparedModel:
        # NeMo takes seconds to import: not for `--help`.
        from gpu_job.asr.nemo.model_export import prepare

        return prepare(source, target, precision)

    return _report(source, target, prepared)


def prepare_onnx_model(source: str, target: Path, precision: Precision) -> int:
    """Write the folder for ONNX Runtime and print its size and precision. Returns the exit status."""

    def prepared() -> PreparedModel:
        from gpu_job.asr.nemo.onnx_export import prepare_onnx
        from gpu_job.audio.decode import decode

        speech = np.concatenate(list(decode(recording(_SPEECH).path)))
        return prepare_onnx(source, target, precision, speech)

    return _report(source, target, prepared)


def _report(source: str, target: Path, prepare: Callable[[], PreparedModel]) -> int:
    console = Console(stderr=True)
    if find_spec("nemo") is None:
        print_line(console, f"{source}: a model is prepared with NeMo: install dropscribe[gpu].")
        return ExitCode.NO_MODEL
    try:
        manifest = prepare().manifest
    except BadModel as error:
        print_line(console, error.reason)
        return 1
    size = sum(record.size for record in manifest.files.values())
    line = f"{manifest.source}: {manifest.parameters / 1e6:.1f} M parameters, {manifest.precision}, {size / 1e6:.1f} MB"
    print_line(console, line)
    print_line(console, f"PARAKEET_MODEL_NAME={target}")
    return 0
