"""Sessions of ONNX Runtime on the CPU."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from gpu_job.asr.onnx.model_folder import BadOnnxModel

_SPINNING = "session.intra_op.allow_spinning"
_ERRORS_ONLY = 3


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """A network, ready to run on so many threads. Raises BadOnnxModel."""
    try:
        return onnxruntime.InferenceSession(path, session_options(threads), providers=["CPUExecutionProvider"])
    except Exception as error:
        # ONNX Runtime has an error for each stage of reading a file, all its own.
        raise BadOnnxModel(f"{path} cannot be loaded ({type(error).__name__}: {error}).") from error


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """For a network that runs on so many threads, beside other work, on batches of many shapes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # Threads without work sleep: decoders and the speech detector want the cores, too.
    options.add_session_config_entry(_SPINNING, "0")
    # Every batch has its own shape: plans for memory would be made once for each and kept.
    options.enable_mem_pattern = False
    return options
