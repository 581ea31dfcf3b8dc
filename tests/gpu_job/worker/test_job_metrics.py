"""What the job measures of its batches, its execution and its GPU."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from queue import Queue

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_job.asr.batch_fill import Fill
from gpu_job.asr.gpu_metrics import watch_gpu
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.local import LocalEngine
from gpu_job.engines.task import Task
from gpu_job.settings import JobSettings
from gpu_job.worker.billing.bills import Billing
from gpu_job.worker.billing.meter import Meter
from gpu_job.worker.services import JobServices, TaskIdentity, job_services
from shared.costs.bill import instance_second_usd
from shared.enums import Engine
from tests.support.fake_recognizer import BROKEN, FakeRecognizer
from tests.support.loopback_cloud import LoopbackCloud
from tests.support.recorded_metrics import RecordedMetrics, Values, labels
from tests.support.waiting import PATIENCE

CPU = labels(engine="parakeet-cpu")


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=50))
def test_a_batch_is_full_where_all_chunks_are_as_long_as_the_longest(lengths: list[int]) -> None:
    fill = Fill.of(lengths)
    assert fill.share is not None
    assert 0 < fill.share <= 1
    assert (fill.share == 1) == (len(set(lengths)) == 1)


def test_the_fill_of_several_batches_is_that_of_all_their_room() -> None:
    batches = Fill.of([3 * SAMPLE_RATE, SAMPLE_RATE]) + Fill.of([10 * SAMPLE_RATE])
    assert (batches.audio_seconds, batches.padded_seconds) == (14, 16)
    assert Fill().share is None


def run(recognizer: FakeRecognizer, lengths: Sequence[int], broken: int | None = None) -> list[ChunkResult]:
    """Chunks of so many seconds through an engine of their own, all queued before it starts."""
    parts: Queue[ChunkResult] = Queue()
    chain = EngineChain()
    engine = LocalEngine(Engine.PARAKEET_CPU, "counting", lambda: recognizer, 1000.0, chain)
    chain.add(engine)
    recognizer.gate.set()
    for number, length in enumerate(lengths):
        samples = np.full(length * SAMPLE_RATE, BROKEN if number == broken else 0.0, np.float32)
        engine.submit(Task("job", Chunk(number * 100 * SAMPLE_RATE, samples), parts.put), wait=True)
    chain.start()
    try:
        return [parts.get(timeout=PATIENCE) for _ in lengths]
    finally:
        chain.stop()


def test_batches_are_measured(recorded_metrics: RecordedMetrics) -> None:
    run(FakeRecognizer(), [4, 3, 3, 2, 2])
    seen = recorded_metrics.collect()
    chunks, audio, fill, spent = (seen[f"dropscribe.batch.{name}", CPU] for name in ("chunks", "audio", "fill", "time"))
    assert all(isinstance(one, Values) and one.count == 2 for one in (chunks, audio, fill, spent))
    assert (chunks.sum, audio.sum) == (5, 14)
    # Four chunks of at most 4 s, 12 s in all; then one alone.
    assert fill.sum == pytest.approx(12 / 16 + 1)
    assert spent.sum > 0
    assert seen["dropscribe.audio", CPU] == 14


def test_what_a_broken_chunk_keeps_from_running_is_not_counted_twice(recorded_metrics: RecordedMetrics) -> None:
    parts = run(FakeRecognizer(), [4, 4, 4, 4], broken=2)
    assert sorted(part.failure is None for part in parts) == [False, True, True, True]
    seen = recorded_metrics.collect()
    assert seen["dropscribe.audio", CPU] == 12
    assert seen["dropscribe.batch.audio", CPU].sum == 12


@pytest.fixture
def services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobServices]:
    monkeypatch.setenv("JOB_GPU", "none")
    made = job_services(JobSettings(), TaskIdentity("transcribe-1", 0, 0))
    yield made
    made.publisher.stop()


def test_an_execution_tells_its_start_up_and_what_nobody_pays(
    services: JobServices, recorded_metrics: RecordedMetrics, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clock = chain((11.0, 12.0, 20.0, 24.0, 30.0), repeat(40.0))
    billing = Billing(Meter(began=0.0), services, clock=lambda: next(clock))
    tasks = [Task("j", Chunk(0, np.zeros(SAMPLE_RATE, np.float32)), lambda part: None)]
    for _ in range(2):
        billing.batch_started(Engine.PARAKEET_CPU)
        billing.batch_finished(Engine.PARAKEET_CPU, tasks)
    billing.close_execution()
    seen = recorded_metrics.collect()
    startup = seen["dropscribe.execution.startup", labels(device="cpu")]
    assert isinstance(startup, Values)
    # The second batch is no start-up.
    assert (startup.count, startup.sum) == (1, 12)
    whole = 40 * instance_second_usd(services.settings.shape, services.prices)
    assert seen["dropscribe.unbilled", labels()] == pytest.approx(whole)
    (line,) = [vars(record)["fields"] for record in caplog.records if record.message == "execution ended"]
    assert line == {
        "instance_seconds": 40.0,
        "startup_seconds": 12.0,
        "engine_seconds": 14.0,
        "audio_seconds": 2.0,
        "decode_seconds": 0.0,
        "decode_audio_seconds": 0.0,
        "batch_fill": 1.0,
        "speakers_seconds": 0.0,
        "speakers_audio_seconds": 0.0,
        "unbilled_usd": pytest.approx(whole),
    }


class Cuda:
    """torch.cuda of a machine with a GPU, as far as it is asked."""

    def __init__(self, *, nvml: bool) -> None:
        self._nvml = nvml

    def utilization(self) -> int:
        if not self._nvml:
            raise ModuleNotFoundError("nvidia-ml-py does not seem to be installed")
        return 75

    def mem_get_info(self) -> tuple[int, int]:
        return 6, 24


@pytest.mark.parametrize("nvml", [False, True])
def test_a_gpu_is_watched_as_far_as_it_can_be(nvml: bool, recorded_metrics: RecordedMetrics) -> None:
    before = recorded_metrics.levels().get("dropscribe.gpu.utilization")
    watch_gpu(Cuda(nvml=nvml))
    seen = recorded_metrics.levels()
    assert seen["dropscribe.gpu.memory.utilization"] == 0.75
    assert seen.get("dropscribe.gpu.utilization") == (0.75 if nvml else before)
