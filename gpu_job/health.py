"""`python -m gpu_job.health`: whether this image can transcribe here, as one line of JSON. Needs no deployment.

The exit status is 1 where it cannot, and the line says why. `--load` also loads the model and transcribes a tone.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from gpu_job.asr.hub.names import Quantization, hub_model
from gpu_job.asr.nemo.model_files import MANIFEST, BadModel, PreparedModel
from gpu_job.asr.onnx.model_folder import OnnxFolder, is_onnx_folder
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from gpu_job.settings import JobSettings
from shared.errors import DropscribeError, EngineFailed, FailureKind

_SHA256 = re.compile("[0-9a-f]{64}")

TONE_HZ = 440.0
TONE_LEVEL = 0.1
"""Of full scale."""


class GpuReport(BaseModel):
    """The accelerator, as torch and the driver describe it."""

    name: str
    memory_total_bytes: int
    memory_free_bytes: int
    driver: str | None
    """The kernel module's version, where the kernel says it."""
    driver_cuda: str
    """The newest CUDA the driver knows; torch's may be newer within the same major version."""


class ModelReport(BaseModel):
    """The model that the settings name."""

    name: str
    source: str | None = None
    """What transcripts call it. This and the rest is known of prepared and of published models only."""
    revision: str | None = None
    """Commit of the published repository that it came from."""
    archive_sha256: str | None = None
    """Of the `.nemo` file that it was prepared from."""
    networks_sha256: dict[str, str] | None = None
    """Of the ONNX files of a published model in the hub's cache, by their names."""
    parameters: int | None = None
    precision: str | None = None
    """Of the weights on disk."""
    checksum_ok: bool | None = None


class LoadReport(BaseModel):
    """What `--load` found."""

    device: str
    precision: str
    """Of the computation."""
    load_seconds: float
    transcribe_seconds: float
    """For one second of sound, the first that this process transcribes."""
    tokens: int


class HealthReport(BaseModel):
    """The line that is printed. What was not reached before the failure is null."""

    healthy: bool = False
    reason: str | None = None
    release: str | None = None
    """The image's, and below what it was built on, with its digest; null outside of an image."""
    base: str | None = None
    onnxruntime: str | None = None
    """Where the model is one for ONNX Runtime; torch is not looked at then."""
    torch: str | None = None
    torch_cuda: str | None = None
    """CUDA that torch was built for; null for a CPU build."""
    gpu: GpuReport | None = None
    model: ModelReport
    loaded: LoadReport | None = None


def examine(model: str, gpu: str, precision: str, *, load: bool) -> HealthReport:
    """Look at library, GPU (unless `gpu` is `none`), the model's files, and with `load` the model. Never raises."""
    report = HealthReport(
        model=ModelReport(name=model),
        release=os.environ.get("DROPSCRIBE_RELEASE"),
        base=os.environ.get("DROPSCRIBE_BASE"),
    )
    try:
        _fill(report, gpu, precision, load=load)
    except DropscribeError as error:
        report.reason = error.reason
    except Exception as error:
        # A library that does not load, a driver that is too old: each raises its own, and each is an answer.
        report.reason = f"{type(error).__name__}: {error}"
    else:
        report.healthy = True
    return report


def _fill(report: HealthReport, gpu: str, precision: str, *, load: bool) -> None:
    """Fill the report in, step by step. Raises at the first that fails."""
    _check_files(report.model, "fp32" if precision == "fp32" else "int8")
    if gpu == "none" and _is_onnx(report.model.name):
        report.onnxruntime = version("onnxruntime")
        if load:
            report.loaded = _load_onnx(report.model, precision)
        return
    report.torch = version("torch")
    import torch

    report.torch_cuda = torch.version.cuda
    if gpu != "none":
        report.gpu = _gpu(gpu)
    if load:
        report.loaded = _load(report.model.name, "cpu" if gpu == "none" else "cuda", precision)


def _is_onnx(name: str) -> bool:
    """Whether the model runs on ONNX Runtime: a folder with its networks, or a published model, which has them."""
    path = Path(name)
    return is_onnx_folder(path) or (not path.exists() and hub_model(name) is not None)


