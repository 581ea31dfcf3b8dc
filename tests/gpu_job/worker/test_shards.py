"""A long upload in shards: the same transcript as in one piece, one outcome and one bill, whoever dies on the way."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_job.asr.tokens import Token
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from gpu_job.audit.findings import Findings
from gpu_job.fetch.arrival import PART_BYTES
from gpu_job.transcription.shards.facts import ShardFacts
from gpu_job.transcription.shards.recorder import ShardRecorder
from gpu_job.worker.billing.bills import Billing, UnbilledTime
from gpu_job.worker.checkpoints import Checkpoints
from gpu_job.worker.jobs.claim import NOTHING_TO_DO, claim
from gpu_job.worker.services import JobServices
from gpu_job.worker.subscription import WorkSubscription
from infra.recordings import recording
from shared.clock import now
from shared.costs.shard_plan import Shard, shard_work_id
from shared.enums import Engine, Outcome
from shared.errors import DropscribeError
from shared.messages import TerminalMessage, WorkItem
from shared.options.parsing import parse_upload_options
from shared.state.job_result import failed
from shared.state.jobs.record import Job, JobRecord, JobState
from shared.state.jobs.shards import all_shards_done
from shared.state.ledger_entry import EntryState, month_of
from tests.support.fixed_word_worker import AUDIO, FixedWordRecognizer, fixed_word_services, item_of, queued, worker
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import PROJECT, STATE, WORK_TOPIC, LoopbackCloud
from tests.support.sounds import make
from tests.support.stored_transcript import content, stored_transcript
from tests.support.waiting import PATIENCE
from tests.support.worker_services import as_task, running_job
from trigger_function.reconciler.open_jobs import reconcile_all

SHARDS = (Shard(0, 0, 6), Shard(1, 6, 12), Shard(2, 12, None))
"""Of a recording of 19 s."""


class Listener(FixedWordRecognizer):
    """An engine that says in every second how loud its chunk is, so that they differ, and keeps count."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[int] = []
        """Samples of each chunk."""

    def prepare(self, batch: Sequence[Samples]) -> list[int]:
        self.heard += [len(samples) for samples in batch]
        return [1000 * int(1000 * np.abs(samples).mean()) + len(samples) // SAMPLE_RATE for samples in batch]

    def finish(self, output: list[int]) -> list[list[Token]]:
        return [[Token(f" loud{one // 1000}.", at, at + 0.5) for at in range(one % 1000)] for one in output]


@dataclass(frozen=True)
class ListenerServices(JobServices):
    recognizer: Listener = field(default_factory=Listener)

    def load_model(self, engine: Engine) -> Listener:
        return self.recognizer


@pytest.fixture
def services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[ListenerServices]:
    monkeypatch.setenv("WORK_IDLE_SECONDS", "0")
    monkeypatch.setenv("WORK_SUBSCRIPTION", f"{WORK_TOPIC}-test")
    monkeypatch.setenv("JOB_GPU", "none")
    monkeypatch.setenv("CHUNK_SECONDS", "5")
    with fixed_word_services() as made:
        yield ListenerServices(**vars(made))


def publish(services: JobServices, items: Sequence[WorkItem]) -> None:
    path = services.publisher.topic_path(PROJECT, WORK_TOPIC)
    for item in items:
        services.publisher.publish(path, item.model_dump_json().encode()).result(timeout=PATIENCE)


def items_of(job: Job) -> list[WorkItem]:
    """Of all shards."""
    return [item_of(job).model_copy(update={"shard": shard.number}) for shard in SHARDS]


def divided(cloud: LoopbackCloud, services: JobServices, name: str = "long.opus", audio: bytes = AUDIO) -> Job:
    """An upload in shards, whose items are on the queue."""
    job = queued(cloud, services, name, audio=audio)
    cloud.work_items()  # its own item
    job = services.jobs.save(job, shards=SHARDS)
    publish(services, items_of(job))
    return job


def run(cloud: LoopbackCloud, services: JobServices) -> bool:
    return worker(services, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()


def outcome_of(cloud: LoopbackCloud, job: Job) -> TerminalMessage:
    """The only one that was published."""
    messages = {message.model_dump_json(): message for message in cloud.terminal_messages() if message.job_id == job.id}
    assert len(messages) == 1
    return next(iter(messages.values()))


def shard_record(services: JobServices, job: Job, number: int) -> JobRecord:
    stored = services.jobs.load(shard_work_id(job.id, number, 1))
    assert stored is not None
    return stored.record


def assert_clean(cloud: LoopbackCloud, services: JobServices, job: Job) -> None:
    """Ended, and nothing is left of the way."""
    assert list(services.jobs.markers.all()) == []
    assert cloud.names(STATE, f"jobs/{job.id}/parts/") == []
    assert cloud.names(STATE, "executions/cpu/") == []
    assert all_shards_done(services.jobs, job.record)


@pytest.fixture
def whole(cloud: LoopbackCloud, services: ListenerServices) -> tuple[object, ...]:
    """The transcript of the same recording in one piece."""
    job = queued(cloud, services, "whole.opus")
    assert run(cloud, services)
    assert outcome_of(cloud, job).outcome is Outcome.COMPLETED
    return content(cloud, job)


def test_shards_become_the_transcript_of_one_piece_and_nothing_is_transcribed_twice(
    cloud: LoopbackCloud, services: ListenerServices, whole: tuple[object, ...], caplog: pytest.LogCaptureFixture
) -> None:
    heard, services.recognizer.heard = sorted(services.recognizer.heard), []
    assert len(heard) >= 4
    job = divided(cloud, services)
    with caplog.at_level(logging.INFO):
        assert run(cloud, services)
    assert not [record.message for record in caplog.records if "once more" in record.message]
    ended = outcome_of(cloud, job)
    assert ended.outcome is Outcome.COMPLETED
    assert content(cloud, job) == whole
    assert sorted(services.recognizer.heard) == heard
    assert [shard_record(services, job, shard.number).attempts for shard in SHARDS] == [1, 1, 1]
    assert_clean(cloud, services, job)
    assert cloud.work_items() == []


def test_who_assembles_reads_nothing_of_an_upload_that_shards_read(
    cloud: LoopbackCloud, services: ListenerServices, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = ("-ar", "96000", "-ac", "2", "-c:a", "pcm_s32le")
    large = make(tmp_path / "large.wav", "-i", str(recording("call.opus").path), *options).read_bytes()
    assert PART_BYTES < len(large) < 2 * PART_BYTES
    of_whole = queued(cloud, services, "whole.wav", audio=large)
    assert run(cloud, services)
    assert outcome_of(cloud, of_whole).outcome is Outcome.COMPLETED
    for change, again in (("", 0), ("checksums", 1), ("packets", 1)):
        job = divided(cloud, services, f"{change}.wav", large)
        before = cloud.storage_server.ranges.count(f"bytes=0-{PART_BYTES - 1}")
        with caplog.at_level(logging.INFO), pytest.MonkeyPatch.context() as patch:
            if change:  # as of an older version
                kept = ShardRecorder.facts
                nothing = {"checksums": (), "packets": None}[change]

                def older(self: ShardRecorder, found: Sequence[Findings]) -> ShardFacts | None:
                    facts = kept(self, found)  # noqa: B023
                    return facts and replace(facts, **{change: nothing})  # noqa: B023

                patch.setattr(ShardRecorder, "facts", older)
            assert run(cloud, services)
        assert not [record.message for record in caplog.records if "decoding" in record.message]
        assert cloud.storage_server.ranges.count(f"bytes=0-{PART_BYTES - 1}") == before + len(SHARDS) + again
        assert outcome_of(cloud, job).outcome is Outcome.COMPLETED
        assert content(cloud, job) == content(cloud, of_whole)
        assert_clean(cloud, services, job)


def test_speakers_are_heard_in_shards_and_what_was_heard_goes_with_the_parts(
    cloud: LoopbackCloud,
    services: ListenerServices,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked = parse_upload_options({"transcribe-speakers": "on"})
    in_one_piece = queued(cloud, services, "whole.opus")
    services.jobs.save(in_one_piece, options=asked)
    assert run(cloud, services)
    whole = content(cloud, in_one_piece)
    assert len(stored_transcript(cloud, in_one_piece).speakers) == 2
    stored, heard_seconds = set[str](), list[float]()
    store, record = Checkpoints.store_part, Billing.record_speakers

    def and_look(own: Checkpoints, job_id: str, parts: Sequence[ChunkResult], **more: Any) -> None:
        store(own, job_id, parts, **more)
        stored.update(name.rpartition("/")[2].split("-")[0] for name in cloud.names(STATE, f"jobs/{job_id}/parts/"))

    def and_note(own: Billing, audio_seconds: float, wall_seconds: float) -> None:
        record(own, audio_seconds, wall_seconds)
        heard_seconds.append(audio_seconds)

    monkeypatch.setattr(Checkpoints, "store_part", and_look)
    monkeypatch.setattr(Billing, "record_speakers", and_note)
    job = divided(cloud, services)
    job = services.jobs.save(job, options=asked)
    with caplog.at_level(logging.INFO):
        assert run(cloud, services)
    assert not [record.message for record in caplog.records if "once more" in record.message]
    assert content(cloud, job) == whole
    assert stored == {"edges", "speakers", "part"}
    # Each shard shows how fast speakers are heard; who joins them does not.
    assert sorted(heard_seconds) == sorted(shard.seconds_of(job.record.media.duration_seconds) for shard in SHARDS)
    assert_clean(cloud, services, job)


def test_where_a_shard_has_damage_the_whole_is_decoded_at_once(
    cloud: LoopbackCloud, services: ListenerServices, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = bytearray(AUDIO)
    first, last = int(0.44 * len(AUDIO)), int(0.48 * len(AUDIO))
    damaged[first:last] = bytes(last - first)
    in_one_piece = queued(cloud, services, "whole.opus", audio=bytes(damaged))
    assert run(cloud, services)
    whole = content(cloud, in_one_piece)
    job = divided(cloud, services, audio=bytes(damaged))
    with caplog.at_level(logging.INFO):
        assert run(cloud, services)
    assert outcome_of(cloud, job).outcome is Outcome.COMPLETED_WITH_GAPS
    assert [one.message for one in caplog.records if "once more" in one.message] == [
        "decoding a divided upload once more"
    ]
    assert content(cloud, job) == whole
    assert_clean(cloud, services, job)


def test_the_bill_is_the_sum_of_all_attempts_and_what_an_execution_cost_adds_up(
    cloud: LoopbackCloud, services: ListenerServices
) -> None:
    job, began = divided(cloud, services), time.monotonic()
    assert run(cloud, services)
    ended = outcome_of(cloud, job)
    shards_usd = sum(shard_record(services, job, shard.number).spent.usd for shard in SHARDS)
    assert 0 < shards_usd < ended.bill.usd
    entries = [entry for entry in services.ledger.entries(month_of(now())) if entry.state is not EntryState.RESERVED]
    assert [entry.usd for entry in entries if entry.id == job.id] == [pytest.approx(ended.bill.usd)]
    # All time of the execution, with what no job was billed for, and what it took to store that.
    instance = next(iter(cloud.names(STATE, "executions/transcribe-1/")))
    ended_execution = UnbilledTime.model_validate_json(cloud.storage.bucket(STATE).blob(instance).download_as_bytes())
    usd_per_second = ended_execution.usd_per_second
    least, most = ended_execution.instance_seconds * usd_per_second, (time.monotonic() - began) * usd_per_second
    assert least <= sum(entry.usd for entry in entries) <= most


def test_two_workers_share_an_upload(
    cloud: LoopbackCloud, services: ListenerServices, whole: tuple[object, ...]
) -> None:
    job = divided(cloud, services)
    publish(services, items_of(job))  # every item twice
    others = [as_task(services, f"transcribe-{number}") for number in (2, 3)]
    threads = [threading.Thread(target=run, args=(cloud, one)) for one in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    if services.jobs.outcome(job.id) is None:
        # An item that one of them gave back to the other, which had left by then.
        publish(services, items_of(job))
        assert run(cloud, services)
    assert outcome_of(cloud, job).outcome is Outcome.COMPLETED
    assert content(cloud, job) == whole
    assert_clean(cloud, services, job)


def test_a_shard_without_attempts_is_a_gap_that_says_why(cloud: LoopbackCloud, services: ListenerServices) -> None:
    job = divided(cloud, services)
    spent = {"attempts": services.settings.max_attempts, "lost_attempts": 3}
    services.jobs.open_shard(job.record, SHARDS[1], state=JobState.RUNNING, holder="gone/0", **spent)
    assert run(cloud, services)
    ended = outcome_of(cloud, job)
    assert ended.outcome is Outcome.COMPLETED_WITH_GAPS
    gaps = stored_transcript(cloud, job).coverage.gaps
    assert gaps
    assert all(gap.reason.startswith("The worker ended 3 times") for gap in gaps)
    assert all(6 <= gap.start < 12 for gap in gaps)
    assert shard_record(services, job, 1).missing is not None
    assert_clean(cloud, services, job)


def test_after_two_shards_that_were_given_up_suspects_are_not_tried(
    cloud: LoopbackCloud, services: ListenerServices
) -> None:
    job = divided(cloud, services)
    for shard in SHARDS[:2]:
        services.jobs.open_shard(job.record, shard, state=JobState.DONE, missing="It kills workers.")
    services.jobs.open_shard(
        job.record, SHARDS[2], state=JobState.RUNNING, holder="gone/0", attempts=1, lease_until=now()
    )
    claimed = claim(services, items_of(job)[2]).claimed
    assert claimed is not None
    assert claimed.job.record.shard is None
    assert shard_record(services, job, 2).missing is not None
    assert claimed.missing(0.0) == claimed.missing(11.9) == "It kills workers."
    assert claimed.missing(12.0) == shard_record(services, job, 2).missing


def test_another_workers_shard_is_left_alone_and_the_others_are_free(
    cloud: LoopbackCloud, services: ListenerServices
) -> None:
    job = divided(cloud, services)
    first, second, third = items_of(job)
    other = as_task(services, "transcribe-2")
    assert claim(other, first).claimed is not None
    assert claim(services, first).retry_after_seconds
    claimed = claim(services, second).claimed
    assert claimed is not None
    assert claimed.job.record.shard == SHARDS[1]
    assert claim(services, item_of(job)) is NOTHING_TO_DO  # until all are done
    assert claim(services, third).claimed is not None


def test_while_deepgram_has_the_upload_no_shard_is_begun(cloud: LoopbackCloud, services: ListenerServices) -> None:
    job = divided(cloud, services)
    services.jobs.save(job, state=JobState.CLAIMED, lease_until=now() + timedelta(minutes=5))
    result = claim(services, items_of(job)[0])
    assert result.claimed is None
    assert result.retry_after_seconds


def test_a_job_that_ends_otherwise_closes_its_shards_and_has_their_costs(
    cloud: LoopbackCloud, services: ListenerServices
) -> None:
    job = divided(cloud, services)
    claimed = claim(services, items_of(job)[0]).claimed
    shard = running_job(claimed)
    spent = shard.spent_before
    services.finisher.finish(job.record, failed(DropscribeError("Nothing could transcribe the file.")))
    ended = outcome_of(cloud, job)
    assert ended.outcome is Outcome.FAILED
    assert ended.bill == spent
    assert_clean(cloud, services, job)
    # Its worker's next write fails, and no other begins one.
    assert services.jobs.try_save(shard.stored, state=JobState.RUNNING) is None
    assert [claim(services, item) for item in items_of(job)] == [NOTHING_TO_DO] * 3


def test_a_ticks_reconciler_leaves_shards_at_work_and_queues_those_that_are_lost(
    cloud: LoopbackCloud, services: ListenerServices, make_services: MakeServices
) -> None:
    job = divided(cloud, services)
    cloud.work_items()
    function = make_services(JOB_GPU="nvidia-l4")
    job = services.jobs.save(job, lease_until=now())
    begun = claim(services, items_of(job)[0]).claimed
    assert begun is not None
    assert reconcile_all(function) == {"waiting": 1}
    assert cloud.work_items() == []
    services.jobs.save(begun.job, state=JobState.DONE)
    stored = services.jobs.load(job.id)
    assert stored is not None
    services.jobs.save(stored, lease_until=now())
    assert reconcile_all(function) == {"queued again": 1}
    assert [item.shard for item in cloud.work_items()] == [1, 2]


def test_all_parts_and_no_outcome_are_assembled_by_whoever_the_reconciler_finds(
    cloud: LoopbackCloud, services: ListenerServices, make_services: MakeServices, whole: tuple[object, ...]
) -> None:
    job = divided(cloud, services)
    with pytest.MonkeyPatch.context() as patched:
        # The last one dies before it can assemble: nobody has its item.
        patched.setattr("gpu_job.worker.attempt_end.all_shards_done", lambda *_: False)
        assert run(cloud, services)
    assert cloud.terminal_messages() == []
    chunks = {end - start for _, start, end in services.checkpoints.load(job.id)}
    services.recognizer.heard.clear()
    stored = services.jobs.load(job.id)
    assert stored is not None
    services.jobs.save(stored, lease_until=now())
    assert reconcile_all(make_services(JOB_GPU="nvidia-l4")) == {"queued again": 1}
    assert run(cloud, replace(services))
    assert outcome_of(cloud, job).outcome is Outcome.COMPLETED
    assert content(cloud, job) == whole
    # The audit hears windows of its own again, and nothing else is.
    assert chunks
    assert set(services.recognizer.heard).isdisjoint(chunks)
