"""The GPU's circuit breaker: after a few failures no upload uses it until one trial upload has shown that it works.

    closed --N failures within a window--> open --cool-down--> half-open (one trial) --its transcript--> closed
                                            ^                        |
                                            +------- a failure ------+

One object in the state bucket, `health/gpu.json`, changed by compare-and-swap, so all instances see one circuit and
exactly one of them sends the trial. The transitions are pure functions; `Breaker` stores what they return.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from google.cloud.storage import Bucket
from pydantic import BaseModel, ConfigDict

from shared import objects
from shared.clock import now
from shared.errors import FailureKind, StateConflict, best_effort

_log = logging.getLogger(__name__)

_NAME = "health/gpu.json"

CACHE_SECONDS = 5.0
"""How long a process takes a circuit for closed that it found so."""

_MAX_FAILURES = 20
"""Failures that the object keeps, the newest ones."""


class CircuitState(StrEnum):
    """Whether uploads use the GPU."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Failure(BaseModel):
    """One failure of the GPU."""

    model_config = ConfigDict(frozen=True)

    kind: FailureKind
    at: datetime
    job_id: str | None = None
    """The upload that was being transcribed, where there was one."""


class Circuit(BaseModel):
    """The breaker's whole state."""

    model_config = ConfigDict(frozen=True)

    state: CircuitState = CircuitState.CLOSED
    since: datetime | None = None
    """When it came into this state; None where it was never in another one."""
    failures: tuple[Failure, ...] = ()
    """The newest last; those that count, and while it is not closed those that opened it."""
    retry_at: datetime | None = None
    """Open: when the cool-down ends. Half-open: when the trial is given up and another one may begin."""
    trial: str | None = None
    """Half-open: job id of the trial upload."""


@dataclass(frozen=True)
class BreakerPolicy:
    """When the circuit opens, and how it is tried."""

    failures: int
    """Failures of different uploads that open it."""
    window: timedelta
    cool_down: timedelta
    trial: timedelta
    """Time the trial upload has before another one is tried."""


@dataclass(frozen=True)
class Health:
    """The GPU's health, for reports."""

    state: CircuitState
    since: datetime | None
    failures: Mapping[FailureKind, int]
    next_trial: datetime | None
    """From when on one upload tries the GPU again; None where the circuit is closed."""

    def available(self, at: datetime) -> bool:
        """Whether an upload could have the GPU at that time; which one becomes the trial, `Breaker.allows` decides."""
        return self.next_trial is None or at >= self.next_trial


def counts(kind: FailureKind) -> bool:
    """Whether a failure of this kind speaks against the GPU. A bad upload does not."""
    return kind is not FailureKind.BAD_MEDIA


def after_failure(circuit: Circuit, failure: Failure, policy: BreakerPolicy) -> Circuit:
    """The circuit after a failure. Of one upload only the newest counts: a single bad file opens nothing."""
    if not counts(failure.kind) or _older_than_trial(circuit, failure):
        return circuit
    others = [
        one
        for one in circuit.failures
        if (failure.job_id is None or one.job_id != failure.job_id)
        and (circuit.state is not CircuitState.CLOSED or failure.at - one.at < policy.window)
    ]
    failures = (*others, failure)[-_MAX_FAILURES:]
    opens = circuit.state is CircuitState.HALF_OPEN or len(failures) >= policy.failures
    if circuit.state is CircuitState.OPEN or not opens:
        return circuit.model_copy(update={"failures": failures})
    until = failure.at + policy.cool_down
    return Circuit(state=CircuitState.OPEN, since=failure.at, failures=failures, retry_at=until)


def _older_than_trial(circuit: Circuit, failure: Failure) -> bool:
    """Whether another upload failed than the trial: it got the GPU before the circuit opened, and says nothing new."""
    return circuit.state is CircuitState.HALF_OPEN and failure.job_id not in {None, circuit.trial}


def after_success(circuit: Circuit, job_id: str | None, at: datetime) -> Circuit:
    """The circuit after the GPU did its work; `job_id` None: it showed so without an upload.

    Only the trial's success closes it: an upload that was begun earlier may end well after the circuit opened.
    """
    if circuit.state is not CircuitState.HALF_OPEN or job_id not in {None, circuit.trial}:
        return circuit
    return Circuit(since=at)


