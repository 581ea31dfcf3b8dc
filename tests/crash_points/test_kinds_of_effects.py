"""A worker with decoder, engine and threads whose upload asks who speaks, killed before an effect of each kind, one
after the other: the upload ends as if nothing had happened."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pytest

from gpu_job.worker.services import TaskIdentity
from shared.costs.shard_plan import Shard
from shared.enums import Outcome
from shared.options.parsing import parse_upload_options
from shared.state.jobs.record import Job
from shared.state.jobs.shards import all_shards_done
from tests.support.agreeing_outcomes import disagreements
from tests.support.fixed_word_worker import FixedWordServices, fixed_word_services, item_of, queued
from tests.support.killed_worker import worker_killed_at
from tests.support.later_attempts import book_what_is_left
from tests.support.loopback_cloud import PROJECT, STATE, WORK_TOPIC, LoopbackCloud
from tests.support.stored_transcript import content, stored_transcript
from tests.support.waiting import PATIENCE

SHARDS = (Shard(0, 0, 9), Shard(1, 9, None))
"""Of a recording of 19 s."""

NEVER = "none"

ABOUT_UPLOAD = re.compile(r" (results|state/o/(jobs|open))/| billed$|^publish|^acknowledge")


@pytest.fixture
def services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[FixedWordServices]:
    monkeypatch.setenv("WORK_IDLE_SECONDS", "0")
    monkeypatch.setenv("WORK_SUBSCRIPTION", f"{WORK_TOPIC}-test")
    monkeypatch.setenv("JOB_GPU", "none")
    monkeypatch.setenv("CHUNK_SECONDS", "5")
    monkeypatch.setenv("MAX_ATTEMPTS", "100")  # it dies more often than a file may kill its workers
    with fixed_word_services() as made:
        yield made


def ready(cloud: LoopbackCloud, services: FixedWordServices, name: str, shards: Sequence[Shard], **options: str) -> Job:
    """An upload that a worker may begin."""
    job = queued(cloud, services, name)
    cloud.work_items()
    job = services.jobs.save(job, options=parse_upload_options({"transcribe-speakers": "on"}), shards=tuple(shards))
    publish(cloud, services, job)
    return job


def publish(cloud: LoopbackCloud, services: FixedWordServices, job: Job) -> None:
    """Its items come once, whatever is on the queue."""
    cloud.work_items()
    numbers = [shard.number for shard in job.record.shards] or [None]
    for number in numbers:
        item = item_of(job).model_copy(update={"shard": number})
        path = services.publisher.topic_path(PROJECT, WORK_TOPIC)
        services.publisher.publish(path, item.model_dump_json().encode()).result(timeout=PATIENCE)


@pytest.mark.parametrize(
    ("shards", "count"),
    [((), 8), (SHARDS, 18)],
    ids=["whole", "divided"],
)
def test_killed_before_each_kind_of_effect_in_turn(
    cloud: LoopbackCloud,
    services: FixedWordServices,
    monkeypatch: pytest.MonkeyPatch,
    shards: Sequence[Shard],
    count: int,
) -> None:
    """Those about the upload; at those about the execution workers are killed in test_worker.py."""
    attempt = 0

    def run(effect: str) -> tuple[bool, list[str]]:
        """The task's next attempt."""
        nonlocal attempt
        with fixed_word_services(TaskIdentity("transcribe-1", 0, attempt)) as own:
            kill = worker_killed_at(effect, cloud, own, monkeypatch=monkeypatch)
        attempt += 1
        cloud.forget_executions()
        return kill.happened, kill.kinds

    job = ready(cloud, services, "undisturbed.opus", shards)
    jobs, kinds = [job], [kind for kind in dict.fromkeys(run(NEVER)[1]) if ABOUT_UPLOAD.search(kind)]
    assert len(kinds) == count
    expected = content(cloud, job)
    assert len(stored_transcript(cloud, job).speakers) == 2
    job = ready(cloud, services, "killed-0.opus", shards)
    for kind in kinds:
        happened, _ = run(kind)
        if not happened:
            # An attempt that goes on with what others left has no such effect any more.
            jobs.append(job)
            job = ready(cloud, services, f"killed-{len(jobs)}.opus", shards)
            happened, _ = run(kind)
        assert happened, kind
        publish(cloud, services, job)
    run(NEVER)
    jobs.append(job)
    for one in jobs:
        outcome = services.jobs.outcome(one.id)
        assert outcome is not None
        assert outcome.outcome is Outcome.COMPLETED, outcome.reason
        assert content(cloud, one) == expected
        assert all_shards_done(services.jobs, one.record)
        assert cloud.names(STATE, f"jobs/{one.id}/parts/") == []
    book_what_is_left(services)
    assert [*services.jobs.markers.all()] == []
    assert cloud.names(STATE, "executions/cpu/") == []
    assert disagreements(cloud, services, [one.record.upload for one in jobs]) == []
