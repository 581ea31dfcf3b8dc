"""Batches waste little and always move on; the time of an execution is billed once, whatever the order of events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_job.asr.batching import LEAST_FILL, PATIENCE, BatchCandidate, BatchLimits, SafeSizes, next_batch
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.worker.billing.meter import Meter
from shared.costs.bill import Phase

LIMITS = st.builds(BatchLimits, max_chunks=st.integers(1, 40), max_samples=st.integers(1, 10_000))
WAITING = st.builds(
    BatchCandidate,
    samples=st.integers(0, 5000),
    speech_share=st.floats(0, 1),
    urgent=st.booleans(),
    passed_over=st.integers(0, 10),
)
SIZES = st.builds(SafeSizes, st.dictionaries(st.integers(0, 100), st.integers(1, 64)))
JOBS = st.sampled_from(["a", "b", "c"])
STEPS = st.floats(0.0, 1000.0)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), JOBS, st.floats(0.0, 10_000.0)),
        st.tuples(st.just("pass"), STEPS),
        st.tuples(st.just("batch"), STEPS, st.dictionaries(JOBS, st.floats(0.0, 100.0))),
        st.tuples(st.just("close"), STEPS, JOBS),
        st.tuples(st.just("beat"), STEPS, st.booleans()),
    ),
    max_size=30,
)


@given(st.lists(WAITING, min_size=1, max_size=60), LIMITS)
def test_a_batch_fits_and_is_mostly_sound(waiting: list[BatchCandidate], limits: BatchLimits) -> None:
    chosen = next_batch(waiting, limits)
    taken = [waiting[index].samples for index in chosen]
    assert 1 <= len(chosen) == len(set(chosen)) <= limits.max_chunks
    assert taken == sorted(taken, reverse=True)
    assert len(chosen) == 1 or len(chosen) * taken[0] <= limits.max_samples
    assert sum(taken) >= LEAST_FILL * len(taken) * taken[0]


@given(st.lists(WAITING, min_size=1, max_size=60), LIMITS)
def test_no_chunk_is_left_that_would_have_fitted(waiting: list[BatchCandidate], limits: BatchLimits) -> None:
    chosen = next_batch(waiting, limits)
    longest = waiting[chosen[0]].samples
    left = [chunk.samples for index, chunk in enumerate(waiting) if index not in chosen]
    fitting = [samples for samples in left if LEAST_FILL * longest <= samples <= longest]
    assert not fitting or len(chosen) >= limits.largest(max(longest, max(fitting)))


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=60), LIMITS)
def test_every_chunk_has_its_turn(lengths: list[int], limits: BatchLimits) -> None:
    waiting, longest = [BatchCandidate(samples) for samples in lengths], []
    while waiting:
        chosen = next_batch(waiting, limits)
        longest.append(waiting[chosen[0]].samples)
        waiting = [chunk for index, chunk in enumerate(waiting) if index not in chosen]
    assert longest == sorted(longest, reverse=True)


@given(st.lists(WAITING, min_size=1, max_size=60), LIMITS)
def test_what_is_urgent_goes_first(waiting: list[BatchCandidate], limits: BatchLimits) -> None:
    batch = [waiting[index] for index in next_batch(waiting, limits)]
    first = [chunk.samples for chunk in waiting if chunk.goes_first]
    if first:
        assert any(chunk.goes_first for chunk in batch)
        assert batch[0].samples <= max(first)


def test_among_like_lengths_speech_goes_first() -> None:
    waiting = [BatchCandidate(1000, 0.2), BatchCandidate(950, 0.9), BatchCandidate(400, 1.0), BatchCandidate(980, 0.5)]
    assert next_batch(waiting, BatchLimits(2, 10_000)) == [3, 1]


def test_a_repair_takes_along_what_is_no_longer_than_itself() -> None:
    waiting = [BatchCandidate(1000), BatchCandidate(300), BatchCandidate(400, urgent=True), BatchCandidate(100)]
    assert next_batch(waiting, BatchLimits(8, 10_000)) == [2, 1]


def test_nobody_is_passed_over_for_ever() -> None:
    waiting = [BatchCandidate(1000), BatchCandidate(100, passed_over=PATIENCE)]
    assert next_batch(waiting, BatchLimits(8, 10_000)) == [1]


def test_nothing_waiting_is_no_batch() -> None:
    assert next_batch([], BatchLimits(4, 100)) == []


def test_a_size_that_was_too_large_is_not_tried_again_for_longer_chunks_either() -> None:
    limits = BatchLimits(64, 10**9).without(30 * SAMPLE_RATE, 40)
    assert [limits.largest(seconds * SAMPLE_RATE) for seconds in (20, 29, 30, 60)] == [64, 64, 20, 20]
    assert limits.without(30 * SAMPLE_RATE, 20).largest(30 * SAMPLE_RATE) == 10
    assert limits.without(10 * SAMPLE_RATE, 1).largest(30 * SAMPLE_RATE) == 1


@given(SIZES, SIZES, st.integers(0, 100 * SAMPLE_RATE))
def test_merged_sizes_are_as_careful_as_both(one: SafeSizes, other: SafeSizes, samples: int) -> None:
    known = [size for sizes in (one, other) if (size := sizes.largest(samples)) is not None]
    assert one.merged(other).largest(samples) == min(known, default=None)
    assert one.merged(other) == other.merged(one)


class Books:
    """What the bills and records of a worker say, from one heartbeat and end to the next."""

    def __init__(self) -> None:
        self.at, self.meter = 100.0, Meter(began=100.0)
        self.bills: list[tuple[str, float]] = []
        self.records: dict[str, float] = {}
        """Of jobs in progress, as of the last heartbeat that found them."""
        self._open: set[str] = set()

    def happen(self, kind: str, *details: Any) -> None:
        if kind == "open":
            self.meter.open(*details)
            self._open.add(details[0])
            return
        self.at += details[0]
        if kind == "pass":
            self.meter.pass_time(self.at)
        elif kind == "batch":
            self.meter.transcribed(self.at, details[1])
        elif kind == "beat":
            self._beat(is_in_batch=details[1])
        else:
            self._close(details[1])

    def _beat(self, *, is_in_batch: bool) -> None:
        if not is_in_batch:
            self.meter.pass_time(self.at)
        for job in sorted(self._open):
            promised = self.meter.promise(job)
            assert promised is not None
            assert sum(promised.values()) >= self.records.get(job, 0.0) - 1e-6
            self.records[job] = sum(promised.values())

    def _close(self, job: str) -> None:
        taken = self.meter.close(job, self.at)
        assert all(seconds >= 0 for seconds in taken.values())
        assert sum(taken.values()) >= self.records.pop(job, 0.0) - 1e-6
        self.bills.append((job, sum(taken.values())))
        self._open.discard(job)

    @property
    def booked(self) -> float:
        """Seconds, where the worker is killed now."""
        return sum(seconds for _, seconds in self.bills) + sum(self.records.values())

    @property
    def lived(self) -> float:
        return self.at - self.meter.began


@given(EVENTS, STEPS)
def test_shares_and_the_rest_add_up_to_the_execution(events: list[tuple[Any, ...]], rest: float) -> None:
    """Wherever the worker is killed, no second is on two bills."""
    books = Books()
    for event in events:
        books.happen(*event)
        assert books.booked <= books.lived + 1e-6
    books.at += rest
    shared_out = books.meter.share_out_rest(books.at)
    assert shared_out.keys() == {job for job, _ in books.bills}
    assert all(seconds >= 0 for seconds in shared_out.values())
    if books.bills:
        assert books.booked + sum(shared_out.values()) == pytest.approx(books.lived, abs=1e-6)
    # A thread that was about to end a job has what the record had.
    for job, recorded in sorted(books.records.items()):
        assert sum(books.meter.close(job, books.at).values()) == pytest.approx(recorded, abs=1e-6)


@given(EVENTS)
def test_heartbeats_change_no_share_unless_a_job_begins_behind_one(events: list[tuple[Any, ...]]) -> None:
    """What is promised is the share of those in progress: an end changes nobody's, a beginning makes all smaller."""
    with_beats, without = Books(), Books()
    for event in _begun_before_beats(events):
        with_beats.happen(*event)
        # The time passes, and is marked or not, as with the beat.
        kind = "pass" if event[0] == "beat" and not event[2] else event[0]
        if kind == "beat":
            without.at += event[1]
        else:
            without.happen(kind, *event[1:2] if kind == "pass" else event[1:])
    assert [job for job, _ in with_beats.bills] == [job for job, _ in without.bills]
    assert [one for _, one in with_beats.bills] == pytest.approx([one for _, one in without.bills], abs=1e-6)