def after_request(circuit: Circuit, job_id: str, at: datetime, policy: BreakerPolicy) -> Circuit:
    """The circuit after an upload asked for the GPU; once the cool-down is over, the first to ask becomes the trial."""
    if admits(circuit, job_id) or (circuit.retry_at is not None and at < circuit.retry_at):
        return circuit
    trial = {"state": CircuitState.HALF_OPEN, "retry_at": at + policy.trial, "trial": job_id}
    since = at if circuit.state is CircuitState.OPEN else circuit.since
    return circuit.model_copy(update={**trial, "since": since})


def admits(circuit: Circuit, job_id: str) -> bool:
    """Whether this upload may have the GPU, once `after_request` took its request into account."""
    return circuit.state is CircuitState.CLOSED or circuit.trial == job_id


def health_of(circuit: Circuit) -> Health:
    """The circuit as a report shows it."""
    kinds = Counter(failure.kind for failure in circuit.failures)
    return Health(circuit.state, circuit.since, dict(kinds), circuit.retry_at)


class Breaker:
    """The circuit in the state bucket."""

    def __init__(self, bucket: Bucket, policy: BreakerPolicy, clock: Callable[[], datetime] = now) -> None:
        self._bucket = bucket
        self._policy = policy
        self._clock = clock
        self._last_seen: tuple[datetime, Circuit] | None = None

    def allows(self, job_id: str) -> bool:
        """Whether this upload may have the GPU now; after the cool-down a yes makes it the one trial."""
        if self._closed_within(timedelta(seconds=CACHE_SECONDS)) is not None:
            return True
        circuit = self._update(lambda circuit: after_request(circuit, job_id, self._clock(), self._policy))
        return circuit is not None and admits(circuit, job_id)

    def record_failure(self, kind: FailureKind, job_id: str | None = None) -> None:
        """A launch was refused, a task crashed or ran out of memory. Kinds that are the upload's fault do not count.

        Raises nothing: what else is to be done about the failure must not depend on this.
        """
        failure = Failure(kind=kind, at=self._clock(), job_id=job_id)
        with best_effort("a failure of the GPU was not recorded", kind=kind):
            self._update(lambda circuit: after_failure(circuit, failure, self._policy))

    def record_success(self, job_id: str | None = None) -> None:
        """The GPU transcribed an upload, or (None) has shown in another way that it works. Raises nothing."""
        # A circuit that has opened since is not tried before its cool-down is over: this upload is no trial.
        if self._closed_within(self._policy.cool_down / 2) is not None:
            return
        with best_effort("a success of the GPU was not recorded"):
            self._update(lambda circuit: after_success(circuit, job_id, self._clock()))

    def health(self) -> Health:
        """The GPU's health."""
        closed = self._closed_within(timedelta(seconds=CACHE_SECONDS))
        if closed is not None:
            return health_of(closed)
        return health_of(self._seen(objects.read_json(self._bucket, _NAME, Circuit(), replace_unreadable=True)))

    def _closed_within(self, age: timedelta) -> Circuit | None:
        """The circuit as this process last saw it, if that was so short a while ago and it was closed."""
        if self._last_seen is None:
            return None
        at, circuit = self._last_seen
        is_fresh = timedelta() <= self._clock() - at < age
        return circuit if is_fresh and circuit.state is CircuitState.CLOSED else None

    def _seen(self, circuit: Circuit) -> Circuit:
        self._last_seen = (self._clock(), circuit)
        return circuit

    def _update(self, transition: Callable[[Circuit], Circuit]) -> Circuit | None:
        """The circuit as it stands afterwards; None, and nothing changed, where others were faster every time."""
        try:
            # A circuit that cannot be read must not stop uploads.
            return self._seen(objects.update_json(self._bucket, _NAME, Circuit(), transition, replace_unreadable=True))
        except StateConflict:
            _log.warning("GPU circuit breaker not updated: other processes wrote it every time")
            return None


def gpu_health(bucket: Bucket) -> Health:
    """The GPU's health as the state bucket has it."""
    return health_of(objects.read_json(bucket, _NAME, Circuit(), replace_unreadable=True))
