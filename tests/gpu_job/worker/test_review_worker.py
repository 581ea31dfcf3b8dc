"""The worker among trouble: an item that cannot be claimed, a queue that does not answer, a decoder that dies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast
from unittest.mock import Mock

import pytest
from google.api_core.exceptions import PermissionDenied, ServiceUnavailable
from google.cloud import pubsub_v1

from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.decoder_process.start import command
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.engines.api_call import ApiCall
from gpu_job.worker import worker as worker_module
from gpu_job.worker.billing.bills import Billing
from gpu_job.worker.billing.meter import Meter
from gpu_job.worker.heartbeat import Heartbeat
from gpu_job.worker.jobs.claim import claim
from gpu_job.worker.jobs.feed import feed
from gpu_job.worker.jobs.running_jobs import RunningJobs
from gpu_job.worker.subscription import WorkSubscription
from shared.clock import now
from shared.costs.bill import Phase, deepgram_bill, instance_bill
from shared.enums import Engine, Outcome
from shared.errors import EngineFailed, FailureKind
from shared.state.jobs.record import JobState
from tests.support.dying_decoder import dying_command
from tests.support.final_answers import FINAL_ANSWER_NAMES, FINAL_ANSWERS
from tests.support.fixed_word_worker import (
    FixedWordRecognizer,
    FixedWordServices,
    fixed_word_services,
    item_of,
    queued,
    worker,
)
from tests.support.loopback_cloud import WORK_TOPIC, LoopbackCloud
from tests.support.sounds import make
from tests.support.started_decoders import start_other
from tests.support.waiting import PATIENCE, wait_until
from tests.support.worker_services import running_job


@pytest.fixture
def services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[FixedWordServices]:
    monkeypatch.setenv("WORK_IDLE_SECONDS", "0")
    monkeypatch.setenv("WORK_SUBSCRIPTION", f"{WORK_TOPIC}-test")
    monkeypatch.setenv("JOB_GPU", "none")
    with fixed_word_services() as made:
        yield made


def test_an_item_whose_record_cannot_be_read_does_not_stop_another(
    cloud: LoopbackCloud, services: FixedWordServices
) -> None:
    broken, sound = queued(cloud, services, "broken.opus"), queued(cloud, services, "sound.opus")
    services.state.blob(f"jobs/{broken.id}/record.json").upload_from_string(b"not a record")
    assert worker(services, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()
    (message,) = cloud.terminal_messages()
    assert message.job_id == sound.id
    assert message.outcome is Outcome.COMPLETED
    assert not services.own_slots.view().is_running


@pytest.mark.parametrize(("status", "said", "outcome", "kind", "reason"), FINAL_ANSWERS, ids=FINAL_ANSWER_NAMES)
def test_a_final_answer_of_cloud_storage_ends_the_job_at_the_first_attempt(
    cloud: LoopbackCloud,
    services: FixedWordServices,
    status: int,
    said: str,
    outcome: Outcome,
    kind: FailureKind,
    reason: str,
) -> None:
    job = queued(cloud, services, "locked.opus")
    cloud.storage_server.fail_next(1, status, "GET", "locked.opus", message=said)
    assert worker(services, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()
    (message,) = cloud.terminal_messages()
    assert (message.outcome, message.failure_kind, message.reason) == (outcome, kind, reason)
    ended = services.jobs.load(job.id)
    assert ended is not None
    assert ended.record.attempts == 1


def test_an_upload_in_trouble_costs_no_other_its_claim(cloud: LoopbackCloud, services: FixedWordServices) -> None:
    settings = services.settings.model_copy(update={"heartbeat_seconds": 0.05})
    brisk = replace(services, settings=settings)
    jobs = [queued(cloud, services, name) for name in ("broken.opus", "sound.opus")]
    broken, sound = [running_job(claim(brisk, item_of(job)).claimed) for job in jobs]
    running = RunningJobs(capacity=2)
    running.add(broken)
    running.add(sound)
    services.state.blob(f"jobs/{broken.id}/record.json").upload_from_string(b"not a record")
    claimed_until = sound.record.lease_until
    with Heartbeat(brisk, running, Billing(Meter(time.monotonic()), brisk)):
        wait_until(lambda: sound.record.lease_until != claimed_until, "the heartbeat")
    assert sound.record.lease_until > claimed_until


class WatchingServices(FixedWordServices):
    """Notes at each batch how many jobs run."""

    def load_model(self, engine: Engine) -> FixedWordRecognizer:
        services, seen = self, at_once

        class Watching(FixedWordRecognizer):
            def run(self, prepared: list[int]) -> list[int]:
                ids = [marker.job_id for marker in services.jobs.markers.all()]
                jobs = [job for one in ids if not services.jobs.outcome(one) and (job := services.jobs.load(one))]
                seen.append([job.record.lost_attempts for job in jobs if job.record.state is JobState.RUNNING])
                return prepared

        return Watching()


at_once: list[list[int]] = []
"""Of each job that runs, while a batch does: its lost attempts."""


def test_uploads_that_were_in_a_killed_worker_run_alone(cloud: LoopbackCloud, services: FixedWordServices) -> None:
    """One of them may be what killed it: the others' attempts are not to be used up beside it."""
    at_once.clear()
    names = ("a.opus", "b.opus", "c.opus")
    was = {"attempts": 1, "lost_attempts": 1}
    lost = [services.jobs.save(queued(cloud, services, name), **was) for name in names]
    sound = [queued(cloud, services, name) for name in ("d.opus", "e.opus")]
    subscription = WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))
    assert worker(WatchingServices(**vars(services)), subscription).run()
    assert [message.outcome for message in cloud.terminal_messages()] == [Outcome.COMPLETED] * 5
    attempts = [job.record.attempts for one in (*lost, *sound) if (job := services.jobs.load(one.id))]
    assert attempts == [2, 2, 2, 1, 1]
    assert [1] in at_once
    assert [running for running in at_once if any(running) and running != [1]] == []


