"""The engine chain: what one engine cannot do the next one does, and every chunk gets one answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from queue import Empty, Queue

import numpy as np
import pytest

from gpu_job.asr.batching import BatchLimits
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from gpu_job.engines.batch_stages import FAILURES_IN_A_ROW
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.deepgram import DeepgramEngine
from gpu_job.engines.listener import EngineListener
from gpu_job.engines.local import LocalEngine
from gpu_job.engines.task import Task
from gpu_job.engines.time_limits import TimeLimits
from shared.deepgram import Deepgram
from shared.enums import Engine
from shared.errors import EngineFailed, FailureKind
from tests.support.fake_recognizer import BROKEN, MUTE, UNFIT, FakeRecognizer
from tests.support.waiting import PATIENCE

GPU, CPU = Engine.PARAKEET_GPU, Engine.PARAKEET_CPU
BAD_FILE = -4.0
"""The first sample of a chunk that is the file's fault."""


class Strict(FakeRecognizer):
    """Tells a bad chunk from its own trouble."""

    def run(self, batch: Sequence[Samples]) -> Sequence[Samples]:
        if any(samples[0] == BAD_FILE for samples in batch):
            raise EngineFailed("No sound.", FailureKind.BAD_MEDIA)
        return super().run(batch)


@dataclass
class Line(EngineListener):
    """Parakeet on a GPU and on a CPU that can do anything, and what came out of them."""

    gpu: FakeRecognizer = field(default_factory=lambda: Strict(engine=GPU, name="large"))
    cpu: FakeRecognizer = field(default_factory=lambda: FakeRecognizer(engine=CPU, name="small", survives=True))
    load: dict[Engine, EngineFailed] = field(default_factory=dict)
    """Engines that cannot be loaded, and why."""
    may_load: threading.Event = field(default_factory=threading.Event)
    loaded: list[Engine] = field(default_factory=list)
    parts: Queue[ChunkResult] = field(default_factory=Queue)
    left_open: Queue[EngineFailed] = field(default_factory=Queue)
    gone: Queue[tuple[Engine, FailureKind, Sequence[str]]] = field(default_factory=Queue)
    finished: Queue[str] = field(default_factory=Queue)
    """Jobs of the tasks in each batch that is over."""

    def chain(
        self,
        *,
        deepgram: bool = False,
        fallback: bool = True,
        max_queued_seconds: float = 1000.0,
        limits: TimeLimits | None = None,
    ) -> EngineChain:
        """`deepgram`: whether Deepgram, which must not be called, comes last."""
        chain = EngineChain(fallback=fallback, listener=self)
        for recognizer in (self.gpu, self.cpu):
            load = partial(self._loaded, recognizer)
            chain.add(LocalEngine(recognizer.engine, recognizer.name, load, max_queued_seconds, chain, self, limits))
        if deepgram:
            chain.add(DeepgramEngine(_never_connected, "nova-3", "en", chain, self, timeout_seconds=PATIENCE))
        return chain

    def batch_finished(self, engine: Engine, tasks: Sequence[Task]) -> None:
        for task in tasks:
            self.finished.put(task.job_id)

    def engine_failed(self, engine: Engine, error: EngineFailed, job_ids: Sequence[str]) -> None:
        self.gone.put((engine, error.kind, job_ids))

    def task(self, at: int, value: float = 0.0, job: str = "job", *, private: bool = False) -> Task:
        samples = np.full(SAMPLE_RATE, value, np.float32)
        chunk = Chunk(at * SAMPLE_RATE, samples)
        return Task(job, chunk, self.parts.put, stays_local=private, leave_open=self.left_open.put)

    def delivered(self, count: int) -> dict[int, ChunkResult]:
        """The next parts, by the second at which they begin; no chunk has two."""
        parts = [self.parts.get(timeout=PATIENCE) for _ in range(count)]
        found = {part.start // SAMPLE_RATE: part for part in parts}
        assert len(found) == count
        return found

    def _loaded(self, recognizer: FakeRecognizer) -> FakeRecognizer:
        assert self.may_load.wait(PATIENCE)
        self.loaded.append(recognizer.engine)
        if error := self.load.get(recognizer.engine):
            raise error
        return recognizer


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    made.cpu.gate.set()
    made.may_load.set()
    yield made
    made.may_load.set()
    made.gpu.gate.set()


def _never_connected() -> Deepgram:
    raise AssertionError("audio was about to leave")


@pytest.mark.parametrize("value", [BROKEN, UNFIT])
def test_a_chunk_that_breaks_one_engine_is_done_by_the_next_one_alone(line: Line, value: float) -> None:
    chain = line.chain()
    line.gpu.gate.set()
    for at in range(6):
        chain.submit(line.task(at, value if at == 3 else at))
    chain.start()
    found = line.delivered(6)
    assert {at: part.engine for at, part in found.items()} == {at: CPU if at == 3 else GPU for at in range(6)}
    assert [at for at, part in found.items() if part.is_fallback] == [3]
    assert all(part.tokens for part in found.values())
    assert chain.failure is None
    assert chain.model([GPU, CPU]) == "large + small"
    assert chain.model([CPU]) == "small"


def test_the_next_engine_is_loaded_only_when_it_is_needed(line: Line) -> None:
    chain = line.chain()
    line.gpu.gate.set()
    chain.start()
    chain.submit(line.task(0))
    line.delivered(1)
    assert line.loaded == [GPU]


def test_without_a_gpu_the_cpu_does_all_of_it(line: Line) -> None:
    line.load[GPU] = EngineFailed("No GPU.", FailureKind.MODEL_LOAD)
    line.may_load.clear()
    chain = line.chain()
    chain.start()
    for at in range(9):
        chain.submit(line.task(at, at, job=f"job-{at % 2}"))
    line.may_load.set()
    engine, kind, jobs = line.gone.get(timeout=PATIENCE)
    assert (engine, kind, sorted(jobs)) == (GPU, FailureKind.MODEL_LOAD, ["job-0", "job-1"])
    chain.submit(line.task(9))
    found = line.delivered(10)
    assert {part.engine for part in found.values()} == {CPU}
    assert all(part.is_fallback for part in found.values())
    assert chain.failure is None


@pytest.mark.parametrize("value", [BROKEN, UNFIT, MUTE])
def test_an_engine_that_dies_leaves_no_chunk_behind_and_none_is_answered_twice(line: Line, value: float) -> None:
    chain = line.chain()
    chunks = 60
    for at in range(chunks):
        chain.submit(line.task(at, value if at >= 10 else at))
    chain.start()
    # All three stages have something in hand when the failures begin.
    line.gpu.begun.get(timeout=PATIENCE)
    line.gpu.gate.set()
    found = line.delivered(chunks)
    assert line.gone.get(timeout=PATIENCE)[0] is GPU
    assert all(part.tokens for part in found.values())
    assert {found[at].engine for at in range(10, chunks)} == {CPU}
    with pytest.raises(Empty):
        line.parts.get(timeout=0.2)


def test_where_both_engines_die_the_rest_stays_unanswered_for_another_attempt(line: Line) -> None:
    line.load[GPU] = EngineFailed("No GPU.", FailureKind.MODEL_LOAD)
    line.load[CPU] = EngineFailed("No model.", FailureKind.MODEL_LOAD)
    line.may_load.clear()
    chain = line.chain()
    chain.start()
    chain.submit(line.task(0))
    line.may_load.set()
    assert {line.gone.get(timeout=PATIENCE)[0] for _ in range(2)} == {GPU, CPU}
    assert chain.failure is not None
    assert (chain.failure.reason, chain.failure.kind) == ("No GPU. No model.", FailureKind.MODEL_LOAD)
    with pytest.raises(EngineFailed, match="No GPU"):
        chain.submit(line.task(1))
    assert line.parts.empty()


def test_without_fallback_only_the_first_engine_is_asked(line: Line) -> None:
    chain = line.chain(fallback=False)
    line.gpu.gate.set()
    for at in range(4):
        chain.submit(line.task(at, BROKEN if at == 2 else at))
    chain.start()
    found = line.delivered(4)
    assert "ValueError" in (found[2].failure or "")
    assert line.loaded == [GPU]
    for at in range(10, 10 + FAILURES_IN_A_ROW):
        chain.submit(line.task(at, BROKEN, job=f"job-{at % 2}"))
    line.gone.get(timeout=PATIENCE)
    assert chain.failure is not None
    assert line.loaded == [GPU]


def test_without_fallback_a_second_opinion_is_asked_all_the_same(line: Line) -> None:
    """The upload's owner wants it, and it takes nobody's place."""

    def connect() -> Deepgram:
        raise EngineFailed("Deepgram was asked.")

    chain = line.chain(fallback=False)
    chain.add(DeepgramEngine(connect, "nova-3", "en", chain, line, timeout_seconds=PATIENCE))
    chain.start()
    heard = EngineFailed("It heard the recording already.")
    task = replace(line.task(0), failures={GPU: heard, CPU: heard})
    with pytest.raises(EngineFailed, match="already"):
        chain.submit(task)
    chain.submit(replace(task, any_engine=True))
    assert "Deepgram was asked." in (line.delivered(1)[0].failure or "")


def test_what_may_not_leave_is_given_up_with_reasons_where_only_deepgram_is_left(
    line: Line,
) -> None:
    """No other process of this deployment would have a model either."""
    reasons = {GPU: "No GPU.", CPU: "No model."}
    line.load = {engine: EngineFailed(reason, FailureKind.MODEL_LOAD) for engine, reason in reasons.items()}
    line.may_load.clear()
    chain = line.chain(deepgram=True)
    chain.start()
    chain.submit(line.task(0, job="private", private=True))
    line.may_load.set()
    part = line.delivered(1)[0]
    assert part.failure == "No GPU. No model."
    assert line.left_open.empty()
    assert (chain.failure, chain.process_failure) == (None, None)
    with pytest.raises(EngineFailed, match="No model"):
        chain.submit(line.task(1, private=True))


class Lost(FakeRecognizer):
    """Loses its GPU in the first batch."""

    def run(self, batch: Sequence[Samples]) -> Sequence[Samples]:
        super().run(batch)
        raise EngineFailed("The GPU failed.", FailureKind.GPU_LOST)


def test_what_may_not_leave_a_process_that_lost_its_gpu_stays_unanswered_for_another_attempt(line: Line) -> None:
    """The model on the CPU asks CUDA, too: it is not even loaded."""
    line.gpu = Lost(engine=GPU)
    chain = line.chain(deepgram=True)
    chain.start()
    for at in range(6):
        chain.submit(line.task(at, private=True))
    line.gpu.gate.set()
    assert {line.left_open.get(timeout=PATIENCE).reason for _ in range(6)} == {"The GPU failed."}
    assert line.parts.empty()
    assert chain.failure is None
    assert chain.process_failure is not None
    assert chain.process_failure.kind is FailureKind.GPU_LOST
    with pytest.raises(EngineFailed, match="The GPU failed"):
        chain.submit(line.task(9, private=True))
    assert line.loaded == [GPU]


def test_a_model_that_hangs_leaves_its_chunks_and_delivers_none_of_them_later(line: Line) -> None:
    line.gpu.batch_limits = BatchLimits(1, SAMPLE_RATE)
    chain = line.chain(deepgram=True, limits=TimeLimits(batch_seconds=0.01))
    chain.start()
    for at in range(6):
        chain.submit(line.task(at, private=True))
    assert all("did not answer" in line.left_open.get(timeout=PATIENCE).reason for _ in range(6))
    assert line.gone.get(timeout=PATIENCE)[:2] == (GPU, FailureKind.MODEL_HUNG)
    assert line.loaded == [GPU]
    line.gpu.gate.set()
    assert line.finished.get(timeout=PATIENCE) == "job"
    with pytest.raises(Empty):
        line.parts.get(timeout=0.2)
    assert line.gone.empty()


def test_a_model_that_hangs_while_it_is_loaded_is_left(line: Line) -> None:
    line.may_load.clear()
    chain = line.chain(limits=TimeLimits(load_seconds=0.01))
    chain.submit(line.task(0))
    chain.start()
    assert line.gone.get(timeout=PATIENCE) == (GPU, FailureKind.MODEL_HUNG, ["job"])
    assert chain.failure is not None
    assert line.parts.empty()


def test_engines_that_fail_in_a_row_may_work_in_another_process(line: Line) -> None:
    line.cpu.survives = False
    chain = line.chain(deepgram=True)
    chain.start()
    for at in range(2 * FAILURES_IN_A_ROW):
        chain.submit(line.task(at, BROKEN, job=f"job-{at % 2}", private=True))
    line.gpu.gate.set()
    assert {line.gone.get(timeout=PATIENCE)[0] for _ in range(2)} == {GPU, CPU}
    assert "in a row" in line.left_open.get(timeout=PATIENCE).reason
    assert chain.failure is None
    assert chain.process_failure is not None


def test_a_bad_chunk_is_bad_for_every_engine(line: Line) -> None:
    chain = line.chain()
    line.gpu.gate.set()
    chain.submit(line.task(0, BAD_FILE))
    chain.start()
    part = line.delivered(1)[0]
    assert (part.failure, part.engine) == ("No sound.", GPU)
    assert line.loaded == [GPU]


def refused(submit: Callable[[], None]) -> str:
    """Submit until nobody takes any more; why."""
    try:
        while True:
            submit()
    except EngineFailed as error:
        return error.reason


def test_a_stopped_chain_keeps_no_decoder_waiting_at_any_engine(line: Line) -> None:
    chain = line.chain(max_queued_seconds=4)
    chain.start()
    reasons: Queue[str] = Queue()
    decoder = threading.Thread(target=lambda: reasons.put(refused(lambda: chain.submit(line.task(0)))), daemon=True)
    decoder.start()
    line.gpu.begun.get(timeout=PATIENCE)
    chain.stop()
    assert reasons.get(timeout=PATIENCE) == "The engine was stopped."
    assert line.loaded == [GPU]


def test_an_engine_that_fails_while_the_chain_stops_answers_for_nobody(line: Line) -> None:
    chain = line.chain()
    chain.start()
    chain.submit(line.task(0, BROKEN))
    line.gpu.begun.get(timeout=PATIENCE)
    chain.stop()
    line.gpu.gate.set()
    assert line.finished.get(timeout=PATIENCE) == "job"
    assert line.parts.empty()
