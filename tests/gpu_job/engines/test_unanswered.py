"""A chunk that no engine has any more is answered with a failure; one that an engine still has is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.chunker import Chunk
from gpu_job.engines import unanswered
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.local import LocalEngine
from gpu_job.engines.task import Task
from gpu_job.engines.unanswered import LOST_REASON, UnansweredTasks
from tests.support.fake_recognizer import FakeRecognizer
from tests.support.sounds import noise


@dataclass
class Job:
    """One job's chunks and their results; the engine waits for its gate."""

    recognizer: FakeRecognizer = field(default_factory=FakeRecognizer)
    chain: EngineChain = field(default_factory=EngineChain)
    results: list[ChunkResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        recognizer = self.recognizer
        self.chain.add(LocalEngine(recognizer.engine, recognizer.name, lambda: recognizer, 1000.0, self.chain))
        self.chain.start()
        self.tasks = UnansweredTasks(self.chain, "job")

    def submit(self, start: int) -> None:
        self.tasks.submit(Task("job", Chunk(start, noise(1, -20)), self.results.append))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets time pass."""
    now = [100.0]
    monkeypatch.setattr(unanswered.time, "monotonic", lambda: now[0])

    def advance(seconds: float) -> None:
        now[0] += seconds

    return advance


def test_a_chunk_that_an_engine_has_is_waited_for(clock: Callable[[float], None]) -> None:
    job = Job()
    job.submit(0)
    for _ in range(3):
        job.tasks.fail_lost()
        clock(60)
    assert job.results == []
    job.chain.stop()


def test_a_chunk_that_is_nowhere_is_lost_after_a_while(clock: Callable[[float], None]) -> None:
    job = Job()
    job.submit(0)
    job.submit(16_000)
    job.chain.drop("job")
    job.recognizer.gate.set()
    while job.chain.has_tasks("job"):
        pass
    left = 2 - len(job.results)
    job.tasks.fail_lost()
    clock(unanswered.LOST_AFTER_SECONDS / 2)
    job.tasks.fail_lost()
    assert [one.failure for one in job.results if one.failure] == []
    clock(unanswered.LOST_AFTER_SECONDS)
    job.tasks.fail_lost()
    assert [one.failure for one in job.results if one.failure] == [LOST_REASON] * left
    assert sorted(one.start for one in job.results) == [0, 16_000]
    clock(unanswered.LOST_AFTER_SECONDS)
    job.tasks.fail_lost()
    assert len(job.results) == 2
    job.chain.stop()


def test_where_no_engine_is_left_chunks_stay_unanswered(clock: Callable[[float], None]) -> None:
    job = Job()
    job.submit(0)
    job.chain.drop("job")
    job.chain.stop()
    job.tasks.fail_lost()
    clock(unanswered.LOST_AFTER_SECONDS)
    job.tasks.fail_lost()
    assert [one for one in job.results if one.failure] == []