def test_what_a_killed_worker_cost_is_on_the_bill(cloud: LoopbackCloud, services: FixedWordServices) -> None:
    brisk = replace(services, settings=services.settings.model_copy(update={"heartbeat_seconds": 0.05}))
    job = queued(cloud, services, "a.opus")
    work = running_job(claim(brisk, item_of(job)).claimed)
    running = RunningJobs(capacity=1)
    running.add(work)
    billing = Billing(Meter(began=time.monotonic() - 3600), brisk)  # an hour that nobody lived to bill
    billing.open(work)
    billing.call_started(ApiCall(job.id, chunks=1, sent_samples=600 * SAMPLE_RATE))
    with Heartbeat(brisk, running, billing):
        wait_until(lambda: work.record.spent.usd, "the cost in the record")
    left = services.jobs.load(job.id)
    assert left is not None
    instance = instance_bill(brisk.settings.shape, {Phase.START_UP: 3600}, brisk.prices)
    sent = deepgram_bill("nova-3", 600, 600 * SAMPLE_RATE * 2, brisk.prices)
    cost = (instance + sent).usd
    assert left.record.spent.usd == pytest.approx(cost, rel=0.01)
    assert billing.final_bill(work).usd == pytest.approx(cost, rel=0.01)

    services.jobs.save(left, lease_until=now())
    assert worker(services, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()
    (message,) = cloud.terminal_messages()
    assert message.bill.usd == pytest.approx(cost, rel=0.05)
    assert message.bill.usd > left.record.spent.usd


@pytest.mark.parametrize("holder", ["transcribe-1/0", "transcribe-2/0"], ids=["own", "foreign"])
def test_what_the_record_has_no_price_of_is_in_no_checkpoint(
    cloud: LoopbackCloud, services: FixedWordServices, holder: str
) -> None:
    """The next attempt would neither transcribe it again nor bill it."""
    eager = replace(services, settings=services.settings.model_copy(update={"checkpoint_seconds": 0.0}))
    work = running_job(claim(eager, item_of(queued(cloud, eager, "a.opus"))).claimed)
    running, billing = RunningJobs(capacity=1), Billing(Meter(time.monotonic()), eager)
    running.add(work)
    billing.open(work)
    work.chunk_transcribed(ChunkResult(0, 600 * SAMPLE_RATE, Engine.DEEPGRAM))
    eager.jobs.save(work.stored, holder=holder)
    heartbeat, is_ours = Heartbeat(eager, running, billing), holder == eager.task.holder
    heartbeat.tick()
    stored = eager.jobs.load(work.id)
    assert stored is not None
    assert (stored.record.spent.usd > 0) == is_ours
    assert len(eager.checkpoints.load(work.id)) == is_ours


def test_an_upload_that_was_handed_over_is_decoded_no_further(
    cloud: LoopbackCloud, services: FixedWordServices, tmp_path: Path
) -> None:
    silent = make(tmp_path / "silent.flac", "-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono", "-t", "60")
    item = item_of(queued(cloud, services, "silent.flac", 60.0, silent.read_bytes()))
    job = running_job(claim(services, item).claimed)
    job.end_attempt_once()
    with pytest.raises(EngineFailed, match="cancelled"):
        feed(job, services.storage, services.settings.fetch_timeout_seconds, services.settings.max_unpacked_bytes)


def test_a_queue_that_does_not_answer_for_a_moment_is_asked_again(
    cloud: LoopbackCloud, services: FixedWordServices
) -> None:
    job = queued(cloud, services, "a.opus")
    flaky = Mock(wraps=cloud.subscriber)
    flaky.pull.side_effect = [
        ServiceUnavailable("not now"),
        *[
            cloud.subscriber.pull(
                subscription=cloud.subscription(WORK_TOPIC), max_messages=1, timeout=PATIENCE, retry=None
            )
        ],
        StopIteration,
    ]
    subscription = WorkSubscription(cast(pubsub_v1.SubscriberClient, flaky), cloud.subscription(WORK_TOPIC))
    assert subscription.pull(1, 0.01) == []
    assert [one.item.job_id for one in subscription.pull(1, 0.01)] == [job.id]


def test_a_worker_that_takes_seconds_to_reach_pubsub_takes_its_upload_all_the_same(
    cloud: LoopbackCloud, services: FixedWordServices
) -> None:
    job = queued(cloud, services, "a.opus")
    cloud.pubsub.start_slowly(services.settings.work_idle_seconds + worker_module.PULL_SECONDS + 2.0)
    assert worker(services, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()
    (message,) = cloud.terminal_messages()
    assert (message.job_id, message.outcome) == (job.id, Outcome.COMPLETED)


def test_a_pubsub_that_never_answers_ends_the_attempt_for_the_next_one(
    cloud: LoopbackCloud, services: FixedWordServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "UNANSWERED_SECONDS", 0.5)
    monkeypatch.setattr(worker_module, "FIRST_PULL_SECONDS", 1.0)
    cloud.pubsub.start_slowly(PATIENCE)
    assert not worker(services, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()
    assert not services.own_slots.view().is_running


def test_a_queue_that_is_not_ours_ends_the_worker_and_leaves_no_thread_waiting(
    cloud: LoopbackCloud, services: FixedWordServices
) -> None:
    forbidden = Mock(wraps=cloud.subscriber)
    forbidden.pull.side_effect = PermissionDenied("no")
    subscription = WorkSubscription(cast(pubsub_v1.SubscriberClient, forbidden), cloud.subscription(WORK_TOPIC))
    assert not worker(services, subscription).run()
    assert not services.own_slots.view().is_running


def test_an_outcome_that_cannot_be_stored_leaves_the_upload_and_its_bill_to_the_next_attempt(
    cloud: LoopbackCloud, services: FixedWordServices
) -> None:
    job = queued(cloud, services, "a.opus")
    finisher = Mock(wraps=services.finisher)
    finisher.finish.side_effect = TimeoutError("Pub/Sub does not answer")
    subscription = WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))
    assert worker(replace(services, finisher=finisher), subscription).run()
    left = services.jobs.load(job.id)
    assert left is not None
    assert (left.record.state, left.record.attempts, left.record.faults) == (JobState.QUEUED, 0, 1)
    assert left.record.spent.usd > 0
    assert services.jobs.markers.is_open(job.id)


def test_what_a_dying_decoder_left_is_a_gap(
    cloud: LoopbackCloud, services: FixedWordServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_other(monkeypatch, lambda request: dying_command(command(request), after_seconds=1))
    queued(cloud, services, "a.opus", seconds=19.0)
    assert worker(services, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()
    (message,) = cloud.terminal_messages()
    assert message.outcome is Outcome.COMPLETED_WITH_GAPS
    assert message.coverage is not None
    gap = message.coverage.gaps[-1]
    # The resampler had the last millisecond of what was decoded.
    assert (gap.start, gap.end) == (pytest.approx(1.0, abs=0.01), 19.0)
    assert gap.reason == "The decoder broke off (the decoder ended with status -6)."


def test_an_upload_takes_thirteen_calls_of_storage_nine_of_which_are_its_results(
    cloud: LoopbackCloud, services: FixedWordServices
) -> None:
    job = queued(cloud, services, "a.opus")
    with cloud.storage_server.counted() as calls:
        assert worker(services, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()
    (message,) = cloud.terminal_messages()
    mine = [(call.method, call.name.replace(job.id, "JOB")) for call in calls if job.id in call.name]
    assert mine == [
        ("POST", "jobs/JOB/record.json"),
        ("POST", "jobs/JOB/outcome.json"),
        # It takes the marker's place.
        ("POST", f"ledger/{message.received_at:%Y-%m/%d}/JOB"),
    ]
    assert not services.jobs.markers.is_open(job.id)
    assert [call.method for call in calls if call.bucket == "uploads"] == ["GET"]
    assert [call.method for call in calls if call.bucket == "results"] == ["POST"] * 9