def _check_files(model: ModelReport, quantization: Quantization) -> None:
    path = Path(model.name)
    if is_onnx_folder(path) and not (path / MANIFEST).is_file():
        model.source, model.precision = path.name, OnnxFolder.open(path).quantizations()[0]
    elif path.is_dir():
        prepared = PreparedModel.open(path)
        manifest = prepared.manifest
        model.source, model.parameters, model.precision = manifest.source, manifest.parameters, manifest.precision.value
        model.revision, model.archive_sha256 = manifest.revision, manifest.archive_sha256
        model.checksum_ok = False
        prepared.check()
        model.checksum_ok = True
    elif path.suffix == ".nemo" and not path.is_file():
        raise BadModel(f"There is no file {path}.")
    elif path.is_absolute() and not path.exists():
        raise BadModel(f"There is no model {path}.")
    elif not path.exists() and (published := hub_model(model.name)) is not None:
        from gpu_job.asr.hub.fetch import cached_model

        model.source = published.repository
        if (folder := cached_model(published, quantization)) is not None:
            # The cache's layout is the hub's: folders are named by their commit, large files by their hash.
            files = {path.name: path.resolve().name for path in sorted(folder.rglob("*.onnx*"))}
            model.revision, model.precision = folder.name, quantization
            model.networks_sha256 = {name: blob for name, blob in files.items() if _SHA256.fullmatch(blob)}


def _gpu(wanted: str) -> GpuReport:
    """Raises EngineFailed, with torch's own reason, where torch has no GPU."""
    import torch

    if not torch.cuda.is_available():
        raise EngineFailed(f"JOB_GPU is {wanted}, but {_why_no_gpu()}", FailureKind.MODEL_LOAD)
    from cuda.bindings import driver

    card = torch.cuda.get_device_properties(0)
    free, total = torch.cuda.mem_get_info()
    _, number = driver.cuDriverGetVersion()
    return GpuReport(
        name=card.name,
        memory_total_bytes=total,
        memory_free_bytes=free,
        driver=kernel_driver(Path("/proc/driver/nvidia/version")),
        driver_cuda=f"{number // 1000}.{number % 1000 // 10}",
    )


def _why_no_gpu() -> str:
    import torch

    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]  # Untyped in torch.
    except (RuntimeError, AssertionError) as error:
        # An AssertionError is what a CPU build raises.
        return str(error).partition("\n")[0]
    return "torch finds none."


def kernel_driver(file: Path) -> str | None:
    """The version in the kernel module's own description."""
    try:
        found = re.search(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s", file.read_text())
    except OSError:
        return None
    return found[1] if found else None


def _load(name: str, where: str, precision: str) -> LoadReport:
    from gpu_job.asr.device import Precision
    from gpu_job.asr.nemo.parakeet import Parakeet, ParakeetLimits

    began = time.monotonic()
    limits = ParakeetLimits(max_chunks=1, gpu_audio_seconds=30.0, cpu_audio_seconds=30.0)
    model = Parakeet.load(name, limits, where=where, precision=Precision(precision))
    loaded = time.monotonic()
    (tokens,) = model.transcribe([tone()])
    return LoadReport(
        device=model.hardware,
        precision=str(model.device.dtype).removeprefix("torch."),
        load_seconds=round(loaded - began, 3),
        transcribe_seconds=round(time.monotonic() - loaded, 3),
        tokens=len(tokens),
    )


def _load_onnx(model: ModelReport, precision: str) -> LoadReport:
    from gpu_job.asr.load_recognizer import RecognizerOptions, load_recognizer
    from shared.enums import Engine

    began = time.monotonic()
    options = RecognizerOptions(precision=precision)  # type: ignore[arg-type]  # settings vouch for it
    recognizer = load_recognizer(model.name, Engine.PARAKEET_CPU, options)
    loaded = time.monotonic()
    (tokens,) = recognizer.finish(recognizer.run(recognizer.prepare([tone()])))
    return LoadReport(
        device=recognizer.hardware,
        precision=model.precision if precision == "auto" and model.precision else precision,
        load_seconds=round(loaded - began, 3),
        transcribe_seconds=round(time.monotonic() - loaded, 3),
        tokens=len(tokens),
    )


def tone(seconds: float = 1.0) -> Samples:
    """A steady tone, made without a file."""
    times = np.arange(int(seconds * SAMPLE_RATE), dtype=np.float32) / SAMPLE_RATE
    return (TONE_LEVEL * np.sin(2 * np.pi * TONE_HZ * times)).astype(np.float32)


def configured(name: str) -> Any:
    """One setting of the job, from the environment; the others, which a deployment must give, are not asked for."""
    return os.environ.get(name.upper()) or JobSettings.model_fields[name].default


def main() -> int:
    """Print the report; the exit status says whether it is healthy."""
    parser = argparse.ArgumentParser(prog="python -m gpu_job.health", description=__doc__)
    parser.add_argument("--load", action="store_true", help="load the model and transcribe a second of sound")
    load: bool = parser.parse_args().load
    # Libraries that write to the standard output must not break the line.
    with redirect_stdout(sys.stderr):
        report = examine(
            configured("parakeet_model_name"), configured("job_gpu"), configured("model_precision"), load=load
        )
    sys.stdout.write(report.model_dump_json() + "\n")
    return 0 if report.healthy else 1


if __name__ == "__main__":
    sys.exit(main())
