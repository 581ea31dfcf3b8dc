"""`dropscribe prepare-model`: a `.nemo` model as a directory that loads in a second."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from gpu_job.asr.nemo.model_files import BadModel, Precision


def prepare_model(source: str, target: Path, precision: Precision) -> int:
    """Write the directory and print its size and precision. Returns the exit status."""
    # NeMo takes seconds to import: not for `--help`.
    from gpu_job.asr.nemo.model_export import prepare

    console = Console(stderr=True)
    try:
        prepared = prepare(source, target, precision)
    except BadModel as error:
        console.print(error.reason, markup=False, highlight=False)
        return 1
    manifest = prepared.manifest
    size = sum(record.size for record in manifest.files.values())
    line = f"{manifest.source}: {manifest.parameters / 1e6:.1f} M parameters, {manifest.precision}, {size / 1e6:.1f} MB"
    console.print(f"{line}\nPARAKEET_MODEL_NAME={target}", markup=False, highlight=False, soft_wrap=True)
    return 0
