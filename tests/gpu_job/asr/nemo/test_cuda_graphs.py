"""The decoder as it runs on a GPU, without the graphs: NeMo's own code for them, step by step on the CPU."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpu_job.asr.nemo.cuda_graphs import MOST_CELLS, Size, TdtDecoder, grown
from gpu_job.asr.nemo.parakeet import Parakeet
from gpu_job.asr.tokens import Token
from gpu_job.audio.chunker import Chunk

MAX_CHUNKS = 16
COMMON = Size(128, 2048)
"""What fits into the storage in any mixture."""
SIZES = st.builds(Size, st.integers(1, COMMON.chunks), st.integers(1, COMMON.frames))


class OnGpu:
    """NeMo's decoder as it is on a GPU; where graphs would be replayed, it calls what they were captured from."""

    def __init__(self, computer: Any) -> None:
        self.computer = copy.copy(computer)
        self.computer.force_cuda_graphs_mode("no_graphs")
        self._allocate = self.computer._graph_reinitialize
        self.computer._graph_reinitialize = self._count
        self.captures = 0
        self.cuda_graphs_mode = self.computer.cuda_graphs_mode
        self.reset_cuda_graphs_state = self.computer.reset_cuda_graphs_state
        self.fails = self.fails_later = False
        self.mode_after_capture = self.cuda_graphs_mode

    def _count(self, encoded: torch.Tensor) -> None:
        self.captures += 1
        self._allocate(encoded)
        if self.fails:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        self.cuda_graphs_mode = self.mode_after_capture
        if self.fails_later:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    @property
    def state(self) -> Any:
        return self.computer.state

    def __call__(self, x: torch.Tensor, out_len: torch.Tensor, multi_biasing_ids: torch.Tensor | None = None) -> Any:
        return self.computer.cuda_graphs_impl(
            encoder_output=x, encoder_output_length=out_len, multi_biasing_ids=multi_biasing_ids
        )


class WithoutPadding(TdtDecoder):
    """A decoder that hands NeMo the batches as they are."""

    def __call__(self, encoded: torch.Tensor, frames: torch.Tensor, trees: torch.Tensor | None = None) -> Any:
        found, _ = self.computer(x=encoded, out_len=frames, multi_biasing_ids=trees)
        return found


def with_decoder(parakeet: Parakeet, computer: OnGpu, max_chunks: int) -> Parakeet:
    changed = copy.copy(parakeet)
    changed.decoder = TdtDecoder(computer, max_chunks, on_gpu=True)
    return changed


@pytest.fixture
def on_gpu(parakeet: Parakeet) -> OnGpu:
    return OnGpu(parakeet.model.decoding.decoding.decoding_computer)


@pytest.fixture
def batches(short_chunks: list[Chunk]) -> list[list[Chunk]]:
    """Of few long chunks and many short ones, in turn."""
    by_length = sorted(short_chunks, key=lambda chunk: len(chunk.samples))
    sizes = (3, 5, 3, 6, 2, 7, 3, 4)
    return [by_length[:size] if index % 2 else by_length[-size:] for index, size in enumerate(sizes)]


def tokens_of_batches(parakeet: Parakeet, batches: Sequence[Sequence[Chunk]]) -> list[list[list[Token]]]:
    return [parakeet.transcribe([chunk.samples for chunk in batch]) for batch in batches]


def rounded(found: list[list[list[Token]]]) -> list[tuple[str, float, float, float]]:
    return [
        (token.text, round(token.start, 6), round(token.end, 6), round(token.confidence or 0.0, 4))
        for batch in found
        for tokens in batch
        for token in tokens
    ]


def test_the_decoder_of_a_gpu_hears_what_the_cpus_does(
    parakeet: Parakeet, on_gpu: OnGpu, batches: list[list[Chunk]]
) -> None:
    here = with_decoder(parakeet, on_gpu, MAX_CHUNKS)
    assert rounded(tokens_of_batches(here, batches)) == rounded(tokens_of_batches(parakeet, batches))
    assert on_gpu.captures == 2


