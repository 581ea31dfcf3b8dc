"""The local engine: batches from all uploads, back pressure, and a broken chunk that harms nobody else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Queue

import numpy as np
import pytest

from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.recognizer import Recognizer
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.engines.batch_stages import FAILURES_IN_A_ROW, FAILURES_OF_ONE_UPLOAD
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.listener import EngineListener
from gpu_job.engines.local import LocalEngine
from gpu_job.engines.task import Task
from shared.enums import Engine
from shared.errors import EngineFailed, FailureKind
from tests.support.fake_recognizer import BROKEN, MUTE, UNFIT, FakeRecognizer
from tests.support.waiting import PATIENCE


class Reports(EngineListener):
    """What an engine reported."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        """The jobs of each batch's tasks."""
        self.smaller: list[BatchLimits] = []
        """The limits after each batch that was too large."""

    def batch_finished(self, engine: Engine, tasks: Sequence[Task]) -> None:
        self.batches.append([task.job_id for task in tasks])

    def batch_limits_reduced(self, recognizer: Recognizer) -> None:
        self.smaller.append(recognizer.batch_limits)


@dataclass
class Opened:
    """A local engine, alone in its chain, and what came out of it."""

    recognizer: FakeRecognizer
    engine: LocalEngine
    chain: EngineChain
    reports: Reports
    parts: Queue[ChunkResult] = field(default_factory=Queue)

    def submit(self, task: Task) -> None:
        self.engine.submit(task, wait=True)

    def task(self, at: int, seconds: float = 1.0, value: float = 0.0, job: str = "job") -> Task:
        samples = np.full(int(seconds * SAMPLE_RATE), value, np.float32)
        return Task(job, Chunk(at * SAMPLE_RATE, samples), self.parts.put)

    def delivered(self, count: int) -> dict[int, ChunkResult]:
        """The next parts, by the second at which they begin."""
        parts = [self.parts.get(timeout=PATIENCE) for _ in range(count)]
        return {part.start // SAMPLE_RATE: part for part in parts}


Open = Callable[..., Opened]


@pytest.fixture
def open_engine() -> Iterator[Open]:
    opened: list[Opened] = []

    def open_one(max_queued_seconds: float = 1000.0, load: Callable[[], FakeRecognizer] | None = None) -> Opened:
        recognizer = FakeRecognizer()
        reports, chain = Reports(), EngineChain()
        engine = LocalEngine(
            Engine.PARAKEET_CPU, "counting", load or (lambda: recognizer), max_queued_seconds, chain, reports
        )
        chain.add(engine)
        opened.append(Opened(recognizer, engine, chain, reports))
        return opened[-1]

    yield open_one
    for one in opened:
        one.recognizer.gate.set()
        one.chain.stop()


@contextmanager
def thread(work: Callable[[], object]) -> Iterator[threading.Thread]:
    started = threading.Thread(target=work, daemon=True)
    started.start()
    yield started
    started.join(PATIENCE)
    assert not started.is_alive()


def test_words_come_back_to_their_chunk_and_place(open_engine: Open) -> None:
    here = open_engine()
    here.recognizer.gate.set()
    for at in range(9):
        here.submit(here.task(at * 10, seconds=1 + at / 10, value=at, job=f"job-{at % 2}"))
    here.chain.start()
    found = here.delivered(9)
    for at in range(9):
        part = found[at * 10]
        (word,) = part.tokens
        assert word.text == f" {int((1 + at / 10) * SAMPLE_RATE)}:{at}"
        assert (word.start, word.end) == (at * 10, at * 10 + 1)
        assert part.engine is Engine.PARAKEET_CPU
    assert max(here.recognizer.begun.get(timeout=PATIENCE) for _ in range(3)) == 4


def test_a_full_room_makes_decoders_wait(open_engine: Open) -> None:
    here = open_engine(max_queued_seconds=10)
    for at in range(10):
        here.submit(here.task(at))
    accepted = threading.Event()

    def one_more() -> None:
        here.submit(here.task(10))
        accepted.set()

    with thread(one_more):
        assert not accepted.wait(0.2)
        here.recognizer.gate.set()
        here.chain.start()
        assert accepted.wait(PATIENCE)
    assert sorted(here.delivered(11)) == list(range(11))


def test_a_chunk_longer_than_the_room_is_taken_when_it_is_empty(open_engine: Open) -> None:
    here = open_engine(max_queued_seconds=1)
    here.recognizer.gate.set()
    here.submit(here.task(0, seconds=30))
    here.chain.start()
    assert len(here.delivered(1)[0].tokens) == 1


@pytest.mark.parametrize("broken", range(4))
@pytest.mark.parametrize("value", [BROKEN, UNFIT])
def test_a_broken_chunk_fails_alone(open_engine: Open, broken: int, value: float) -> None:
    here = open_engine()
    here.recognizer.gate.set()
    for at in range(4):
        here.submit(here.task(at, value=value if at == broken else at))
    here.chain.start()
    found = here.delivered(4)
    assert {at for at, part in found.items() if part.failure} == {broken}
    assert "ValueError" in (found[broken].failure or "")
    assert all(part.tokens for at, part in found.items() if at != broken)
    assert here.engine.failure is None


def test_a_batch_too_large_for_the_memory_is_halved_and_not_tried_again(open_engine: Open) -> None:
    here = open_engine()
    here.recognizer.room_for = 1
    here.recognizer.gate.set()
    for at in range(24):
        here.submit(here.task(at, value=at))
    here.chain.start()
    assert all(part.tokens for part in here.delivered(24).values())
    assert here.reports.smaller[-1].largest(SAMPLE_RATE) == 1
    assert len(here.reports.batches[-1]) == 1


def test_an_answer_that_cannot_be_read_fails_its_batch_only(open_engine: Open) -> None:
    here = open_engine()
    here.recognizer.gate.set()
    for at in range(4):
        here.submit(here.task(at, value=MUTE if at == 2 else at))
    here.chain.start()
    assert all(part.failure for part in here.delivered(4).values())
    here.submit(here.task(9))
    assert here.delivered(1)[9].tokens
    assert here.engine.failure is None


def test_failures_with_successes_between_them_do_not_stop_the_engine(open_engine: Open) -> None:
    here = open_engine()
    here.recognizer.gate.set()
    here.chain.start()
    for at in range(4 * FAILURES_IN_A_ROW):
        here.submit(here.task(at, value=BROKEN if at % 2 else at))
        here.delivered(1)
    assert here.engine.failure is None


def test_an_engine_that_fails_again_and_again_stops(open_engine: Open) -> None:
    here = open_engine()
    here.recognizer.gate.set()
    for at in range(8):
        here.submit(here.task(at, value=BROKEN, job=f"job-{at % 2}"))
    here.chain.start()
    assert len(here.delivered(FAILURES_IN_A_ROW - 1)) == FAILURES_IN_A_ROW - 1
    # The engine's thread notes the failure a moment after its last delivery; until then chunks are accepted.
    with pytest.raises(EngineFailed, match="in a row"):
        all(here.submit(here.task(99, seconds=300)) is None for _ in iter(int, 1))
    assert here.parts.empty()


def test_one_uploads_broken_chunks_do_not_take_the_engine_from_the_others(open_engine: Open) -> None:
    here = open_engine()
    here.recognizer.gate.set()
    for at in range(FAILURES_OF_ONE_UPLOAD - 1):
        here.submit(here.task(at, value=BROKEN))
    here.chain.start()
    assert len(here.delivered(FAILURES_OF_ONE_UPLOAD - 1)) == FAILURES_OF_ONE_UPLOAD - 1
    here.submit(here.task(99, job="another"))
    assert here.delivered(1)[99].tokens
    assert here.engine.failure is None


def test_what_waits_may_be_dropped_while_the_engine_waits_for_a_fuller_batch(open_engine: Open) -> None:
    here = open_engine()
    here.recognizer.gate.set()
    here.engine.add_feeder()
    here.chain.start()
    for _ in range(5):
        here.submit(here.task(0, job="ended"))
        here.engine.drop("ended")
    here.submit(here.task(7))
    assert here.delivered(1)[7].tokens


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (EngineFailed("There is no model.", FailureKind.MODEL_LOAD), FailureKind.MODEL_LOAD),
        (RuntimeError("CUDA error"), FailureKind.INTERNAL),
    ],
    ids=["known", "unknown"],
)
def test_who_waits_for_an_engine_that_cannot_start_learns_why(
    open_engine: Open, error: Exception, kind: FailureKind
) -> None:
    def load() -> FakeRecognizer:
        raise error

    here = open_engine(max_queued_seconds=1, load=load)
    here.submit(here.task(0))
    refused: Queue[Exception] = Queue()

    def one_more() -> None:
        try:
            here.submit(here.task(1))
        except EngineFailed as failure:
            refused.put(failure)

    with thread(one_more):
        here.chain.start()
        failure = refused.get(timeout=PATIENCE)
    assert isinstance(failure, EngineFailed)
    assert failure is here.engine.failure
    assert failure.kind is kind


