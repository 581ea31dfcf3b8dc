"""Deepgram as one of the job's engines: the production client against the laptop's Deepgram."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from queue import Queue

import numpy as np
import pytest
import stamina

from gpu_job.asr.tokens import words_of
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE, seconds
from gpu_job.engines.api_call import ApiCall
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.deepgram import CALLS_AT_ONCE, MAX_WAITING, DeepgramEngine
from gpu_job.engines.listener import EngineListener
from gpu_job.engines.local import LocalEngine
from gpu_job.engines.task import Task
from infra.emulators.deepgram_server import DeepgramServer
from infra.recordings import recording
from shared.deepgram import Deepgram
from shared.enums import Engine
from shared.errors import EngineFailed, FailureKind
from shared.settings.deepgram import DeepgramSettings
from tests.support.fake_recognizer import FakeRecognizer
from tests.support.faulty_deepgram import FaultyDeepgramServer
from tests.support.waiting import PATIENCE, wait_until

SERVER_ERROR, NO_CREDIT, UNKNOWN_KEY = 500, 402, 401


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=2, cap=True):
        yield


@dataclass
class Calls(EngineListener):
    """Samples of each job that Deepgram may bill."""

    samples: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    """Of them those that it does bill."""

    def call_started(self, engine: Engine, call: ApiCall) -> None:
        self.samples.update({call.job_id: call.sent_samples})

    def call_answered(self, engine: Engine, call: ApiCall) -> None:
        self.answered.update({call.job_id: call.sent_samples})

    def call_not_billed(self, engine: Engine, call: ApiCall) -> None:
        self.samples.subtract({call.job_id: call.sent_samples})


@dataclass
class Line:
    """Deepgram, with Parakeet beside it, and what came out of them."""

    deepgram: DeepgramEngine
    chain: EngineChain
    calls: Calls
    parts: Queue[ChunkResult] = field(default_factory=Queue)

    def task(self, chunk: Chunk, job: str = "job") -> Task:
        return Task(job, chunk, self.parts.put)

    def tone(self, at: int, job: str = "job") -> Task:
        """A chunk of a second in which nobody speaks."""
        return self.task(Chunk(at * SAMPLE_RATE, np.zeros(SAMPLE_RATE, np.float32)), job)

    def delivered(self, count: int) -> list[ChunkResult]:
        """The next parts, by time."""
        return sorted((self.parts.get(timeout=PATIENCE) for _ in range(count)), key=lambda part: part.start)


Opened = Callable[..., Line]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """`opened(url, key)`: Deepgram first, then Parakeet."""
    lines: list[Line] = []
    recognizer = FakeRecognizer()
    recognizer.gate.set()

    def make(
        url: str,
        key: str = "any",
        connect: Callable[[], Deepgram] | None = None,
        timeout_seconds: float = PATIENCE,
        calls: Calls | None = None,
    ) -> Line:
        settings = DeepgramSettings(deepgram_api_key=key, deepgram_base_url=url, deepgram_attempts=2)
        chain, calls = EngineChain(), calls or Calls()
        connect = connect or (lambda: Deepgram(settings, "nova-3"))
        deepgram = DeepgramEngine(connect, "nova-3", "en", chain, calls, timeout_seconds=timeout_seconds)
        chain.add(deepgram)
        chain.add(LocalEngine(Engine.PARAKEET_CPU, "counting", lambda: recognizer, 1000.0, chain))
        chain.start()
        lines.append(Line(deepgram, chain, calls))
        return lines[-1]

    yield make
    for line in lines:
        line.chain.stop()


@pytest.fixture
def stalled(deepgram_server: DeepgramServer) -> DeepgramServer:
    """Takes calls, and answers none of them."""
    deepgram_server.stall_next(MAX_WAITING + CALLS_AT_ONCE, 60.0)
    return deepgram_server


def said(part: ChunkResult) -> list[str]:
    return [word.text for word in words_of(part.tokens)]


def test_a_range_and_its_chunks_one_by_one_give_the_same_words_in_the_same_places(
    opened: Opened, shared_deepgram_server: DeepgramServer, deepgram_key: str, long_chunks: list[Chunk]
) -> None:
    line = opened(shared_deepgram_server.url, deepgram_key)
    chunks = long_chunks[5:9]
    calls = len(shared_deepgram_server.requests)
    line.deepgram.submit_range([line.task(chunk) for chunk in chunks])
    together = line.delivered(len(chunks))
    assert len(shared_deepgram_server.requests) == calls + 1
    for chunk in chunks:
        line.chain.submit(line.task(chunk))
    apart = line.delivered(len(chunks))
    truth = recording("long_seen.opus").words
    for chunk, one, other in zip(chunks, together, apart, strict=True):
        assert (one.start, one.end, one.engine) == (chunk.start, chunk.end, Engine.DEEPGRAM)
        assert not one.is_fallback
        assert len(said(one)) == pytest.approx(len(said(other)), abs=2)
        inside = [word for word in truth if seconds(chunk.start) <= word.start < seconds(chunk.end)]
        assert len(said(one)) == pytest.approx(len(inside), abs=3)
        assert all(seconds(chunk.start) <= token.start <= token.end <= seconds(chunk.end) for token in one.tokens)


def test_a_call_is_reported_before_its_results(deepgram_key: str, shared_deepgram_server: DeepgramServer) -> None:
    """The last result ends its job: what the report changes in the job's bill would come too late."""
    order: Queue[str] = Queue()

    class Noting(EngineListener):
        def batch_finished(self, engine: Engine, tasks: Sequence[Task]) -> None:
            order.put("call")

    settings = DeepgramSettings(deepgram_api_key=deepgram_key, deepgram_base_url=shared_deepgram_server.url)
    engine = DeepgramEngine(
        lambda: Deepgram(settings, "nova-3"), "nova-3", "en", EngineChain(), Noting(), timeout_seconds=PATIENCE
    )
    chunk = Chunk(0, np.zeros(SAMPLE_RATE, np.float32))
    engine.submit(Task("job", chunk, lambda result: order.put("result")), wait=True)
    assert [order.get(timeout=PATIENCE) for _ in range(2)] == ["call", "result"]
    engine.stop()