def test_without_the_roomy_storage_nearly_every_batch_is_captured(
    parakeet: Parakeet, on_gpu: OnGpu, batches: list[list[Chunk]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above would otherwise prove nothing; INITIAL_MAX_TIME is what NeMo allows for, 30 s."""
    monkeypatch.setattr(type(on_gpu.computer), "INITIAL_MAX_TIME", 1)
    here = copy.copy(parakeet)
    here.decoder = WithoutPadding(on_gpu, MAX_CHUNKS, on_gpu=True)
    tokens_of_batches(here, batches)
    assert on_gpu.captures >= 6


def test_after_a_failure_the_decoder_begins_anew(parakeet: Parakeet, on_gpu: OnGpu, batches: list[list[Chunk]]) -> None:
    here = with_decoder(parakeet, on_gpu, MAX_CHUNKS)
    encoded, frames = torch.zeros(1, 10, 112), torch.tensor([10])
    on_gpu.fails = True
    with torch.inference_mode(), pytest.raises(torch.OutOfMemoryError):
        here.decoder(encoded, frames)
    assert on_gpu.state is None
    on_gpu.fails = False
    assert rounded(tokens_of_batches(here, batches[:1])) == rounded(tokens_of_batches(parakeet, batches[:1]))


def test_the_mode_is_told_once_the_graphs_are_captured(
    parakeet: Parakeet, on_gpu: OnGpu, batches: list[list[Chunk]], caplog: pytest.LogCaptureFixture
) -> None:
    """NeMo goes over to slower graphs where whole ones cannot be captured, and its own warning is not shown."""
    modes = type(on_gpu.computer).CudaGraphsMode
    on_gpu.cuda_graphs_mode = modes.FULL_GRAPH
    here = with_decoder(parakeet, on_gpu, MAX_CHUNKS)
    assert here.decoder.mode == "full_graph"
    on_gpu.mode_after_capture = modes.NO_WHILE_LOOPS
    with caplog.at_level("INFO", logger="gpu_job.asr.nemo.cuda_graphs"):
        tokens_of_batches(here, batches[:2])
    told = [(record.levelname, record.fields) for record in caplog.records]  # type: ignore[attr-defined]
    assert told == [("WARNING", {"decoder": "no_while_loops", "promised": "full_graph"})]


def test_memory_that_runs_out_in_a_capture_makes_no_later_batch_slower(parakeet: Parakeet, on_gpu: OnGpu) -> None:
    modes = type(on_gpu.computer).CudaGraphsMode
    here = with_decoder(parakeet, on_gpu, MAX_CHUNKS)
    on_gpu.cuda_graphs_mode, on_gpu.mode_after_capture = modes.FULL_GRAPH, modes.NO_WHILE_LOOPS
    on_gpu.fails_later = True
    with torch.inference_mode(), pytest.raises(torch.OutOfMemoryError):
        here.decoder(torch.zeros(1, 10, 112), torch.tensor([10]))
    assert on_gpu.cuda_graphs_mode is modes.FULL_GRAPH


def test_a_decoder_whose_graphs_are_switched_off_afterwards_decodes_without_them(
    parakeet: Parakeet, on_gpu: OnGpu, batches: list[list[Chunk]]
) -> None:
    here = with_decoder(parakeet, on_gpu, MAX_CHUNKS)
    captured = rounded(tokens_of_batches(here, batches[:1]))
    on_gpu.cuda_graphs_mode = None
    assert rounded(tokens_of_batches(here, batches[:1])) == captured
    assert here.decoder.mode == "eager"


def test_on_a_cpu_nothing_is_padded(parakeet: Parakeet) -> None:
    assert parakeet.decoder.mode == "eager"
    with torch.inference_mode():
        found = parakeet.decoder(torch.zeros(3, 10, 112), torch.tensor([10, 5, 1]))
    assert found.transcript.shape[0] == 3


@given(st.lists(SIZES, min_size=1, max_size=60), st.integers(1, COMMON.chunks))
def test_storage_holds_every_batch_and_grows_a_few_times_only(batches: list[Size], max_chunks: int) -> None:
    kept, steps = Size(0, 0), 0
    for batch in batches:
        before, kept = kept, grown(kept, batch, max_chunks)
        assert kept.holds(batch)
        assert kept.holds(before)
        assert kept.chunks * kept.frames <= MOST_CELLS
        steps += kept != before
    assert steps <= 20


@given(st.builds(Size, st.integers(0, 10_000), st.integers(0, 30_000)), st.integers(1, 10_000), st.integers(1, 30_000))
def test_storage_is_never_large_for_nothing(kept: Size, chunks: int, frames: int) -> None:
    size = grown(kept, Size(chunks, frames), 10_000)
    assert size in (kept, Size(chunks, frames)) or size.chunks * size.frames <= MOST_CELLS
