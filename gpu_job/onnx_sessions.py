"""Sessions of ONNX Runtime on the CPU: the recognizer's, the speech detector's and the speakers'."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnxruntime

_SPINNING = "session.intra_op.allow_spinning"
_ERRORS_ONLY = 3


def open_session(network: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    """A network, ready to run on so many threads; with one it computes on the calling thread.

    Raises what ONNX Runtime does where the file is none: an error of its own for each stage of reading it.
    """
    # With the first network: half a second, and most commands need none.
    import onnxruntime

    return onnxruntime.InferenceSession(network, session_options(threads), providers=["CPUExecutionProvider"])


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """For a network that runs on so many threads, beside other work, on batches of many shapes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # Threads without work sleep: decoders and the speech detector want the cores, too.
    options.add_session_config_entry(_SPINNING, "0")
    # Every batch has its own shape: plans for memory would be made once for each and kept.
    options.enable_mem_pattern = False
    return options
