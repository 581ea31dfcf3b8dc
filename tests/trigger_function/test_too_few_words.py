"""Deepgram hears too little of an upload that asks for more: a job is asked, once, and the better transcript counts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count

import pytest
import stamina

from infra.recordings import recording
from shared.costs.bill import Bill, LineItemKind
from shared.enums import Engine, Method, Outcome
from shared.errors import DropscribeError
from shared.media import Upload
from shared.messages import TerminalMessage
from shared.operations.rerun import RerunRequest, begin_rerun
from shared.options.metadata_keys import MAX_COST_METADATA, MIN_COVERAGE_METADATA, SECOND_OPINION_METADATA
from shared.state.job_result import JobResult, completed, failed
from shared.state.jobs.record import JobRecord, JobState, RequestedModel
from shared.transcript.compose import compose
from shared.transcript.model import Passage, WarningCode, Word
from tests.support.faulty_deepgram import FaultyDeepgramServer
from tests.support.function_services import MakeServices
from tests.support.killed_process import killed_at
from tests.support.loopback_cloud import LoopbackCloud
from trigger_function.handle_upload import handle
from trigger_function.reconciler.open_jobs import reconcile_all
from trigger_function.services import Services

PARAKEET = RequestedModel(method=Method.PARAKEET)
MEMO = recording("memo.wav")


@pytest.fixture
def server(shared_deepgram_server: FaultyDeepgramServer) -> Iterator[FaultyDeepgramServer]:
    """Deepgram's stand-in, which hears no word of a recording as long as the memo."""
    shared_deepgram_server.seconds_without_words = MEMO.duration
    with stamina.set_testing(True, attempts=1):
        yield shared_deepgram_server
    shared_deepgram_server.recover()


@pytest.fixture
def services(make_services: MakeServices, server: FaultyDeepgramServer, deepgram_key: str) -> Services:
    """Of a deployment that sends everything to Deepgram first."""
    return make_services(
        DEEPGRAM_API_KEY=deepgram_key,
        DEEPGRAM_BASE_URL=server.url,
        TRANSCRIPTION_METHOD="deepgram",
        CLAIM_SECONDS="0.001",
        MONTHLY_BUDGET_USD="100",
        BUDGET_CACHE_SECONDS="0",
    )


def dropped(cloud: LoopbackCloud, name: str = "a.wav", **metadata: str) -> Upload:
    return cloud.drop(MEMO.path.read_bytes(), name, metadata={MIN_COVERAGE_METADATA: "98%", **metadata})


def record_of(services: Services, upload: Upload) -> JobRecord:
    job = services.jobs.load(upload.job_id)
    assert job is not None
    return job.record


def of_job(text: str) -> JobResult:
    """What a job made of it."""
    words = [Word(text=word, start=at, end=at + 0.5) for at, word in enumerate(text.split())]
    passages = [Passage(Engine.PARAKEET_GPU, words)]
    return completed(compose(job_id="j", source="s", duration=5, language="en", model="parakeet", passages=passages))


def deepgram_usd_of(bill: Bill) -> float:
    return bill.usd_of(kind=LineItemKind.DEEPGRAM)


def deepgram_usd(message: TerminalMessage) -> float:
    return deepgram_usd_of(message.bill)


def test_a_job_is_asked_where_deepgram_heard_nothing_and_its_words_count(
    cloud: LoopbackCloud, services: Services, server: FaultyDeepgramServer
) -> None:
    requests = len(server.requests)
    upload = dropped(cloud)
    handle(services, upload)
    assert cloud.terminal_messages() == []
    (item,) = cloud.work_items()
    record = record_of(services, upload)
    assert (record.state, item.decision.method) == (JobState.QUEUED, Method.PARAKEET)
    assert record.decision is not None
    assert "has words for 0 % of what is said" in record.decision.reason
    # Nothing is held for Deepgram any more but what it cost.
    assert {quote.only_if_incomplete_usd for quote in record.decision.quotes} == {0.0}
    assert deepgram_usd_of(record.spent) == pytest.approx(MEMO.duration / 60 * 0.0043)
    assert record.spent.possibly_usd == 0

    message = services.finisher.finish(record, of_job("words of the job"))
    assert (message.outcome, message.engines) == (Outcome.COMPLETED, (Engine.PARAKEET_GPU,))
    assert deepgram_usd(message) == pytest.approx(MEMO.duration / 60 * 0.0043)
    assert len(server.requests) == requests + 1


def test_where_the_job_fails_deepgrams_transcript_is_better_than_none(
    cloud: LoopbackCloud, services: Services, server: FaultyDeepgramServer
) -> None:
    upload = dropped(cloud)
    handle(services, upload)
    message = services.finisher.finish(record_of(services, upload), failed(DropscribeError("Every engine failed.")))
    assert (message.outcome, message.word_count) == (Outcome.COMPLETED, 0)
    assert [warning.code for warning in message.warnings] == [WarningCode.COVERAGE_BELOW_MINIMUM]
    assert not [blob.name for blob in services.state.list_blobs() if "first-transcript" in blob.name]


