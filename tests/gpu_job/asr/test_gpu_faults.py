"""GPU faults: memory is free before a smaller batch is tried, and a GPU that is lost costs no upload its words."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from queue import Queue
from typing import Any

import numpy as np
import pytest
import torch

from gpu_job.asr.gpu_faults import NO_MEMORY, cuda_answers, failure_of, inference
from gpu_job.asr.nemo.parakeet import Parakeet, ParakeetLimits
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.listener import EngineListener
from gpu_job.engines.local import LocalEngine
from gpu_job.engines.task import Task
from infra.tiny_parakeet import MODEL_PATH
from shared.enums import Engine
from shared.errors import EngineFailed, FailureKind
from tests.support.fake_recognizer import FakeRecognizer
from tests.support.sounds import noise
from tests.support.waiting import PATIENCE

LAUNCH_FAILURE = 719
"""cudaErrorLaunchFailure: the context of the process is of no more use."""


def cuda_error(code: int) -> torch.AcceleratorError:
    error = torch.AcceleratorError("CUDA error")
    error.error_code = code  # type: ignore[attr-defined]  # as torch sets it, in C
    return error


@pytest.fixture
def lost_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call of CUDA fails, as after a fault in a kernel."""

    def refuse() -> None:
        raise cuda_error(LAUNCH_FAILURE)

    monkeypatch.setattr("torch.cuda.is_initialized", lambda: True)
    monkeypatch.setattr("torch.cuda.synchronize", refuse)
    monkeypatch.setattr("torch.cuda.empty_cache", refuse)


def test_a_batch_that_does_not_fit_is_free_while_its_error_is_still_held(
    parakeet: Parakeet, monkeypatch: pytest.MonkeyPatch
) -> None:
    activations: list[weakref.ref[torch.Tensor]] = []
    living: list[int] = []

    def full(x: torch.Tensor, **_others: object) -> None:
        activations.append(weakref.ref(x))
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("torch.cuda.empty_cache", lambda: living.append(sum(one() is not None for one in activations)))
    monkeypatch.setattr(parakeet.model.encoder.layers[-1], "forward", full)
    with pytest.raises(EngineFailed) as caught:
        parakeet.run(parakeet.prepare([noise(2, -20.0)]))
    assert caught.value.kind is FailureKind.OUT_OF_MEMORY
    assert len(activations) == 1
    assert living == [0]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), cuda_error(NO_MEMORY)])
def test_memory_that_does_not_suffice_is_a_kind_of_its_own(error: Exception) -> None:
    with pytest.raises(EngineFailed) as caught, inference():
        raise error
    assert caught.value.kind is FailureKind.OUT_OF_MEMORY
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [ValueError("broken"), RuntimeError("sizes differ"), cuda_error(1)])
def test_other_errors_are_the_batchs_own(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, inference():
        raise error
    assert caught.value is error


@pytest.mark.usefixtures("lost_gpu")
def test_only_cudas_own_error_shows_that_the_gpu_is_lost() -> None:
    assert not cuda_answers()
    failure = failure_of(cuda_error(LAUNCH_FAILURE))
    assert failure is not None
    assert failure.kind is FailureKind.GPU_LOST
    assert failure_of(ValueError("broken")) is None


def nemos(text: str) -> Exception:
    """As NeMo raises it where a CUDA call of its own fails."""
    from nemo.core.utils.cuda_python_utils import NeMoCUDAPythonException

    return NeMoCUDAPythonException(text)


@pytest.mark.usefixtures("lost_gpu")
@pytest.mark.parametrize(
    "error",
    [nemos("CUDA failure! 719"), RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED")],
    ids=["nemo", "cudnn"],
)
def test_a_gpu_is_lost_whoevers_call_shows_it(error: Exception) -> None:
    forced = RuntimeError("Full CUDA graph decoding failed. Mode is forced, raising exception")
    forced.__cause__ = error
    for raised in (error, forced):
        failure = failure_of(raised)
        assert failure is not None
        assert failure.kind is FailureKind.GPU_LOST


@pytest.mark.parametrize(
    "error",
    [
        nemos("Cuda Error: CUresult.CUDA_ERROR_OUT_OF_MEMORY"),
        nemos("CUDA failure! cudaError_t.cudaErrorMemoryAllocation"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_memory_that_a_library_lacks_is_memory_all_the_same(error: Exception) -> None:
    with pytest.raises(EngineFailed) as caught, inference():
        raise error
    assert caught.value.kind is FailureKind.OUT_OF_MEMORY


def test_an_error_of_nemos_with_a_gpu_that_answers_is_the_batchs_own() -> None:
    assert failure_of(nemos("CUDA failure! 1")) is None


@pytest.mark.usefixtures("lost_gpu")
def test_a_process_that_lost_its_gpu_loads_no_model_for_the_cpu_either() -> None:
    with pytest.raises(EngineFailed) as caught:
        Parakeet.load(str(MODEL_PATH), ParakeetLimits(1, 30, 30), where="cpu")
    assert caught.value.kind is FailureKind.GPU_LOST
    assert "another" in caught.value.reason


class Lost(FakeRecognizer):
    """An engine whose GPU fails in the first batch."""

    def prepare(self, batch: Sequence[Samples]) -> Sequence[Samples]:
        with inference():
            return batch

    def run(self, batch: Sequence[Samples]) -> Sequence[Samples]:
        with inference():
            raise cuda_error(LAUNCH_FAILURE)


class Late(Lost):
    """The same, where it shows when the answer is fetched."""

    def run(self, batch: Sequence[Samples]) -> Sequence[Samples]:
        return batch

    def finish(self, batch: Sequence[Samples]) -> Any:
        with inference():
            raise cuda_error(LAUNCH_FAILURE)


@pytest.mark.usefixtures("lost_gpu")
@pytest.mark.parametrize("engine", [Lost, Late])
@pytest.mark.parametrize("count", [1, 9])
def test_chunks_of_a_lost_gpu_stay_unanswered_for_the_next_attempt(engine: type[FakeRecognizer], count: int) -> None:
    parts: Queue[ChunkResult] = Queue()
    gone: Queue[EngineFailed] = Queue()

    class Failures(EngineListener):
        def engine_failed(self, engine: Engine, error: EngineFailed, job_ids: Sequence[str]) -> None:
            gone.put(error)

    chain = EngineChain(listener=Failures())
    local = LocalEngine(Engine.PARAKEET_GPU, "lost", engine, 1000.0, chain)
    chain.add(local)
    for at in range(count):
        local.submit(Task("job", Chunk(at * SAMPLE_RATE, np.zeros(SAMPLE_RATE, np.float32)), parts.put), wait=False)
    chain.start()
    assert gone.get(timeout=PATIENCE).kind is FailureKind.GPU_LOST
    assert chain.failure is not None
    assert parts.empty()
