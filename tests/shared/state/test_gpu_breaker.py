"""The GPU's circuit breaker as a state machine: when it opens, who tries again, and what closes it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shared.errors import FailureKind
from shared.state.gpu_breaker import (
    BreakerPolicy,
    Circuit,
    CircuitState,
    Failure,
    admits,
    after_failure,
    after_request,
    after_success,
    counts,
    health_of,
)

BEGIN = datetime(2026, 11, 21, tzinfo=UTC)
POLICY = BreakerPolicy(
    failures=3, window=timedelta(minutes=10), cool_down=timedelta(minutes=5), trial=timedelta(minutes=15)
)


def at(minutes: float) -> datetime:
    return BEGIN + timedelta(minutes=minutes)


def failed(circuit: Circuit, minutes: float, job: str | None, kind: FailureKind = FailureKind.QUOTA) -> Circuit:
    return after_failure(circuit, Failure(kind=kind, at=at(minutes), job_id=job), POLICY)


def requested(circuit: Circuit, job: str, minutes: float) -> tuple[bool, Circuit]:
    """Whether the upload gets the GPU, and the circuit after its request."""
    after = after_request(circuit, job, at(minutes), POLICY)
    return admits(after, job), after


def opened() -> Circuit:
    """Opened at minute 2, so tried again at minute 7."""
    circuit = Circuit()
    for minute in range(3):
        circuit = failed(circuit, minute, f"job {minute}")
    return circuit


def on_trial() -> Circuit:
    return requested(opened(), "trial", 7)[1]


def test_it_opens_at_the_third_failure_within_the_window() -> None:
    circuit = failed(failed(Circuit(), 0, "a"), 1, "b")
    assert circuit.state is CircuitState.CLOSED
    circuit = failed(circuit, 2, "c")
    assert (circuit.state, circuit.since, circuit.retry_at) == (CircuitState.OPEN, at(2), at(7))


def test_failures_older_than_the_window_do_not_count() -> None:
    assert failed(failed(failed(Circuit(), 0, "a"), 5, "b"), 10, "c").state is CircuitState.CLOSED


def test_one_upload_alone_opens_nothing() -> None:
    circuit = Circuit()
    for minute in range(9):
        circuit = failed(circuit, minute, "poison", FailureKind.OUT_OF_MEMORY)
    assert circuit.state is CircuitState.CLOSED
    assert len(circuit.failures) == 1


def test_failures_without_an_upload_count_each() -> None:
    assert failed(failed(failed(Circuit(), 0, None), 1, None), 2, None).state is CircuitState.OPEN


@pytest.mark.parametrize("kind", FailureKind)
def test_only_a_bad_upload_is_not_the_gpus_fault(kind: FailureKind) -> None:
    assert counts(kind) == (kind is not FailureKind.BAD_MEDIA)
    assert (failed(Circuit(), 0, "a", kind) == Circuit()) == (kind is FailureKind.BAD_MEDIA)


def test_open_no_upload_gets_the_gpu_until_the_cool_down_is_over() -> None:
    assert requested(opened(), "b", 6.9) == (False, opened())
    allowed, circuit = requested(opened(), "b", 7)
    assert allowed
    assert (circuit.state, circuit.trial, circuit.retry_at) == (CircuitState.HALF_OPEN, "b", at(22))


def test_half_open_one_upload_has_the_gpu() -> None:
    assert requested(on_trial(), "another", 8) == (False, on_trial())
    assert requested(on_trial(), "trial", 8) == (True, on_trial())


def test_a_trial_that_never_ends_makes_room_for_another() -> None:
    allowed, circuit = requested(on_trial(), "another", 22)
    assert allowed
    assert (circuit.trial, circuit.since) == ("another", at(7))


def test_the_trials_success_closes_it_and_forgets_the_failures() -> None:
    circuit = after_success(on_trial(), "trial", at(9))
    assert circuit == Circuit(since=at(9))
    assert failed(circuit, 9, "x").state is CircuitState.CLOSED


@pytest.mark.parametrize("job", ["earlier", None])
def test_a_success_while_open_is_an_earlier_uploads(job: str | None) -> None:
    assert after_success(opened(), job, at(3)) == opened()


def test_half_open_another_uploads_news_says_nothing() -> None:
    assert after_success(on_trial(), "earlier", at(8)) == on_trial()
    assert failed(on_trial(), 8, "earlier") == on_trial()


@pytest.mark.parametrize("job", ["trial", None])
def test_a_failed_trial_opens_it_for_another_cool_down(job: str | None) -> None:
    circuit = failed(on_trial(), 8, job, FailureKind.MODEL_LOAD)
    assert (circuit.state, circuit.since, circuit.retry_at) == (CircuitState.OPEN, at(8), at(13))


def test_health_counts_failures_by_kind_and_says_when_it_is_tried() -> None:
    health = health_of(failed(opened(), 3, "x", FailureKind.OUT_OF_MEMORY))
    assert health.failures == {FailureKind.QUOTA: 3, FailureKind.OUT_OF_MEMORY: 1}
    assert (health.state, health.since, health.next_trial) == (CircuitState.OPEN, at(2), at(7))
    assert (health.available(at(6)), health.available(at(7))) == (False, True)
    assert health_of(Circuit()).available(BEGIN)


class BreakerMachine(RuleBasedStateMachine):
    """Any order of questions, failures and successes, with time that only passes."""

    def __init__(self) -> None:
        super().__init__()
        self.circuit = Circuit()
        self.now = BEGIN
        self.opened_at: datetime | None = None
        self.trials: list[tuple[datetime, str]] = []

    @rule(seconds=st.integers(0, 1200))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(job=st.sampled_from("abcdef"), kind=st.sampled_from(FailureKind))
    def fails(self, job: str, kind: FailureKind) -> None:
        before = self.circuit
        self.circuit = after_failure(before, Failure(kind=kind, at=self.now, job_id=job), POLICY)
        if before.state is not CircuitState.OPEN and self.circuit.state is CircuitState.OPEN:
            self.opened_at = self.now
            blamed = {failure.job_id for failure in self.circuit.failures}
            assert before.state is CircuitState.HALF_OPEN or len(blamed) >= POLICY.failures
        if before.state is CircuitState.OPEN:
            assert self.circuit.retry_at == before.retry_at

    @rule(job=st.sampled_from("abcdef"))
    def succeeds(self, job: str) -> None:
        before = self.circuit
        self.circuit = after_success(before, job, self.now)
        closes = before.state is CircuitState.HALF_OPEN and before.trial == job
        assert (self.circuit != before) == closes

    @rule(job=st.sampled_from("abcdef"))
    def asks(self, job: str) -> None:
        before = self.circuit
        self.circuit = after_request(before, job, self.now, POLICY)
        allowed = admits(self.circuit, job)
        if before.state is CircuitState.CLOSED:
            assert allowed
        elif allowed and before.trial != job:
            # A new trial: the cool-down is over, or the trial before it was given up.
            assert before.retry_at is not None
            assert self.now >= before.retry_at
            assert self.opened_at is not None
            assert self.now - self.opened_at >= POLICY.cool_down
        if not allowed:
            assert self.circuit == before

    @invariant()
    def fields_agree_with_the_state(self) -> None:
        circuit = self.circuit
        assert (circuit.retry_at is None) == (circuit.state is CircuitState.CLOSED)
        assert (circuit.trial is not None) == (circuit.state is CircuitState.HALF_OPEN)
        assert len(circuit.failures) <= 20

    @invariant()
    def nothing_stays_open_for_ever(self) -> None:
        later = after_request(self.circuit, "someone", self.now + POLICY.cool_down + POLICY.trial, POLICY)
        assert admits(later, "someone")


TestBreakerMachine = BreakerMachine.TestCase
