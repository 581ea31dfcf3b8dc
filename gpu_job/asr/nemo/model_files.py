"""A prepared model: a directory with configuration, tokenizer and weights, and a manifest that vouches for them.

`dropscribe prepare-model` writes it, `gpu_job/asr/nemo/model_loading.py` loads it. Nothing here needs torch or NeMo.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

import google_crc32c
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import EngineFailed, FailureKind

MANIFEST = "manifest.json"
CONFIG = "model_config.yaml"
WEIGHTS = "model.safetensors"

_BLOCK = 2**20
"""Bytes read at a time: a check must not raise the peak of memory."""


class BadModel(EngineFailed):
    """The files are no model, or not the ones that were prepared."""

    kind = FailureKind.MODEL_LOAD


class Precision(StrEnum):
    """The type of the weights on disk. The mel filterbank stays in fp32 either way, as it computes."""

    BF16 = "bf16"
    """For NeMo."""
    FP32 = "fp32"
    INT8 = "int8"
    """For ONNX Runtime, of matrices only."""


class FileRecord(BaseModel):
    """A file as it was written."""

    model_config = ConfigDict(frozen=True)

    size: int
    """Bytes."""
    sha256: str
    """Says which weights these are, to anyone, for ever."""
    crc32c: str
    """Finds a damaged file at every load, at the speed of reading it; sha256 takes 3 s on CPUs without SHA-NI."""

    @classmethod
    def of(cls, path: Path) -> FileRecord:
        """Read the file once."""
        size, sha256, crc = 0, hashlib.sha256(), 0
        for block in _blocks(path):
            size += len(block)
            sha256.update(block)
            crc = google_crc32c.extend(crc, block)
        return cls(size=size, sha256=sha256.hexdigest(), crc32c=f"{crc:08x}")


class Manifest(BaseModel):
    """What a prepared directory holds."""

    model_config = ConfigDict(frozen=True)

    format: Literal[1] = 1
    source: str
    """The published name, or the `.nemo` file's name without its ending: what transcripts call the model."""
    revision: str | None = None
    """Commit of the published repository; None where it came from a file."""
    archive_sha256: str | None = None
    """Of the `.nemo` file that it was prepared from, where that was recorded."""
    precision: Precision
    parameters: int
    nemo_version: str
    """Of the NeMo that prepared it, and loaded it once to see that it can."""
    files: dict[str, FileRecord]
    """Every file but this one."""


@dataclass(frozen=True)
class PreparedModel:
    """A directory whose manifest has been read."""

    directory: Path
    manifest: Manifest

    @classmethod
    def open(cls, directory: Path) -> PreparedModel:
        """Read the manifest. Raises BadModel where there is none that this version understands."""
        try:
            manifest = Manifest.model_validate_json((directory / MANIFEST).read_bytes())
        except FileNotFoundError:
            raise BadModel(f"{directory} is no prepared model: it has no {MANIFEST}.") from None
        except ValidationError as error:
            raise BadModel(f"{directory / MANIFEST} cannot be read ({error.error_count()} faults).") from error
        return cls(directory, manifest)

    @property
    def config(self) -> Path:
        """NeMo's configuration of the model."""
        return self.directory / CONFIG

    @property
    def weights(self) -> Path:
        """Every parameter and buffer."""
        return self.directory / WEIGHTS

    def check(self) -> None:
        """Raise BadModel unless every file is there, of its size and with its bytes. 1.2 GB take 0.3 s from memory."""
        for name, record in self.manifest.files.items():
            path = self.directory / name
            if not path.is_file():
                raise BadModel(f"The model's file {name} is missing.")
            if (size := path.stat().st_size) != record.size:
                raise BadModel(f"The model's file {name} has {size} bytes instead of {record.size}.")
            if _crc32c(path) != record.crc32c:
                raise BadModel(f"The model's file {name} is damaged: its checksum is not the manifest's.")


def _crc32c(path: Path) -> str:
    crc = 0
    for block in _blocks(path):
        crc = google_crc32c.extend(crc, block)
    return f"{crc:08x}"


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            yield block