def test_stopping_frees_who_waits_and_takes_no_new_batch(open_engine: Open) -> None:
    here = open_engine(max_queued_seconds=4)
    here.chain.start()
    for at in range(4):
        here.submit(here.task(at))
    assert here.recognizer.begun.get(timeout=PATIENCE) >= 1
    refused: Queue[str] = Queue()

    def more() -> None:
        try:
            while True:
                here.submit(here.task(9))
        except EngineFailed as failure:
            refused.put(failure.reason)

    with thread(more):
        here.engine.stop()
        assert "stopped" in refused.get(timeout=PATIENCE)
    here.recognizer.gate.set()
    assert here.delivered(1)
    assert here.engine.failure is None
    assert here.recognizer.begun.empty()


def test_chunks_of_a_job_that_ended_are_dropped_and_make_room(open_engine: Open) -> None:
    here = open_engine(max_queued_seconds=4)
    for at in range(4):
        here.submit(here.task(at, job="ended" if at % 2 else "going on"))
    here.engine.drop("ended")
    here.submit(here.task(8, seconds=2))
    here.recognizer.gate.set()
    here.chain.start()
    assert sorted(here.delivered(3)) == [0, 2, 8]
    assert here.parts.empty()


def test_a_batch_waits_a_moment_for_decoders_that_are_feeding(open_engine: Open) -> None:
    here = open_engine()
    here.recognizer.gate.set()
    here.engine.add_feeder()
    here.submit(here.task(0))
    here.chain.start()
    # One chunk, a decoder that never gives another: the moment passes and the chunk is run.
    assert sorted(here.delivered(1)) == [0]
