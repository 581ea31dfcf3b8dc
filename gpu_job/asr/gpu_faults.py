"""GPU faults: what the errors of torch and NeMo mean for the engine, and what must be let go before it can go on.

What follows: `gpu_job/engines/chain.py: engine_failed`, then `gpu_job/worker/attempt_end.py`; exit status 75.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from shared.errors import EngineFailed, FailureKind

NO_MEMORY = 2
"""cudaErrorMemoryAllocation: of memory that torch's allocator does not hand out, such as pinned pages and graphs."""

NO_MEMORY_WORDS = (
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDA_ERROR_OUT_OF_MEMORY",
    "cudaErrorMemoryAllocation",
)
"""In the text of errors that have no code: of libraries, and of NeMo's own calls."""

NEMO_CUDA_ERROR = "NeMoCUDAPythonException"
"""Known by its name: NeMo need not be there."""

awaited: dict[int, object] = {}
"""By their ids: what `hold` was given."""


def hold(copies: object) -> None:
    """Keep something whose pinned memory the GPU still writes to, until `let_go`.

    Memory that a stream uses is freed by recording an event there. Where CUDA is lost that fails, in a destructor, and
    the process is aborted instead of leaving as it should (docs/decisions/051).
    """
    awaited[id(copies)] = copies


def let_go(copies: object) -> None:
    """The GPU has written it. Where CUDA is lost this is never called."""
    awaited.pop(id(copies), None)


@contextmanager
def inference() -> Iterator[None]:
    """No gradients. Raises EngineFailed where memory does not suffice, which is then free again, or CUDA is lost."""
    try:
        with torch.inference_mode():
            yield
    except Exception as error:
        # The frames of the model's modules hold the batch's activations for as long as somebody holds the error, and
        # that is while the halves of the batch run.
        traceback.clear_frames(error.__traceback__)
        failure = failure_of(error)
        if failure is None:
            raise
        if failure.kind is FailureKind.OUT_OF_MEMORY:
            torch.cuda.empty_cache()
        raise failure from error


def failure_of(error: Exception) -> EngineFailed | None:
    """What an error says of the GPU; None where it may be the batch's fault.

    torch's own errors, those of cuDNN and cuBLAS, which torch raises as RuntimeError, and NeMo's of the CUDA calls that
    it makes by itself for its graphs, which are of no class of torch's.
    """
    is_nemos = any(kind.__name__ == NEMO_CUDA_ERROR for kind in type(error).__mro__)
    if isinstance(error, torch.OutOfMemoryError) or getattr(error, "error_code", None) == NO_MEMORY:
        return _out_of_memory()
    if (is_nemos or isinstance(error, RuntimeError)) and any(word in str(error) for word in NO_MEMORY_WORDS):
        return _out_of_memory()
    if (is_nemos or isinstance(error, RuntimeError)) and not cuda_answers():
        return EngineFailed("The GPU failed; only another process can use it.", FailureKind.GPU_LOST)
    cause = error.__cause__
    return failure_of(cause) if isinstance(cause, Exception) else None


def _out_of_memory() -> EngineFailed:
    return EngineFailed("The GPU's memory is too small for the batch.", FailureKind.OUT_OF_MEMORY)


def cuda_answers() -> bool:
    """Whether CUDA still takes calls, where it was used: after a fault in a kernel it refuses all of them for good."""
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # Untyped in torch.
        return True
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return False
    return True
