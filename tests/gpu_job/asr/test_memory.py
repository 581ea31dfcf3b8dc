"""The memory model gives the figures measured on the full architecture, and a budget learns from batches that ran."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_job.asr.memory import GIB, Architecture, Attention, MemoryBudget, MemoryModel
from gpu_job.audio.samples import SAMPLE_RATE

MINUTE = 60 * SAMPLE_RATE
MIB = 2**20
CHUNKS, SAMPLES = st.integers(1, 512), st.integers(SAMPLE_RATE // 10, 30 * MINUTE)
MODELS = st.builds(MemoryModel, st.just(Architecture()), st.sampled_from([2, 4]), st.sampled_from(list(Attention)))


def bf16(attention: Attention) -> MemoryModel:
    return MemoryModel(Architecture(), 2, attention)


@pytest.mark.parametrize(
    ("attention", "minutes", "gigabytes"),
    [
        (Attention.FULL, 10, 6.5),
        (Attention.SDPA, 10, 4.0),
        (Attention.LOCAL, 10, 1.9),
        (Attention.FULL, 20, 25),
        (Attention.SDPA, 20, 14.8),
        (Attention.LOCAL, 20, 3.8),
    ],
)
def test_long_chunks_take_what_was_measured(attention: Attention, minutes: int, gigabytes: float) -> None:
    predicted = bf16(attention).activations(1, minutes * MINUTE) / (1000 * MIB)
    assert predicted == pytest.approx(gigabytes, rel=0.07)


@pytest.mark.parametrize("chunks", [1, 8, 64])
def test_short_chunks_take_what_the_subsampling_takes(chunks: int) -> None:
    per_minute = bf16(Attention.FULL).activations(chunks, MINUTE // 2) / (chunks / 2) / MIB
    assert 180 < per_minute < 213


def test_the_weights_are_those_of_the_published_model() -> None:
    assert bf16(Attention.FULL).weights == pytest.approx(1.24e9, rel=0.01)


@given(MODELS, CHUNKS, SAMPLES)
def test_more_takes_more(model: MemoryModel, chunks: int, samples: int) -> None:
    taken = model.most_activations(chunks, samples)
    assert model.most_activations(chunks + 1, samples) >= taken >= model.activations(chunks, samples)
    assert model.activations(1, 2 * samples) >= 1.99 * model.activations(1, samples)


@given(MODELS, SAMPLES, st.integers(4, 140))
def test_the_largest_batch_fits_and_one_more_does_not(model: MemoryModel, samples: int, gigabytes: int) -> None:
    budget = MemoryBudget.of_device(model, 200 * GIB, gigabytes)
    size = budget.largest_batch(samples)
    usable = 0.9 * gigabytes * GIB - model.weights
    assert size == 0 or model.most_activations(size, samples) <= usable
    assert model.most_activations(size + 1, samples) >= usable * 0.999


def test_a_batch_that_is_convolved_in_parts_takes_less_than_a_smaller_one_that_is_not() -> None:
    model = bf16(Attention.SDPA)
    whole, in_parts = (model.activations(chunks, MINUTE // 2) for chunks in (87, 88))
    assert in_parts < 0.65 * whole
    assert model.most_activations(88, MINUTE // 2) >= whole


def test_the_device_may_have_less_than_the_setting() -> None:
    model = bf16(Attention.SDPA)
    assert MemoryBudget.of_device(model, 8 * GIB, 20) == MemoryBudget.of_device(model, 8 * GIB, 8)


def test_a_batch_that_took_more_makes_the_next_ones_smaller() -> None:
    budget = MemoryBudget.of_device(bf16(Attention.SDPA), 24 * GIB, 20)
    before, predicted = budget.largest_batch(10 * MINUTE), budget.model.activations(2, 10 * MINUTE)
    learned = budget.after(2, 10 * MINUTE, budget.model.weights + 2 * predicted)
    assert learned.largest_batch(10 * MINUTE) == pytest.approx(before / 2, abs=1)
    smaller = learned.after(1, 10 * MINUTE, budget.model.weights + predicted)
    assert smaller == learned
    assert learned.after(4, 10 * MINUTE, budget.model.weights + 2 * predicted).largest_batch(10 * MINUTE) == before


@given(MODELS, CHUNKS, SAMPLES, st.integers(0, 10**13))
def test_no_measurement_makes_a_batch_impossible_or_boundless(
    model: MemoryModel, chunks: int, samples: int, peak: int
) -> None:
    budget = MemoryBudget.of_device(model, 80 * GIB, 80)
    after = budget.after(chunks, samples, peak).largest_batch(samples)
    room = 0.9 * 80 * GIB - model.weights
    assert model.most_activations(after, samples) <= 2 * room
    assert model.most_activations(after + 1, samples) >= 0.333 * room


def test_a_model_larger_than_the_memory_fits_no_batch() -> None:
    assert MemoryBudget.of_device(bf16(Attention.FULL), GIB, 20).largest_batch(MINUTE) == 0
