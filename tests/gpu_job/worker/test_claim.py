"""Claiming: whose work an item is, and checkpoints: what an earlier attempt left of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from google.api_core.exceptions import Forbidden

from gpu_job.asr.tokens import Token
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.task import Task
from gpu_job.worker.checkpoints import Checkpoints
from gpu_job.worker.jobs.claim import NOTHING_TO_DO, claim, own_items
from gpu_job.worker.services import JobServices
from shared import objects
from shared.clock import now
from shared.costs.bill import Bill
from shared.costs.quote import Limit, Quote, Refusal
from shared.enums import Engine, JobDevice, Method, Outcome
from shared.errors import DropscribeError, EngineFailed, FailureKind
from shared.keyterms.terms import Keyterm
from shared.languages.choice import parse_language_choice
from shared.messages import Decision
from shared.operations.rerun import RerunRequest, begin_rerun
from shared.options.parsing import parse_upload_options
from shared.state.job_result import failed
from shared.state.jobs.open_markers import QueuedUpload
from shared.state.jobs.rebuilt_record import rebuilt_record
from shared.state.jobs.record import JobState
from tests.support.loopback_cloud import LoopbackCloud
from tests.support.sounds import make, noise, raw, silence
from tests.support.worker_services import ABSENT, TASK, as_task, queue_job, running_job, work_item, worker_services

SOON = timedelta(seconds=40)
PART = ChunkResult(0, 16000, Engine.PARAKEET_CPU, (Token(" Island", 0.1, 0.4, 0.9),))
OTHER = ChunkResult(16000, 32000, Engine.PARAKEET_CPU, failure="Broken.")


@pytest.fixture
def services(cloud: LoopbackCloud) -> Iterator[JobServices]:
    with worker_services() as made:
        yield made


def test_a_queued_job_is_taken(cloud: LoopbackCloud, services: JobServices) -> None:
    job, item = queue_job(services, cloud)
    claimed = claim(services, item).claimed
    assert claimed is not None
    assert claimed.job.record.upload == job.record.upload
    stored = services.jobs.load(job.id)
    assert stored == claimed.job
    assert (stored.record.state, stored.record.holder, stored.record.attempts) == (JobState.RUNNING, TASK.holder, 1)
    assert stored.record.lease_until > now()
    assert stored.record.started_at is not None


def test_a_job_that_nobody_had_is_taken_by_one_write(cloud: LoopbackCloud, services: JobServices) -> None:
    job, item = queue_job(services, cloud)
    with cloud.storage_server.counted() as calls:
        claimed = claim(services, item).claimed
    assert [(call.method, call.name) for call in calls] == [("POST", f"jobs/{job.id}/record.json")]
    assert claimed is not None
    assert claimed.is_first
    upload, received_at = job.record.upload, job.record.received_at
    assert (claimed.job.record.upload, claimed.job.record.received_at) == (upload, received_at)


def test_a_copy_of_an_item_whose_job_is_taken_is_left_alone(cloud: LoopbackCloud, services: JobServices) -> None:
    job, item = queue_job(services, cloud)
    taken = claim(as_task(services, "other"), item).claimed
    assert taken is not None
    result = claim(services, item)
    assert (result.claimed, bool(result.retry_after_seconds)) == (None, True)
    assert services.jobs.load(job.id) == taken.job


def test_a_record_that_says_more_than_the_item_is_read(cloud: LoopbackCloud, services: JobServices) -> None:
    job, item = queue_job(services, cloud, last_error="A fault that passed.", faults=1)
    claimed = claim(services, item).claimed
    assert claimed is not None
    assert claimed.job.record.last_error == job.record.last_error


def test_an_item_without_a_record_is_dropped(services: JobServices) -> None:
    assert claim(services, work_item(ABSENT)) is NOTHING_TO_DO


def test_another_workers_live_job_is_left_until_its_lease_ends(cloud: LoopbackCloud, services: JobServices) -> None:
    job, item = queue_job(services, cloud, state=JobState.RUNNING, holder="other/0", lease_until=now() + SOON)
    result = claim(services, item)
    assert result.claimed is None
    assert 30 < (result.retry_after_seconds or 0) <= 42
    assert services.jobs.load(job.id) == job


def test_another_workers_job_is_taken_once_it_is_silent(cloud: LoopbackCloud, services: JobServices) -> None:
    _, item = queue_job(services, cloud, state=JobState.RUNNING, holder="other/0", lease_until=now() - SOON, attempts=1)
    assert claim(services, item, alone=False).must_run_alone
    claimed = claim(services, item).claimed
    assert claimed is not None
    assert (claimed.job.record.attempts, claimed.job.record.lost_attempts) == (1, 1)


def test_a_job_whose_worker_was_killed_waits_until_nothing_else_runs(
    cloud: LoopbackCloud, services: JobServices
) -> None:
    lost = {"state": JobState.RUNNING, "holder": TASK.holder, "attempts": 1, "lease_until": now() + SOON}
    job, item = queue_job(services, cloud, **lost)
    for _ in range(2):
        result = claim(services, item, alone=False)
        assert (result.must_run_alone, result.claimed, result.retry_after_seconds) == (True, None, None)
    waiting = services.jobs.load(job.id)
    assert waiting is not None
    # Queued, so that the reconciler does not find it without its holder and count the attempt once more.
    assert (waiting.record.state, waiting.record.attempts, waiting.record.lost_attempts) == (JobState.QUEUED, 0, 1)
    assert waiting.record.lease_until > now()


def test_checkpoints_that_cannot_be_read_cost_no_attempt(cloud: LoopbackCloud, services: JobServices) -> None:
    job, item = queue_job(services, cloud, started_at=now(), attempts=1)
    services.checkpoints.store(job.id, [PART])
    cloud.storage_server.fail_next(1, 403, "GET", f"jobs/{job.id}/parts/")
    with pytest.raises(Forbidden):
        claim(services, item)
    assert services.jobs.load(job.id) == job
    assert claim(services, item).claimed is not None


def test_a_predecessors_jobs_are_looked_for_among_those_that_have_been_queued_for_longest(
    cloud: LoopbackCloud, services: JobServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpu_job.worker.jobs.claim.OWN_LOOKED_AT", 2)
    taken = {"state": JobState.RUNNING, "holder": TASK.holder, "lease_until": now() + SOON, "attempts": 1}
    items = []
    for minutes, device in ((9, JobDevice.CPU), (8, JobDevice.GPU), (3, JobDevice.GPU), (5, JobDevice.GPU)):
        job, item = queue_job(services, cloud, f"calls/{minutes}.opus", **taken)
        queued_at = now() - timedelta(minutes=minutes)
        services.jobs.markers.mark_queued(
            job.id, QueuedUpload(device=device, audio_seconds=60, queued_at=queued_at), job.record.run
        )
        items.append(item)
    with cloud.storage_server.counted() as calls:
        found = own_items(as_task(services, TASK.execution, attempt=1))
    assert {item.job_id for item in found} == {items[1].job_id, items[3].job_id}
    assert Counter(call.method for call in calls) == {"LIST": 1, "GET": 2}


def test_a_killed_predecessors_job_is_ours_at_once(cloud: LoopbackCloud, services: JobServices) -> None:
    started = now() - timedelta(minutes=5)
    job, item = queue_job(
        services,
        cloud,
        state=JobState.RUNNING,
        holder=TASK.holder,
        lease_until=now() + SOON,
        started_at=started,
        attempts=1,
    )
    services.checkpoints.store(job.id, [PART])
    assert list(own_items(services)) == []
    second = as_task(services, TASK.execution, attempt=1)
    assert list(own_items(second)) == [item]
    assert list(own_items(as_task(services, "transcribe-y8", attempt=1))) == []
    claimed = claim(second, item).claimed
    assert claimed is not None
    assert claimed.job.record.started_at == started
    assert claimed.stored == {(0, PART.start, PART.end): PART}


def test_two_workers_that_claim_at_once_do_not_both_get_it(cloud: LoopbackCloud, services: JobServices) -> None:
    _, item = queue_job(services, cloud, dispatches=1)
    outcome, taken = services.jobs.outcome, []

    def late(job_id: str, run: int) -> object:
        """Between our reading and our writing of the record, the other worker takes the job."""
        patch.undo()
        taken.append(claim(as_task(services, "other"), item))
        return outcome(job_id, run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services.jobs, "outcome", late)
        result = claim(services, item)
    assert result.claimed is None
    assert result.retry_after_seconds
    assert taken[0].claimed is not None


@pytest.mark.parametrize("lost_before", [0, 1], ids=["beside others", "alone"])
def test_a_death_is_charged_where_the_job_ran_alone(
    cloud: LoopbackCloud, services: JobServices, lost_before: int
) -> None:
    most = services.settings.max_attempts
    was = {"state": JobState.RUNNING, "attempts": most, "lost_attempts": lost_before, "lease_until": now() - SOON}
    _, item = queue_job(services, cloud, holder=TASK.holder, **was)
    claimed = claim(services, item).claimed
    if lost_before == 0:
        assert claimed is not None
        assert (claimed.job.record.attempts, claimed.job.record.lost_attempts) == (most, 1)
        return
    assert claimed is None
    (message,) = cloud.terminal_messages()
    assert message.reason == f"The worker ended {most} times while it worked on the file and no other."


@pytest.mark.parametrize("faults", [0, 3])
def test_faults_are_no_reason_to_go_on_for_ever(cloud: LoopbackCloud, services: JobServices, faults: int) -> None:
    received_at = now() - timedelta(hours=services.settings.max_wait_hours, seconds=1)
    _, item = queue_job(services, cloud, faults=faults, received_at=received_at, last_error="The disk is full.")
    if faults == 0:
        # It waited for its turn, which has come.
        assert claim(services, item).claimed is not None
        return
    assert claim(services, item) is NOTHING_TO_DO
    (message,) = cloud.terminal_messages()
    assert message.reason == "Nothing could transcribe the file within 24 h. The last time: The disk is full."


def test_a_job_that_was_begun_too_often_fails_with_its_reason(cloud: LoopbackCloud, services: JobServices) -> None:
    job, item = queue_job(services, cloud, attempts=services.settings.max_attempts, last_error="Out of memory.")
    assert claim(services, item) is NOTHING_TO_DO
    (message,) = cloud.terminal_messages()
    assert (message.job_id, message.outcome) == (job.id, Outcome.FAILED)
    assert (message.reason or "").endswith("The last time: Out of memory.")
    assert not services.jobs.markers.is_open(job.id)


def test_a_job_that_ended_is_not_done_again(cloud: LoopbackCloud, services: JobServices) -> None:
    job, item = queue_job(services, cloud)
    # As who ends a queued job does, so that no worker has it meanwhile.
    job = services.jobs.save(job)
    services.finisher.finish(job.record, failed(DropscribeError("No.", FailureKind.INTERNAL)))
    assert len(cloud.terminal_messages()) == 1
    assert claim(services, item) is NOTHING_TO_DO
    assert cloud.terminal_messages() == []


def test_an_outcome_that_nobody_published_is_published(cloud: LoopbackCloud, services: JobServices) -> None:
    job, item = queue_job(services, cloud)
    job = services.jobs.save(job)
    outcome = services.finisher.finish(job.record, failed(DropscribeError("No.", FailureKind.INTERNAL)))
    assert cloud.terminal_messages() == [outcome]
    # As after a kill between the outcome and its message.
    services.jobs.markers.create(job.record.upload, now())
    assert claim(services, item) is NOTHING_TO_DO
    assert cloud.terminal_messages() == [outcome]
    assert not services.jobs.markers.is_open(job.id)


@pytest.mark.parametrize("method", [Method.DEEPGRAM, Method.PARAKEET])
def test_what_deepgram_is_at_is_left_alone(cloud: LoopbackCloud, services: JobServices, method: Method) -> None:
    decision = Decision(method=method, rule="small", reason="")
    _, item = queue_job(services, cloud, state=JobState.CLAIMED, decision=decision, lease_until=now() + SOON)
    result = claim(services, item)
    assert (result.claimed is None) == (method is Method.DEEPGRAM)
    assert bool(result.retry_after_seconds) == (method is Method.DEEPGRAM)


@pytest.mark.parametrize("is_rerun", [False, True])
def test_an_item_of_before_is_not_begun_without_what_was_asked(
    cloud: LoopbackCloud, services: JobServices, is_rerun: bool
) -> None:
    """Whoever routes the job again reads what is asked of it: to be redacted, say."""
    options = parse_upload_options({"transcribe-redact": "pii"})
    job, item = queue_job(services, cloud, options=options)
    if is_rerun:
        services.finisher.finish(job.record, failed(DropscribeError("Its workers were killed.")))
        begin_rerun(services.storage, services.jobs, job.id, RerunRequest())
    else:
        anew = rebuilt_record(item.upload, 1, now(), {}, losses=1, spent=Bill(), calls=0)
        services.jobs.write_rebuilt(anew, job.generation)
    result = claim(services, item)
    assert (result.claimed, bool(result.retry_after_seconds)) == (None, True)
    unrouted = services.jobs.load(job.id)
    assert unrouted is not None
    routed = {"state": JobState.QUEUED, "media": item.media, "decision": item.decision, "options": options}
    services.jobs.save(unrouted, **routed)
    claimed = claim(services, item).claimed
    assert claimed is not None
    assert claimed.job.record.options == options


def test_checkpoints_add_up_and_are_forgotten(services: JobServices) -> None:
    services.checkpoints.store("one", [PART])
    services.checkpoints.store("one", [OTHER])
    services.checkpoints.store("one-more", [PART])
    assert services.checkpoints.load("one") == {(0, 0, 16000): PART, (0, 16000, 32000): OTHER}
    services.jobs.delete_parts("one")
    assert services.checkpoints.load("one") == {}
    assert services.checkpoints.load("one-more") == {(0, 0, 16000): PART}


def test_a_rerun_goes_on_with_the_chunks_of_the_run_that_failed(cloud: LoopbackCloud, services: JobServices) -> None:
    job, item = queue_job(services, cloud, started_at=now(), lost_attempts=1)
    services.checkpoints.store(job.id, [PART])
    services.finisher.finish(job.record, failed(DropscribeError("Its workers were killed.")))
    begun = begin_rerun(services.storage, services.jobs, job.id, RerunRequest())
    queued = {"state": JobState.QUEUED, "media": item.media, "decision": item.decision}
    services.jobs.save(begun, **queued)
    claimed = claim(services, item).claimed
    assert claimed is not None
    assert (claimed.job.record.run, claimed.job.record.attempts) == (2, 1)
    assert claimed.stored == {(0, 0, 16000): PART}


def test_what_another_recipe_or_version_stored_is_not_used(services: JobServices) -> None:
    Checkpoints(services.state, "another model").store("one", [PART])
    objects.create_once(services.state, "jobs/one/parts/old.json", b'{"recipe": 3}')
    objects.create_once(services.state, "jobs/one/parts/torn.json", b'{"recipe": "')
    assert services.checkpoints.load("one") == {}


def part_object(services: JobServices, job_id: str) -> str:
    """The name of the one part that a job has."""
    names = [str(blob.name) for blob in services.state.list_blobs(prefix=f"jobs/{job_id}/parts/")]
    (name,) = [name for name in names if "/part-" in name]
    return name


def test_a_damaged_part_hides_no_checkpoint(services: JobServices) -> None:
    services.checkpoints.store("one", [PART], within="1.0/")
    services.checkpoints.store("one", [OTHER], within="1.1/")
    services.checkpoints.store_part("one", [PART], run=1, within="1.0/")
    objects.write(services.state, part_object(services, "one"), b'{"recipe": "')
    assert services.checkpoints.load("one") == {(0, 0, 16000): PART, (0, 16000, 32000): OTHER}


def test_a_part_takes_the_place_of_a_damaged_one_and_of_no_other(services: JobServices) -> None:
    services.checkpoints.store_part("one", [OTHER], run=1, within="1.0/")
    objects.write(services.state, part_object(services, "one"), b"")
    services.checkpoints.store_part("one", [PART], run=1, within="1.0/")
    assert services.checkpoints.load("one") == {(0, 0, 16000): PART}
    services.checkpoints.store_part("one", [OTHER], run=1, within="1.0/")
    assert services.checkpoints.load("one") == {(0, 0, 16000): PART}


def test_what_was_heard_in_one_language_is_not_used_for_another(services: JobServices) -> None:
    german, auto = parse_language_choice("de"), parse_language_choice("auto")
    services.checkpoints.store("one", [PART], language=german)
    services.checkpoints.store_part("two", [PART], run=1, within="", language=german)
    for job in ("one", "two"):
        assert services.checkpoints.load(job) == services.checkpoints.load(job, language=auto) == {}
        assert services.checkpoints.load(job, language=german) == {(0, 0, 16000): PART}


class HalfBroken:
    """An engine that transcribes the first chunk as PART, and fails on all others."""

    engine, model, failure, is_local = Engine.PARAKEET_CPU, "half", None, True

    def __init__(self) -> None:
        self.submitted: list[Task] = []

    def keyterm_support(self, terms: tuple[Keyterm, ...], model: object = None) -> None: ...

    def holds(self, model: object) -> bool:
        return False

    def model_of(self, model: object) -> str:
        return self.model

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def has_tasks(self, job_id: str) -> bool:
        return True

    def drop(self, job_id: str) -> None: ...
    def add_feeder(self) -> None: ...
    def remove_feeder(self) -> None: ...

    def submit(self, task: Task, *, wait: bool) -> None:
        self.submitted.append(task)
        if task.chunk.start == 0:
            task.complete(self.engine, PART.tokens)
        else:
            task.after(self.engine, EngineFailed("Broken.")).fail(self.engine)


@pytest.fixture
def bursts(tmp_path: Path) -> Path:
    """Two seconds of noise with silence between them, which become two chunks."""
    sound = np.concatenate([noise(1, -20), silence(10), noise(1, -20)])
    return make(tmp_path / "bursts.wav", *raw(tmp_path / "bursts.raw", sound))


def test_a_failed_chunk_is_not_kept_for_the_next_attempt(
    cloud: LoopbackCloud, services: JobServices, bursts: Path
) -> None:
    _, item = queue_job(services, cloud)
    chain, engine = EngineChain(), HalfBroken()
    chain.add(engine)
    job = running_job(claim(services, item).claimed, chain)
    job.transcription.feed(bursts)
    first, second = job.transcription.results()
    assert (first.tokens, first.failure) == (PART.tokens, None)
    assert (second.tokens, second.failure) == ((), "Broken.")
    assert job.unstored.take() == [first]
    assert job.unstored.take() == []


def test_what_an_earlier_attempt_transcribed_is_not_submitted_again(
    cloud: LoopbackCloud, services: JobServices, bursts: Path
) -> None:
    _, item = queue_job(services, cloud)
    chain, engine = EngineChain(), HalfBroken()
    chain.add(engine)
    claimed = claim(services, item).claimed
    assert claimed is not None
    first = running_job(claimed, chain)
    first.transcription.feed(bursts)
    (kept, _), before = first.transcription.results(), len(engine.submitted)
    again = running_job(replace(claimed, stored={(0, kept.start, kept.end): kept}), chain)
    again.transcription.feed(bursts)
    assert [task.chunk.start for task in engine.submitted[before:]] == [first.transcription.results()[1].start]
    assert again.transcription.results()[0] == kept
    assert again.transcription.is_stored(kept)
    assert again.unstored.take() == []


def test_no_parts_make_no_checkpoint(services: JobServices) -> None:
    services.checkpoints.store("one", [])
    assert list(services.state.list_blobs(prefix="jobs/one/")) == []


@pytest.mark.parametrize(
    ("method", "limit", "may_use_deepgram"),
    [
        (Method.PARAKEET, None, True),
        (Method.PARAKEET, Limit.MAX_COST, False),
        (Method.PARAKEET, Limit.BUDGET, False),
        (Method.PARAKEET, Limit.LANGUAGE, False),
        (Method.PARAKEET, Limit.DEADLINE, True),
        (Method.HYBRID, Limit.MAX_COST, True),
    ],
)
def test_what_cost_or_language_forbade_at_routing_is_not_sent_to_deepgram_later(
    cloud: LoopbackCloud, services: JobServices, method: Method, limit: Limit | None, may_use_deepgram: bool
) -> None:
    refusals = (Refusal(limit=limit, why="it was refused"),) if limit else ()
    quote = Quote(method=Method.DEEPGRAM, bill=Bill(), completion_seconds=1.0, refusals=refusals)
    decision = Decision(method=method, rule="small", reason="Short.", quotes=(quote,))
    _, item = queue_job(services, cloud, decision=decision)
    claimed = claim(services, item).claimed
    assert claimed is not None
    assert running_job(claimed).may_use_deepgram is may_use_deepgram
