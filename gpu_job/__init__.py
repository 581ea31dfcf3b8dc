"""dropscribe's transcription: `from gpu_job import transcribe`, and the Cloud Run job around it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpu_job.pipeline import transcribe

__all__ = ["BEGAN", "transcribe"]

BEGAN = time.monotonic()
"""When this process began, before the imports: they are billed too."""


def __getattr__(name: str) -> Any:
    """`transcribe`, imported when it is first used: other modules of the package must stay light."""
    if name == "transcribe":
        from gpu_job.pipeline import transcribe

        return transcribe
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
