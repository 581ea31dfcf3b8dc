"""Preparing a model: a `.nemo` archive -> the directory that `gpu_job/asr/nemo/model_loading.py` loads.

A `.nemo` file comes from outside: only plain files at its top are unpacked, and of its pickled weights only tensors.
"""

from __future__ import annotations

import logging
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import nemo
import torch
from nemo.collections.asr.models import ASRModel
from nemo.utils import logging as nemo_logging
from omegaconf import OmegaConf
from safetensors.torch import save_file

from gpu_job.asr.nemo.model_files import (
    CONFIG,
    MANIFEST,
    WEIGHTS,
    BadModel,
    FileRecord,
    Manifest,
    Precision,
    PreparedModel,
)
from gpu_job.asr.nemo.model_loading import ARTIFACT, build, mapped

CHECKPOINT = "model_weights.ckpt"
"""NeMo's name for the pickled weights in the archive."""

TRAINING = ("train_ds", "validation_ds", "test_ds", "optim", "spec_augment")
"""Parts of a configuration that only training reads; NeMo's constructor would build or complain about them."""


class Workplace(NamedTuple):
    """Where a model is prepared before it is renamed to its target."""

    archive: Path
    name: str
    """What the manifest calls the source: the file's name, or the published name."""
    scratch: Path
    made: Path
    """An empty folder for the result."""


@contextmanager
def prepared_beside(source: str, target: Path, verb: str) -> Iterator[Workplace]:
    """A workplace on the target's disk; what was made in it becomes `target`, or nothing is left. Raises BadModel.

    `verb`: what could not be done to the model where something fails, such as "prepared".
    """
    nemo_logging.setLevel(logging.ERROR)
    if target.exists():
        raise BadModel(f"{target} exists already.")
    archive = archive_of(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Beside the target, so that the last step is a rename: a run that is killed leaves no half of a model.
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as folder:
            made = Path(folder) / "prepared"
            made.mkdir()
            yield Workplace(archive, archive.stem if archive == Path(source) else source, Path(folder), made)
            made.rename(target)
    except BadModel:
        raise
    except Exception as error:
        # torch, NeMo, safetensors, ONNX and the disk each raise their own; all mean that there is no model.
        raise BadModel(f"{archive.name} could not be {verb} ({type(error).__name__}: {error}).") from error


def prepare(source: str, target: Path, precision: Precision) -> PreparedModel:
    """Turn a `.nemo` file or a published model into the directory `target`, or leave nothing. Raises BadModel.

    Needs the unpacked archive and the result on the target's disk for a while: 3.8 GB for 0.6 B parameters in bf16.
    """
    if precision is Precision.INT8:
        raise BadModel("A model for NeMo is prepared in bf16 or fp32; int8 is for ONNX networks.")
    with prepared_beside(source, target, "prepared") as place:
        unpacked = place.scratch / "unpacked"
        unpack(place.archive, unpacked)
        _write(unpacked, place.made, place.name, precision)
    return PreparedModel.open(target)


def archive_of(source: str) -> Path:
    """The `.nemo` file that is meant, fetched where it is a published name. Raises BadModel."""
    path = Path(source)
    if path.suffix == ".nemo" or path.exists():
        return path
    try:
        fetched = Path(ASRModel.from_pretrained(source, return_model_file=True))
    except Exception as error:
        # Hugging Face and NGC raise many things; all mean that nothing was fetched.
        raise BadModel(f"{source} is no file, and was not found as a published model ({error}).") from error
    if fetched.is_dir():
        raise BadModel(f"{source} is published as single files; only .nemo archives can be prepared.")
    return fetched


def unpack(archive: Path, folder: Path) -> None:
    """Write the archive's files into the new `folder`. Raises BadModel for anything but plain files at its top."""
    if not archive.is_file():
        raise BadModel(f"There is no file {archive}.")
    try:
        with tarfile.open(archive) as tar:
            members = _members(tar, archive.name)
            folder.mkdir()
            # The weights once as they come, and once more at most as they are kept.
            needed, free = 2 * sum(member.size for member in members), shutil.disk_usage(folder).free
            if needed > free:
                raise BadModel(f"Preparing takes {needed / 1e9:.1f} GB of disk; {free / 1e9:.1f} GB are free.")
            tar.extractall(folder, members, filter="data")
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise BadModel(f"{archive.name} is no whole .nemo file ({error}).") from error


def _members(tar: tarfile.TarFile, name: str) -> list[tarfile.TarInfo]:
    """Every member but the folder that holds them. Raises BadModel unless they are a model's."""
    members = [member for member in tar.getmembers() if not (member.isdir() and member.name == ".")]
    for member in members:
        path = PurePosixPath(member.name)
        if not member.isreg() or path.name != str(path):
            raise BadModel(f"{name} holds {member.name!r}, which has no place in a .nemo file.")
    if missing := {CONFIG, CHECKPOINT} - {PurePosixPath(member.name).name for member in members}:
        raise BadModel(f"{name} is no .nemo file: it lacks {' and '.join(sorted(missing))}.")
    return members


def _write(unpacked: Path, made: Path, source: str, precision: Precision) -> None:
    """Write every file of the prepared model; the manifest last, for files that have been loaded once."""
    config = for_inference(OmegaConf.to_container(OmegaConf.load(unpacked / CONFIG)))
    for name in _artifacts(config):
        shutil.copyfile(unpacked / name, made / name)
    OmegaConf.save(OmegaConf.create(config), made / CONFIG)
    weights = torch.load(unpacked / CHECKPOINT, map_location="cpu", mmap=True, weights_only=True)
    save_file(converted(weights, precision), made / WEIGHTS)
    manifest = Manifest(
        source=source,
        precision=precision,
        parameters=sum(parameter.numel() for parameter in build(made, "cpu").parameters()),
        nemo_version=nemo.__version__,
        files={path.name: FileRecord.of(path) for path in sorted(made.iterdir())},
    )
    (made / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
    for path in made.iterdir():
        # safetensors writes for the owner alone; who prepares a model is seldom who runs the job.
        path.chmod(0o644)


def for_inference(config: Any) -> dict[str, Any]:
    """A model's configuration without what only training reads, and without copies of the tokenizer's vocabulary."""
    if not isinstance(config, dict):
        raise BadModel(f"{CONFIG} is no configuration.")
    kept = {key: value for key, value in config.items() if key not in TRAINING}
    if "tokenizer" in kept:
        kept.pop("labels", None)
        # A folder on the machine of whoever trained the model.
        kept["tokenizer"] = {**kept["tokenizer"], "dir": None}
    return kept


def converted(weights: Mapping[str, torch.Tensor], precision: Precision) -> dict[str, torch.Tensor]:
    """The weights in this precision; whole numbers and the mel front end, which computes in fp32, as they are."""
    if precision is Precision.FP32:
        return dict(weights)
    return {
        name: tensor.to(torch.bfloat16)
        if tensor.is_floating_point() and not name.startswith("preprocessor.")
        else tensor
        for name, tensor in weights.items()
    }


def _artifacts(config: dict[str, Any]) -> list[str]:
    """Names of the files that the configuration refers to. Raises BadModel for one that leads elsewhere."""
    names: list[str] = []

    def note(text: str) -> str:
        if text.startswith(ARTIFACT):
            names.append(text.removeprefix(ARTIFACT))
        return text

    mapped(config, note)
    for name in names:
        if PurePosixPath(name).name != name:
            raise BadModel(f"{CONFIG} refers to {name!r}, which is no file of the archive.")
    return names
