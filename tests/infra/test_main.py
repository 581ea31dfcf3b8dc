"""The command's front: what `--help` and `--version` load, and the words that options take."""

from __future__ import annotations

import subprocess
import sys

from gpu_job.asr.nemo.model_files import Precision
from infra.cli.main import MethodChoice, PrecisionChoice
from shared.enums import Method


def test_options_take_what_the_product_knows() -> None:
    assert [*PrecisionChoice] == [*Precision]
    assert set(MethodChoice) == {"auto", *Method}


def test_help_and_version_load_no_library_that_takes_long() -> None:
    heavy = (
        "torch",
        "nemo",
        "onnxruntime",
        "numpy",
        "av",
        "google.auth",
        "google.api_core",
        "requests",
        "pydantic",
        "grpc",
        "gpu_job",
    )
    program = f"import sys, infra.cli.main; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
