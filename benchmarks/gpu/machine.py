"""What the machine is, and whether the engine runs there at all."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import torch

from benchmarks.gpu.subject import Part, Subject, figure
from benchmarks.report import Measurement, machine
from gpu_job.asr.nemo.parakeet import Parakeet, ParakeetLimits
from infra.tiny_parakeet import MODEL_PATH

PACKAGES = ("torch", "nemo-toolkit", "numpy", "cuda-bindings", "cuda-python", "nvidia-ml-py", "transformers", "triton")


def look(subject: Subject) -> Iterator[Part]:
    """Versions, the card, and the tiny model's first batches."""
    yield Part("machine", lambda: [figure("cores", len(os.sched_getaffinity(0)), "", machine())])
    yield Part("versions", lambda: [figure("torch", _torch(), "", _versions())])
    if subject.device.is_gpu:
        yield Part("card", _card)
    yield Part("first batch", lambda: _first_batch(subject))


def _torch() -> float:
    """2.13 of 2.13.0+cu130."""
    return float(".".join(torch.__version__.split(".")[:2]))


def _versions() -> str:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)


def _card() -> Iterator[Measurement]:
    free, whole = torch.cuda.mem_get_info()
    kernels = [name for name in ("flash", "mem_efficient", "math", "cudnn") if _has_attention(name)]
    detail = f"{torch.cuda.get_device_name(0)}, CUDA {torch.version.cuda}, cuDNN {_cudnn()}"
    yield figure("memory", whole / 2**30, "GiB", f"{detail}; {free / 2**30:.1f} GiB free; attention: {kernels}")
    yield figure("utilization as NVML tells it", torch.cuda.utilization(), "%", "for gpu_job/asr/gpu_metrics.py")
    from nemo.core.utils.cuda_python_utils import check_cuda_python_cuda_graphs_conditional_nodes_supported

    try:
        check_cuda_python_cuda_graphs_conditional_nodes_supported()
        reason = "whole graphs can be captured"
    except (ImportError, OSError) as error:
        reason = str(error)
    holds = reason.startswith("whole")
    yield Measurement("gpu: conditional nodes of CUDA graphs", float(holds), "", reason, "1", holds)


def _cudnn() -> str:
    found: object = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]  # Untyped in torch.
    return str(found)


def _has_attention(name: str) -> bool:
    return bool(getattr(torch.backends.cuda, f"{name}_sdp_enabled")())


def _first_batch(subject: Subject) -> Iterator[Measurement]:
    began = time.perf_counter()
    engine = Parakeet.load(str(MODEL_PATH), ParakeetLimits(16, 640, 80), subject.device)
    yield figure("tiny model: load", time.perf_counter() - began, "s", str(engine.device.dtype))
    (sound,) = subject.sounds(5, 1)
    first, second = (subject.once(lambda: engine.transcribe([sound])) for _ in range(2))
    yield figure("tiny model: first batch", first, "s", f"second {second:.4f} s; decoder {engine.decoder.mode}")
