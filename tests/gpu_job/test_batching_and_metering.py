"""Batches waste little and always move on; the time of an execution is billed once, whatever the order of events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_job.batching import BatchLimits, next_batch
from gpu_job.metering import Meter, Phase

LIMITS = st.builds(BatchLimits, max_chunks=st.integers(1, 40), max_samples=st.integers(1, 10_000))
JOBS = st.sampled_from(["a", "b", "c"])
STEPS = st.floats(0.0, 1000.0)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), JOBS, st.floats(0.0, 10_000.0)),
        st.tuples(st.just("pass"), STEPS),
        st.tuples(st.just("batch"), STEPS, st.dictionaries(JOBS, st.floats(0.0, 100.0))),
        st.tuples(st.just("close"), STEPS, JOBS),
    ),
    max_size=30,
)


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=60), LIMITS)
def test_a_batch_is_the_longest_that_fit(lengths: list[int], limits: BatchLimits) -> None:
    chosen = next_batch(lengths, limits)
    taken = [lengths[index] for index in chosen]
    assert 1 <= len(chosen) == len(set(chosen)) <= limits.max_chunks
    assert taken == sorted(lengths, reverse=True)[: len(taken)]
    assert len(chosen) == 1 or len(chosen) * taken[0] <= limits.max_samples
    full = len(chosen) == limits.max_chunks or (len(chosen) + 1) * max(1, taken[0]) > limits.max_samples
    assert full or len(chosen) == len(lengths)


def test_nothing_waiting_is_no_batch() -> None:
    assert next_batch([], BatchLimits(4, 100)) == []


@given(EVENTS, STEPS)
def test_shares_and_settlement_add_up_to_the_execution(events: list[tuple], rest: float) -> None:
    at, meter = 100.0, Meter(began=100.0)
    billed, closed = 0.0, set()
    for kind, *details in events:
        if kind == "open":
            meter.open(*details)
            continue
        at += details[0]
        if kind == "pass":
            meter.pass_time(at)
        elif kind == "batch":
            meter.transcribed(at, details[1])
        else:
            share = meter.close(details[1], at)
            assert all(seconds >= 0 for seconds in share.values())
            billed += sum(share.values())
            closed.add(details[1])
    at += rest
    settled = meter.settle(at)
    assert settled.keys() == closed
    assert all(seconds >= 0 for seconds in settled.values())
    if closed:
        assert billed + sum(settled.values()) == pytest.approx(at - 100.0, abs=1e-6)


def test_start_up_and_waiting_are_shared_by_audio_and_batches_by_what_is_in_them() -> None:
    meter = Meter(began=0.0)
    meter.open("long", 300.0)
    meter.open("short", 100.0)
    meter.pass_time(40.0)
    meter.transcribed(60.0, {"long": 15.0, "short": 5.0})
    assert meter.close("short", 64.0) == {
        Phase.START_UP: pytest.approx(10.0),
        Phase.TRANSCRIPTION: pytest.approx(5.0),
        Phase.WAITING: pytest.approx(1.0),
    }
    assert meter.close("long", 64.0) == {
        Phase.START_UP: pytest.approx(30.0),
        Phase.TRANSCRIPTION: pytest.approx(15.0),
        Phase.WAITING: pytest.approx(3.0),
    }
    assert meter.settle(72.0) == {"long": pytest.approx(6.0), "short": pytest.approx(2.0)}


def test_where_no_job_ended_nobody_is_billed() -> None:
    meter = Meter(began=0.0)
    meter.open("handed over", 10.0)
    assert meter.settle(30.0) == {}


def test_a_clock_that_steps_back_takes_nothing_away() -> None:
    meter = Meter(began=10.0)
    meter.open("a", 10.0)
    meter.pass_time(20.0)
    meter.pass_time(15.0)
    assert sum(meter.close("a", 21.0).values()) == pytest.approx(11.0)