def _begun_before_beats(events: list[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Without jobs that begin behind a heartbeat: also those that end without having begun, which do both at once."""
    begun, has_beaten = set(), False
    for event in events:
        has_beaten = has_beaten or event[0] == "beat"
        if event[0] == "open" and not has_beaten:
            begun.add(event[1])
        if (event[0] == "open" and has_beaten) or (event[0] == "close" and event[2] not in begun):
            continue
        yield event
        if event[0] == "close":
            begun.discard(event[2])


def test_a_job_takes_no_less_than_its_record_has_where_another_begins_behind_that() -> None:
    meter = Meter(began=0.0)
    meter.open("first", 100.0)
    meter.pass_time(40.0)
    assert meter.promise("first") == {Phase.START_UP: 40.0, Phase.TRANSCRIPTION: 0.0}
    meter.open("second", 300.0)
    # Three quarters of 44 s, were it not for the record.
    assert meter.close("second", 44.0) == {Phase.START_UP: pytest.approx(4.0), Phase.TRANSCRIPTION: 0.0}
    assert meter.close("first", 44.0) == {Phase.START_UP: pytest.approx(40.0), Phase.TRANSCRIPTION: 0.0}


def test_once_a_share_is_more_than_what_the_record_has_it_is_as_without_one() -> None:
    meter = Meter(began=0.0)
    meter.open("first", 100.0)
    meter.pass_time(10.0)
    meter.promise("first")
    meter.open("second", 300.0)
    assert meter.close("second", 44.0)[Phase.START_UP] == pytest.approx(33.0)
    assert meter.close("first", 44.0)[Phase.START_UP] == pytest.approx(11.0)


def test_the_time_of_a_batch_that_runs_is_promised_to_nobody() -> None:
    """It is another job's, once it is over."""
    meter = Meter(began=0.0)
    meter.open("a", 100.0)
    meter.open("b", 100.0)
    meter.pass_time(10.0)  # the batch begins
    assert meter.promise("a") == {Phase.START_UP: 5.0, Phase.TRANSCRIPTION: 0.0}
    meter.transcribed(30.0, {"b": 15.0})
    assert meter.close("b", 30.0) == {Phase.START_UP: 5.0, Phase.TRANSCRIPTION: 20.0}
    assert meter.close("a", 30.0) == {Phase.START_UP: 5.0, Phase.TRANSCRIPTION: 0.0}


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
    assert meter.share_out_rest(72.0) == {"long": pytest.approx(6.0), "short": pytest.approx(2.0)}


def test_what_is_promised_to_all_jobs_is_the_time_until_now_and_what_they_take() -> None:
    meter = Meter(began=0.0)
    meter.open("long", 300.0)
    meter.open("short", 100.0)
    meter.pass_time(40.0)
    meter.transcribed(60.0, {"long": 15.0, "short": 5.0})
    meter.pass_time(64.0)
    long, short = (meter.promise(job) for job in ("long", "short"))
    assert long is not None
    assert short is not None
    assert sum(long.values()) + sum(short.values()) == pytest.approx(64.0)
    assert meter.close("short", 64.0) == short
    assert meter.close("long", 64.0) == long
    assert meter.promise("long") is None


def test_where_no_job_ended_nobody_is_billed() -> None:
    meter = Meter(began=0.0)
    meter.open("handed over", 10.0)
    assert meter.share_out_rest(30.0) == {}


def test_a_clock_that_steps_back_takes_nothing_away() -> None:
    meter = Meter(began=10.0)
    meter.open("a", 10.0)
    meter.pass_time(20.0)
    meter.pass_time(15.0)
    assert sum(meter.close("a", 21.0).values()) == pytest.approx(11.0)