@pytest.mark.parametrize("is_at_work", [False, True], ids=["in the queue", "at work"])
@pytest.mark.parametrize("fails", [False, True], ids=["the job has more", "the job fails"])
def test_a_late_answer_with_too_few_words_ends_no_job_that_may_have_more(
    cloud: LoopbackCloud,
    make_services: MakeServices,
    services: Services,
    server: FaultyDeepgramServer,
    is_at_work: bool,
    fails: bool,
) -> None:
    services = make_services(DEEPGRAM_TIMEOUT_SECONDS="0.2")
    upload, answer = dropped(cloud), threading.Event()
    server.stall_until(answer)
    handle(services, upload)
    job = services.jobs.load(upload.job_id)
    assert job is not None
    if is_at_work:
        job = services.jobs.save(job, state=JobState.RUNNING, holder="gpu/0", attempts=1)
    at_worker = job.record
    answer.set()
    services.late_answers.wait()
    assert cloud.terminal_messages() == []
    # Nobody writes to the record of a worker that is at it; a job in the queue knows the price from now on.
    record = record_of(services, upload)
    assert (record == at_worker) is is_at_work
    assert (record.spent.possibly_usd > 0) is is_at_work
    assert deepgram_usd_of(record.spent) == pytest.approx(MEMO.duration / 60 * 0.0043, rel=0.05)
    of_the_job = failed(DropscribeError("Every engine failed.")) if fails else of_job("words of the job")
    message = services.finisher.finish(record, of_the_job)
    assert (message.outcome, message.word_count) == (Outcome.COMPLETED, 0 if fails else 4)
    # By its answer, though the record of a worker that is at it does not know that.
    assert message.bill.possibly_usd == 0
    assert deepgram_usd(message) == pytest.approx(MEMO.duration / 60 * 0.0043, rel=0.05)
    assert is_at_work or deepgram_usd(message) == deepgram_usd_of(record.spent)


@pytest.mark.parametrize(
    ("settings", "metadata"),
    [({"ENABLE_FALLBACK": "false"}, {}), ({}, {MIN_COVERAGE_METADATA: ""}), ({}, {MAX_COST_METADATA: "0.001"})],
    ids=["no fallback", "not asked", "above what the upload may cost"],
)
def test_where_no_job_may_be_asked_the_upload_is_completed(
    cloud: LoopbackCloud,
    services: Services,
    make_services: MakeServices,
    settings: dict[str, str],
    metadata: dict[str, str],
) -> None:
    services = make_services(**settings)
    handle(services, dropped(cloud, **metadata))
    (message,) = cloud.terminal_messages()
    if MAX_COST_METADATA in metadata:
        # What both may cost is more than is allowed: it is refused before anything is spent.
        assert (message.outcome, message.bill.usd) == (Outcome.REJECTED, 0)
        return
    expected = [] if metadata else [WarningCode.COVERAGE_BELOW_MINIMUM]
    assert (message.outcome, [warning.code for warning in message.warnings]) == (Outcome.COMPLETED, expected)
    assert cloud.work_items() == []


def test_a_function_killed_once_the_answer_is_stored_pays_nothing_again(
    cloud: LoopbackCloud, services: Services, server: FaultyDeepgramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with killed_at("none", monkeypatch=monkeypatch) as undisturbed:
        handle(services, dropped(cloud, "undisturbed.wav"))
    first = undisturbed.kinds.index("POST state/o/jobs/*/parts/first-transcript.json") + 1
    for effect in count(first):
        cloud.forget_executions()
        upload = dropped(cloud, f"{effect}.wav")
        requests = len(server.requests)
        with killed_at(effect, monkeypatch=monkeypatch) as kill:
            handle(services, upload)
        for _ in range(2):
            handle(services, upload)
            reconcile_all(services)
        assert len(server.requests) == requests + 1
        left = record_of(services, upload)
        assert (left.state, left.has_first_transcript) == (JobState.QUEUED, True)
        message = services.finisher.finish(left, of_job("words"))
        assert deepgram_usd(message) == pytest.approx(MEMO.duration / 60 * 0.0043)
        if not kill.happened:
            break
    assert effect > first + 3


def test_a_rerun_that_names_an_engine_is_that_engines_alone(
    cloud: LoopbackCloud, services: Services, server: FaultyDeepgramServer
) -> None:
    upload = dropped(cloud, **{SECOND_OPINION_METADATA: "0.01"})
    handle(services, upload)
    services.finisher.finish(record_of(services, upload), of_job("words of the job"))
    cloud.terminal_messages()
    cloud.work_items()
    for model in (RequestedModel(method=Method.DEEPGRAM, deepgram_model="nova-3"), PARAKEET):
        begin_rerun(services.storage, services.jobs, upload.job_id, RerunRequest(model))
        reconcile_all(services)
        record = record_of(services, upload)
        assert record.options.second_opinion_usd is None
        assert record.decision is not None
        assert {quote.only_if_incomplete_usd for quote in record.decision.quotes} == {0.0}
        if model is PARAKEET:
            assert [item.decision.method for item in cloud.work_items()] == [Method.PARAKEET]
        else:
            # Without a word, and no job is asked.
            (message,) = cloud.terminal_messages()
            assert [warning.code for warning in message.warnings] == [WarningCode.COVERAGE_BELOW_MINIMUM]
            assert cloud.work_items() == []
