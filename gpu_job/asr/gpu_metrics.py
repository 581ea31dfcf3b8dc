"""The GPU's use and memory, read whenever metrics are exported."""

from __future__ import annotations

import logging
from typing import Protocol

from shared.telemetry.metrics import GPU_MEMORY_UTILIZATION, GPU_UTILIZATION

_log = logging.getLogger(__name__)


class Cuda(Protocol):
    """What is asked of torch.cuda."""

    def utilization(self) -> int:
        """Per cent. Raises where NVML (nvidia-ml-py) is not there."""

    def mem_get_info(self) -> tuple[int, int]:
        """Bytes that are free, and all."""


def watch_gpu(cuda: Cuda) -> None:
    """Have them observed from now on; without NVML the memory only."""

    def memory() -> float:
        free, whole = cuda.mem_get_info()
        return 1 - free / whole

    GPU_MEMORY_UTILIZATION.observe(memory)
    try:
        cuda.utilization()
    except Exception as error:
        # NVML's own exceptions are a class for each code; whatever it is, every later look would meet it again.
        _log.warning("the GPU's use cannot be read", extra={"fields": {"why": str(error)}})
    else:
        GPU_UTILIZATION.observe(lambda: cuda.utilization() / 100)