def test_what_deepgram_fails_on_its_neighbour_does(opened: Opened, deepgram_server: DeepgramServer) -> None:
    deepgram_server.fail_next(1, SERVER_ERROR)
    line = opened(deepgram_server.url)
    line.deepgram.submit_range([line.tone(0), line.tone(1)])
    parts = line.delivered(2)
    assert {part.engine for part in parts} == {Engine.PARAKEET_CPU}
    assert all(part.is_fallback for part in parts)
    assert line.deepgram.failure is None
    assert line.deepgram.pending_seconds("job") == 0


@pytest.mark.parametrize(("status", "is_billed"), [(SERVER_ERROR, True), (400, False), (429, False)])
def test_a_call_that_fails_is_billed_where_deepgram_may_have_done_it(
    opened: Opened, deepgram_server: DeepgramServer, status: int, is_billed: bool
) -> None:
    deepgram_server.fail_next(2, status)
    line = opened(deepgram_server.url)
    line.chain.submit(line.tone(0))
    line.delivered(1)
    assert line.calls.samples["job"] == (SAMPLE_RATE if is_billed else 0)


def test_chunks_that_nobody_wants_any_more_are_neither_sent_nor_passed_on(
    opened: Opened, deepgram_server: DeepgramServer
) -> None:
    """Neither those that wait for their call, nor those of a call whose report cancels them."""
    cancelled = threading.Event()

    class Cancelling(Calls):
        def call_started(self, engine: Engine, call: ApiCall) -> None:
            super().call_started(engine, call)
            cancelled.set()

    line = opened(deepgram_server.url, calls=Cancelling())
    for at in range(2):
        line.chain.submit(replace(line.tone(at), is_cancelled=cancelled.is_set))
        wait_until(lambda: not line.chain.has_tasks("job"), "the call to be over")
    assert (line.calls.samples["job"], len(deepgram_server.requests)) == (0, 0)
    assert line.parts.empty()


def test_a_call_is_on_the_bill_before_its_answer_comes(opened: Opened, stalled: DeepgramServer) -> None:
    line = opened(stalled.url)
    line.chain.submit(line.tone(0))
    wait_until(lambda: line.calls.samples["job"] == SAMPLE_RATE, "a call that is counted")


@pytest.mark.parametrize(
    ("status", "kind"), [(UNKNOWN_KEY, FailureKind.CREDENTIALS), (NO_CREDIT, FailureKind.QUOTA)], ids=["key", "credit"]
)
def test_after_a_failure_that_every_call_would_meet_no_more_are_made(
    opened: Opened, deepgram_server: DeepgramServer, status: int, kind: FailureKind, caplog: pytest.LogCaptureFixture
) -> None:
    deepgram_server.fail_next(1, status)
    line = opened(deepgram_server.url)
    line.chain.submit(line.tone(0))
    line.delivered(1)
    assert line.deepgram.failure is not None
    assert line.deepgram.failure.kind is kind
    assert not line.deepgram.has_capacity
    line.chain.submit(line.tone(1))
    line.deepgram.submit_range([line.tone(2), line.tone(3)])
    assert {part.engine for part in line.delivered(3)} == {Engine.PARAKEET_CPU}
    assert len(deepgram_server.requests) == 1
    assert caplog.messages.count("engine failed for good") == 1


