"""A shard whose worker is gone, or whose upload ended meanwhile: who is blamed, who goes on with it, what is left."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest

from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.samples import Samples
from gpu_job.engines.chain import EngineChain
from gpu_job.settings import JobSettings
from gpu_job.worker.attempt_end import AttemptEnd
from gpu_job.worker.billing.bills import Billing
from gpu_job.worker.billing.meter import Meter
from gpu_job.worker.engine_listener import WorkerEngineListener
from gpu_job.worker.jobs.claim import claim, own_items
from gpu_job.worker.jobs.running_jobs import RunningJobs
from gpu_job.worker.services import JobServices, job_services
from gpu_job.worker.subscription import WorkSubscription
from shared.clock import now
from shared.costs.shard_plan import Shard, shard_work_id
from shared.enums import Engine, Outcome
from shared.errors import BadMedia, EngineFailed, FailureKind
from shared.messages import WorkItem
from shared.state.job_result import rejected
from shared.state.jobs.record import Job, JobState
from tests.support.fixed_word_worker import (
    FixedWordRecognizer,
    FixedWordServices,
    fixed_word_services,
    item_of,
    queued,
    worker,
)
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import GPU_JOB, PROJECT, STATE, WORK_TOPIC, LoopbackCloud
from tests.support.waiting import PATIENCE
from tests.support.worker_services import as_task, running_job
from trigger_function.reconciler.open_jobs import reconcile_all

SHARDS = (Shard(0, 0, 6), Shard(1, 6, 12), Shard(2, 12, None))
"""Of a recording of 19 s."""


@pytest.fixture
def services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[FixedWordServices]:
    monkeypatch.setenv("WORK_IDLE_SECONDS", "0")
    monkeypatch.setenv("WORK_SUBSCRIPTION", f"{WORK_TOPIC}-test")
    monkeypatch.setenv("JOB_GPU", "none")
    monkeypatch.setenv("CHUNK_SECONDS", "5")
    with fixed_word_services() as made:
        yield made


def divided(cloud: LoopbackCloud, services: JobServices) -> tuple[Job, list[WorkItem]]:
    """An upload in shards, with no item on the queue; and their items."""
    job = queued(cloud, services, "long.opus")
    cloud.work_items()
    job = services.jobs.save(job, shards=SHARDS)
    return job, [item_of(job).model_copy(update={"shard": shard.number}) for shard in SHARDS]


def test_all_lost_shards_of_an_upload_are_one_failure_of_the_gpu(
    cloud: LoopbackCloud, services: FixedWordServices, make_services: MakeServices
) -> None:
    job, _ = divided(cloud, services)
    function = make_services(JOB_GPU="nvidia-l4")
    for shard in SHARDS:
        holder = f"{GPU_JOB.rpartition('/')[2]}-x{shard.number}/0"
        services.jobs.open_shard(job.record, shard, state=JobState.RUNNING, holder=holder, attempts=1)
    services.jobs.save(job, lease_until=now())
    assert reconcile_all(function) == {"queued again": 1}
    assert function.gpu.health().failures == {FailureKind.INTERNAL: 1}


def test_a_shard_given_back_after_a_fault_is_queued_again_and_nobody_is_blamed(
    cloud: LoopbackCloud, services: FixedWordServices, make_services: MakeServices
) -> None:
    job, _ = divided(cloud, services)
    function = make_services(JOB_GPU="nvidia-l4")
    services.jobs.open_shard(job.record, SHARDS[1], faults=1, retry_at=now(), started_at=now())
    services.jobs.save(job, lease_until=now())
    assert reconcile_all(function) == {"queued again": 1}
    assert function.gpu.health().failures == {}
    queued_again = services.jobs.load(job.id)
    assert queued_again is not None
    assert queued_again.record.dispatches == 0
    # The next time nobody has come.
    services.jobs.save(queued_again, lease_until=now())
    cloud.forget_executions()
    assert reconcile_all(function) == {"queued again": 1}
    assert function.gpu.health().failures == {FailureKind.TIMEOUT: 1}


def test_an_engine_that_fails_with_two_shards_of_an_upload_is_one_failure_of_this_upload(
    services: FixedWordServices,
) -> None:
    listener = WorkerEngineListener(services, Billing(Meter(time.monotonic()), services), lambda _: None)
    error = EngineFailed("The GPU is gone.", FailureKind.INTERNAL)
    for numbers in ((0, 1), (2,), (3, 4)):
        listener.engine_failed(Engine.PARAKEET_GPU, error, [shard_work_id("job", number, 1) for number in numbers])
    assert services.gpu.health().failures == {FailureKind.INTERNAL: 1}


def test_a_killed_predecessors_shards_are_ours_at_once(cloud: LoopbackCloud, services: FixedWordServices) -> None:
    _, (first, second, third) = divided(cloud, services)
    assert claim(services, first).claimed is not None
    assert claim(as_task(services, "transcribe-2"), second).claimed is not None
    assert claim(services, third).claimed is not None
    again = as_task(services, services.task.execution, attempt=1)
    assert [item.shard for item in own_items(again)] == [0, 2]
    assert [item.shard for item in own_items(services)] == []
    result = claim(again, own_items(again)[0])
    assert result.claimed is not None
    assert result.claimed.job.record.shard == SHARDS[0]


def test_what_killed_a_worker_in_an_earlier_run_runs_alone_in_its_shards(
    cloud: LoopbackCloud, services: FixedWordServices
) -> None:
    job, items = divided(cloud, services)
    services.jobs.save(job, lost_attempts=1)
    assert claim(services, items[0], alone=False).must_run_alone
    assert claim(services, items[0], alone=True).claimed is not None


class Interrupted(FixedWordRecognizer):
    """While it hears a shard, somebody else ends the upload."""

    def __init__(self, services: JobServices, job: Job) -> None:
        super().__init__()
        self._services, self._job = services, job

    def prepare(self, batch: Sequence[Samples]) -> list[int]:
        if self._services.jobs.outcome(self._job.id) is None:
            self._services.finisher.finish(self._job.record, rejected(BadMedia("Nobody may have this.")))
        return super().prepare(batch)


@dataclass(frozen=True)
class InterruptedServices(JobServices):
    recognizer: Interrupted

    def load_model(self, engine: Engine) -> FixedWordRecognizer:
        return self.recognizer


def test_a_part_that_comes_behind_the_outcome_is_deleted(cloud: LoopbackCloud, services: FixedWordServices) -> None:
    job, items = divided(cloud, services)
    path = services.publisher.topic_path(PROJECT, WORK_TOPIC)
    services.publisher.publish(path, items[0].model_dump_json().encode()).result(timeout=PATIENCE)
    late = InterruptedServices(**vars(services), recognizer=Interrupted(services, job))
    assert worker(late, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()
    outcome = services.jobs.outcome(job.id)
    assert outcome is not None
    assert outcome.outcome is Outcome.REJECTED
    shard = services.jobs.load(shard_work_id(job.id, 0, 1))
    assert shard is not None
    assert (shard.record.state, shard.record.attempts) == (JobState.DONE, 1)
    assert cloud.names(STATE, f"jobs/{job.id}/parts/") == []


def test_engines_that_failed_with_one_shard_as_often_as_may_be_end_the_upload_as_they_would_a_whole_one(
    cloud: LoopbackCloud, services: FixedWordServices
) -> None:
    job, items = divided(cloud, services)
    tried = services.settings.max_attempts
    services.jobs.open_shard(job.record, SHARDS[1], attempts=tried, last_error="The model is broken.")
    assert claim(services, items[1]).claimed is None
    (message,) = cloud.terminal_messages()
    assert message.outcome is Outcome.FAILED
    assert "The last time: The model is broken." in str(message.reason)
    assert claim(services, items[0]).claimed is None


def test_an_upload_does_not_wait_while_shards_of_it_get_on(
    cloud: LoopbackCloud, services: FixedWordServices, make_services: MakeServices
) -> None:
    job, items = divided(cloud, services)
    long_ago = now() - timedelta(hours=services.settings.max_wait_hours + 1)
    job = services.jobs.save(job, received_at=long_ago, lease_until=now())
    services.jobs.open_shard(job.record, SHARDS[0], state=JobState.DONE, transcribed_seconds=6.0)
    services.jobs.open_shard(job.record, SHARDS[1], faults=1)
    # Its other shard was done just now: this one is tried again, and the reconciler does not give the upload up.
    assert reconcile_all(make_services(JOB_GPU="nvidia-l4")) == {"queued again": 1}
    assert claim(services, items[1]).claimed is not None
    assert cloud.terminal_messages() == []


def test_an_upload_of_which_no_shard_gets_on_waits_no_longer_than_a_whole_one(
    cloud: LoopbackCloud, services: FixedWordServices
) -> None:
    job, items = divided(cloud, services)
    long_ago = now() - timedelta(hours=services.settings.max_wait_hours + 1)
    job = services.jobs.save(job, received_at=long_ago)
    services.jobs.open_shard(job.record, SHARDS[0], state=JobState.DONE, lease_until=long_ago)
    services.jobs.open_shard(job.record, SHARDS[1], faults=1)
    assert claim(services, items[1]).claimed is None
    (message,) = cloud.terminal_messages()
    assert message.outcome is Outcome.FAILED
    assert "Nothing could transcribe the file within" in str(message.reason)


@pytest.mark.parametrize(("words_hours_ago", "waits"), [(1, True), (48, False)])
def test_a_shard_that_got_words_once_and_only_fails_since_does_not_keep_its_upload_waiting(
    cloud: LoopbackCloud, services: FixedWordServices, words_hours_ago: int, waits: bool
) -> None:
    job, items = divided(cloud, services)
    long_ago = now() - timedelta(hours=services.settings.max_wait_hours + 50)
    job = services.jobs.save(job, received_at=long_ago)
    words_at = now() - timedelta(hours=words_hours_ago)
    # Given back a moment ago, with a pause until its next attempt.
    services.jobs.open_shard(
        job.record,
        SHARDS[1],
        faults=9,
        progress_at=now(),
        transcribed_seconds=3.0,
        advanced_at=words_at,
        lease_until=now(),
    )
    assert (claim(services, items[1]).claimed is not None) is waits
    assert len(cloud.terminal_messages()) == (0 if waits else 1)


@pytest.mark.parametrize(("words_hours_ago", "waits"), [(1, True), (48, False)])
def test_a_shard_that_hangs_with_its_first_words_does_not_keep_its_upload_waiting(
    cloud: LoopbackCloud, services: FixedWordServices, words_hours_ago: int, waits: bool
) -> None:
    job, items = divided(cloud, services)
    job = services.jobs.save(job, received_at=now() - timedelta(hours=services.settings.max_wait_hours + 50))
    beats = {"progress_at": now(), "lease_until": now() + timedelta(minutes=1)}
    words_at = now() - timedelta(hours=words_hours_ago)
    services.jobs.open_shard(
        job.record, SHARDS[0], state=JobState.RUNNING, transcribed_seconds=3.0, advanced_at=words_at, **beats
    )
    services.jobs.open_shard(job.record, SHARDS[1], faults=1)
    assert (claim(services, items[1]).claimed is not None) is waits


def test_of_a_shard_given_back_the_reconciler_hears_as_soon_as_of_a_whole_upload(
    cloud: LoopbackCloud, services: FixedWordServices
) -> None:
    job, items = divided(cloud, services)
    job = services.jobs.save(job, lease_until=now() + timedelta(hours=1))
    claimed = running_job(claim(services, items[1]).claimed)
    subscription = WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))
    billing = Billing(Meter(time.monotonic()), services)
    billing.open(claimed)
    end = AttemptEnd(services, subscription, billing, EngineChain(), RunningJobs(1))
    end.give_back(claimed, "The disk is full.", is_fault=True)
    shard, whole = services.jobs.load(claimed.id), services.jobs.load(job.id)
    assert shard is not None
    assert whole is not None
    assert shard.record.faults == 1
    assert whole.record.lease_until == shard.record.lease_until < now() + timedelta(hours=1)


def test_parts_of_the_same_model_are_used_whichever_job_made_them(
    cloud: LoopbackCloud, services: FixedWordServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The images of both jobs hold it in folders of their own."""
    found = ChunkResult(0, 16_000, Engine.PARAKEET_GPU)
    monkeypatch.setenv("PARAKEET_MODEL_RELEASE", "nvidia/parakeet@abc")
    for number, (name, device) in enumerate([("/models/parakeet", "nvidia-l4"), ("nvidia/parakeet", "none")]):
        monkeypatch.setenv("PARAKEET_MODEL_NAME", name)
        monkeypatch.setenv("JOB_GPU", device)
        one = job_services(JobSettings(), services.task)
        try:
            if not number:
                one.checkpoints.store("job", [found])
            assert one.checkpoints.load("job") == {(0, 0, 16_000): found}
        finally:
            one.publisher.stop()
