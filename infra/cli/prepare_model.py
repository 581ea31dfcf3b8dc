"""`dropscribe prepare-model`: a `.nemo` model as a directory that loads in a second."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from gpu_job.asr.nemo.model_files import BadModel, Precision
from infra.cli.exit_codes import ExitCode
from infra.cli.tables import print_line


def prepare_model(source: str, target: Path, precision: Precision) -> int:
    """Write the directory and print its size and precision. Returns the exit status."""
    console = Console(stderr=True)
    if find_spec("nemo") is None:
        print_line(console, f"{source}: a model is prepared with NeMo: install dropscribe[gpu].")
        return ExitCode.NO_MODEL
    # NeMo takes seconds to import: not for `--help`.
    from gpu_job.asr.nemo.model_export import prepare

    try:
        prepared = prepare(source, target, precision)
    except BadModel as error:
        print_line(console, error.reason)
        return 1
    manifest = prepared.manifest
    size = sum(record.size for record in manifest.files.values())
    line = f"{manifest.source}: {manifest.parameters / 1e6:.1f} M parameters, {manifest.precision}, {size / 1e6:.1f} MB"
    print_line(console, line)
    print_line(console, f"PARAKEET_MODEL_NAME={target}")
    return 0