def test_calls_that_wait_when_the_key_is_refused_are_not_made(opened: Opened, deepgram_server: DeepgramServer) -> None:
    line = opened(deepgram_server.url, "wrong key")
    for at in range(5 * CALLS_AT_ONCE):
        line.chain.submit(line.tone(at))
    assert {part.engine for part in line.delivered(5 * CALLS_AT_ONCE)} == {Engine.PARAKEET_CPU}
    assert len(deepgram_server.requests) <= 2 * CALLS_AT_ONCE


def test_chunks_survive_whatever_the_client_dies_of(opened: Opened) -> None:
    def broken() -> Deepgram:
        raise ZeroDivisionError

    line = opened("http://127.0.0.1:9", connect=broken)
    line.chain.submit(line.tone(0))
    (part,) = line.delivered(1)
    assert part.engine is Engine.PARAKEET_CPU
    assert line.deepgram.failure is None


def test_waiting_calls_of_an_ended_job_are_not_made_and_the_job_may_come_again(
    opened: Opened, stalled: DeepgramServer
) -> None:
    line = opened(stalled.url)
    for at in range(CALLS_AT_ONCE):
        line.chain.submit(line.tone(at, "other"))
    line.chain.submit(line.tone(0, "ended"))
    assert line.deepgram.pending_seconds("ended") == 1
    line.deepgram.drop("ended")
    assert line.deepgram.pending_seconds("ended") == 0
    line.chain.submit(line.tone(1, "ended"))
    assert line.deepgram.pending_seconds("ended") == 1
    assert line.deepgram.pending_seconds("other") == CALLS_AT_ONCE


def test_a_full_room_makes_decoders_wait_until_it_is_stopped(opened: Opened, stalled: DeepgramServer) -> None:
    line = opened(stalled.url)
    assert line.deepgram.has_capacity
    for at in range(MAX_WAITING):
        line.chain.submit(line.tone(at))
    assert not line.deepgram.has_capacity
    refused: Queue[str] = Queue()

    def one_more() -> None:
        try:
            line.deepgram.submit(line.tone(99), wait=True)
        except EngineFailed as error:
            refused.put(error.reason)

    decoder = threading.Thread(target=one_more, daemon=True)
    decoder.start()
    decoder.join(0.2)
    assert decoder.is_alive()
    line.deepgram.stop()
    assert "stopped" in refused.get(timeout=PATIENCE)


def test_a_chunk_that_both_fail_on_has_both_reasons(opened: Opened, deepgram_server: DeepgramServer) -> None:
    deepgram_server.fail_next(1, SERVER_ERROR)
    line = opened(deepgram_server.url)
    asked = {Engine.PARAKEET_CPU: EngineFailed("Too large.", FailureKind.OUT_OF_MEMORY)}
    line.chain.submit(replace(line.tone(0), failures=asked))
    (part,) = line.delivered(1)
    assert part.failure == "Too large. Deepgram answered 500."


def test_a_late_answer_is_delivered_behind_the_other_engines(
    opened: Opened, shared_deepgram_server: FaultyDeepgramServer, deepgram_key: str
) -> None:
    others_are_done = threading.Event()
    shared_deepgram_server.stall_until(others_are_done)
    line = opened(shared_deepgram_server.url, deepgram_key, timeout_seconds=0.2)
    line.chain.submit(line.tone(0))
    first = line.parts.get(timeout=PATIENCE)
    others_are_done.set()
    second = line.parts.get(timeout=PATIENCE)
    assert (first.engine, first.is_fallback) == (Engine.PARAKEET_CPU, True)
    assert (second.engine, second.is_fallback) == (Engine.DEEPGRAM, False)
    assert line.calls.samples["job"] == line.calls.answered["job"] == SAMPLE_RATE


def test_a_late_refusal_is_not_billed(
    opened: Opened, shared_deepgram_server: FaultyDeepgramServer, deepgram_key: str
) -> None:
    others_are_done = threading.Event()
    shared_deepgram_server.stall_until(others_are_done)
    line = opened(shared_deepgram_server.url, "not the key", timeout_seconds=0.2)
    line.chain.submit(line.tone(0))
    (part,) = line.delivered(1)
    assert part.engine is Engine.PARAKEET_CPU
    assert line.calls.samples["job"] == SAMPLE_RATE
    others_are_done.set()
    wait_until(lambda: line.calls.samples["job"] == 0, "the refusal")
    assert line.deepgram.failure is None


def test_an_answer_that_no_other_engine_can_give_is_waited_for(
    opened: Opened, shared_deepgram_server: FaultyDeepgramServer, deepgram_key: str
) -> None:
    shared_deepgram_server.stall_next(1, 1.0)
    line = opened(shared_deepgram_server.url, deepgram_key, timeout_seconds=0.2)
    tried = {Engine.PARAKEET_CPU: EngineFailed("Too large.", FailureKind.OUT_OF_MEMORY)}
    line.chain.submit(replace(line.tone(0), failures=tried))
    (part,) = line.delivered(1)
    assert (part.engine, part.failure) == (Engine.DEEPGRAM, None)
