"""Each decoder is a process of its own, up to five for one file: it imports PyAV and little else."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("requests", "grpc", "google.api_core", "numpy", "pydantic", "opentelemetry", "onnxruntime", "torch")
"""The first three alone cost 0.25 s of CPU."""


def test_the_decoder_imports_no_library_that_is_slow_to_import() -> None:
    code = "import gpu_job.audio.decoder.reading, sys; print(*sys.modules)"
    imported = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()

    assert "av" in imported
    assert set(HEAVY).isdisjoint(imported)
