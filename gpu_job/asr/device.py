"""Device: where the model runs, and in which precision."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import torch

SMALL_MODEL = 100_000_000
"""Parameters below which `auto` keeps fp32 on a CPU: there a small model gains a quarter by bf16, the full one more
than half, and only fp32 gives a chunk the same times whatever its batch."""


class Precision(StrEnum):
    """What the weights and activations are kept in. The mel spectrogram is always computed in fp32."""

    AUTO = "auto"
    """bf16 where the hardware multiplies it and the model is not small, fp32 elsewhere."""
    BF16 = "bf16"
    FP32 = "fp32"


@dataclass(frozen=True)
class Device:
    """Where the model runs and in which precision."""

    name: str
    dtype: torch.dtype

    @property
    def is_gpu(self) -> bool:
        """Whether work runs on streams beside the process."""
        return self.name == "cuda"

    @property
    def hardware(self) -> str:
        """What the sizes that fit are remembered for: the GPU's name and memory, or `cpu`."""
        if not self.is_gpu:
            return "cpu"
        card = torch.cuda.get_device_properties(0)
        return f"{card.name} {card.total_memory / 2**30:.0f} GiB"


def accelerator() -> str:
    """The GPU where there is one, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def best_device(
    precision: Precision = Precision.AUTO, parameters: int = SMALL_MODEL, name: str | None = None
) -> Device:
    """A device, else the accelerator, and the precision a model of so many parameters runs in there."""
    name = name or accelerator()
    if precision is Precision.AUTO:
        small_on_cpu = name == "cpu" and parameters < SMALL_MODEL
        precision = Precision.BF16 if multiplies_bf16(name) and not small_on_cpu else Precision.FP32
    return Device(name, torch.bfloat16 if precision is Precision.BF16 else torch.float32)


def multiplies_bf16(name: str) -> bool:
    """Whether the device has instructions for bf16 matrices, rather than converting every value to fp32 and back."""
    if name == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # The public get_capabilities is younger than the GPU image's torch 2.10. Processors with AMX have this, too.
    return torch.cpu._is_avx512_bf16_supported()
