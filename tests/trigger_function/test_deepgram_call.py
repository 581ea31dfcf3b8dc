"""The function's calls to Deepgram: on the bill whatever is killed, and their answers used though they come late."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import timedelta
from itertools import count
from pathlib import Path

import pysubs2
import pytest
import stamina
from google.api_core.exceptions import BadRequest, Forbidden

from infra.recordings import recording
from shared import objects
from shared.clock import now
from shared.costs.bill import Bill, LineItemKind
from shared.deepgram import DeepgramResult, answer_in_time
from shared.enums import Engine, Method, Outcome
from shared.errors import DropscribeError, FailureKind, StateConflict
from shared.media import Upload
from shared.messages import Receipt, TerminalMessage
from shared.operations.rerun import RerunRequest, begin_rerun
from shared.state.job_result import failed, rejected
from shared.state.jobs.object_names import record_name
from shared.state.jobs.record import JobRecord, JobState, RequestedModel
from shared.state.ledger_entry import Entry, EntryState, month_of
from shared.transcript.model import Transcript
from tests.support.faulty_deepgram import FaultyDeepgramServer
from tests.support.function_services import MakeServices
from tests.support.killed_process import killed_at
from tests.support.loopback_cloud import RESULTS, STATE, LoopbackCloud
from tests.support.odd_files import two_speakers
from tests.support.price_books import book_with_model
from tests.support.waiting import wait_until
from trigger_function.dispatch import dispatch
from trigger_function.handle_upload import handle
from trigger_function.reconciler.open_jobs import reconcile_all
from trigger_function.services import Services

AUDIO = recording("memo.wav").path.read_bytes()
LATE = {"DEEPGRAM_TIMEOUT_SECONDS": "0.2"}
"""Less than any answer of a stalled server takes."""
DEEPGRAM_USD = 0.0005925
PARAKEET_USD = 0.0102
"""About what the quotes for this recording are; Parakeet pays for a start."""


def handle_without_an_answer(server: FaultyDeepgramServer, services: Services, upload: Upload) -> threading.Event:
    """Handle an upload whose call is answered only when the returned event is set."""
    answer = threading.Event()
    server.stall_until(answer)
    handle(services, upload)
    return answer


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=1):
        yield


@pytest.fixture
def server(shared_deepgram_server: FaultyDeepgramServer) -> Iterator[FaultyDeepgramServer]:
    """Deepgram's stand-in; without faults that a test did not use up."""
    yield shared_deepgram_server
    shared_deepgram_server.recover()


@pytest.fixture
def make_deepgram_services(
    make_services: MakeServices, server: FaultyDeepgramServer, deepgram_key: str
) -> MakeServices:
    """As `make_services`, of a deployment that sends everything to Deepgram."""
    deepgram = {
        "DEEPGRAM_API_KEY": deepgram_key,
        "DEEPGRAM_BASE_URL": server.url,
        "TRANSCRIPTION_METHOD": "deepgram",
    }
    return lambda **settings: make_services(**{**deepgram, **settings})


def record_of(services: Services, upload: Upload) -> JobRecord:
    job = services.jobs.load(upload.job_id)
    assert job is not None
    return job.record


def entry_of(services: Services, upload: Upload) -> Entry:
    (entry,) = [one for one in services.ledger.entries(month_of(now())) if one.id == upload.job_id]
    return entry


def result(cloud: LoopbackCloud, message: TerminalMessage, name: str) -> bytes:
    key = message.results[name].removeprefix(f"gs://{RESULTS}/")
    return bytes(cloud.storage.bucket(RESULTS).blob(key).download_as_bytes())


def receipt_of(cloud: LoopbackCloud, message: TerminalMessage) -> Receipt:
    return Receipt.model_validate_json(result(cloud, message, "receipt.json"))


def calls_on(message: TerminalMessage, *, possibly: bool) -> int:
    lines = [line for line in message.bill.items if line.kind is LineItemKind.DEEPGRAM]
    return sum(line.possibly_billed is possibly for line in lines)


def test_a_function_killed_before_any_effect_loses_no_call_and_bills_none_twice(
    cloud: LoopbackCloud,
    make_deepgram_services: MakeServices,
    server: FaultyDeepgramServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    services = make_deepgram_services(
        CLAIM_SECONDS="0.001", MONTHLY_BUDGET_USD="100", BUDGET_CACHE_SECONDS="0", MAX_ATTEMPTS="5"
    )
    lost, reused = 0, 0
    for effect in count(1):
        upload = cloud.drop(AUDIO, f"calls/{effect}.wav")
        requests = len(server.requests)
        with killed_at(effect, monkeypatch=monkeypatch) as kill:
            handle(services, upload)
        made_by_the_killed = len(server.requests) - requests
        # The event comes again, and so does the scheduler's tick, both more than once.
        for _ in range(2):
            handle(services, upload)
            reconcile_all(services)
        message = services.jobs.outcome(upload.job_id)
        assert message is not None
        assert (message.outcome, message.engines) == (Outcome.COMPLETED, (Engine.DEEPGRAM,))
        assert {one.event_id for one in cloud.terminal_messages()} == {message.event_id}
        assert not services.jobs.markers.is_open(upload.job_id)
        made = len(server.requests) - requests
        on_bill = calls_on(message, possibly=True) + calls_on(message, possibly=False)
        # Killed between the record and the call, it is on the bill without having been made.
        assert made <= on_bill <= made + (made_by_the_killed == 0)
        assert on_bill <= 2
        lost += calls_on(message, possibly=True)
        reused += kill.happened and made == made_by_the_killed == 1
        if made == made_by_the_killed == 1:
            assert (on_bill, calls_on(message, possibly=True)) == (1, 0), "what was answered is billed for sure"
        assert not cloud.names(STATE, f"jobs/{upload.job_id}/parts/")
        entry, receipt = entry_of(services, upload), receipt_of(cloud, message)
        assert receipt.bill == message.bill
        assert (entry.state, entry.usd) == (EntryState.BILLED, message.bill.usd)
        assert entry.possibly_usd == message.bill.possibly_usd
        if not kill.happened:
            break
    assert lost
    assert reused, "an answer that was stored before the kill needs no second call"
    sums = services.ledger.month_sums(month_of(now()))
    assert services.budget.spent() == sums.usd
    assert sums.jobs == effect


def test_an_answer_whose_results_cannot_be_stored_is_not_asked_for_again(
    cloud: LoopbackCloud, make_deepgram_services: MakeServices, server: FaultyDeepgramServer
) -> None:
    services = make_deepgram_services(CLAIM_SECONDS="0.001")
    upload = cloud.drop(AUDIO)
    requests = len(server.requests)
    cloud.storage_server.fail_next(1, 403, method="POST", name_prefix=f"{upload.name}/")
    with pytest.raises(Forbidden):
        handle(services, upload)
    handle(services, upload)
    (message,) = cloud.terminal_messages()
    assert message.outcome is Outcome.COMPLETED
    assert len(server.requests) == requests + 1
    assert (calls_on(message, possibly=False), calls_on(message, possibly=True)) == (1, 0)


def test_a_stored_answer_that_cannot_be_read_counts_as_none(
    cloud: LoopbackCloud, make_deepgram_services: MakeServices, server: FaultyDeepgramServer
) -> None:
    services = make_deepgram_services(CLAIM_SECONDS="0.001")
    upload = cloud.drop(AUDIO)
    cloud.storage_server.fail_next(1, 400, method="POST", name_prefix=f"{upload.name}/")
    with pytest.raises(BadRequest):
        handle(services, upload)
    services.state.blob(f"jobs/{upload.job_id}/parts/deepgram-answer.json").upload_from_string("{}")
    handle(services, upload)
    (message,) = cloud.terminal_messages()
    assert message.outcome is Outcome.COMPLETED
    assert (calls_on(message, possibly=False), calls_on(message, possibly=True)) == (1, 1)


def test_an_upload_whose_late_answer_could_not_be_used_is_not_given_up(
    cloud: LoopbackCloud, make_deepgram_services: MakeServices, server: FaultyDeepgramServer
) -> None:
    services = make_deepgram_services(**LATE)
    upload = cloud.drop(AUDIO)
    cloud.storage_server.fail_next(1, 403, method="POST", name_prefix=f"{upload.name}/")
    answer = handle_without_an_answer(server, services, upload)
    answer.set()
    services.late_answers.wait()
    job = services.jobs.load(upload.job_id)
    assert job is not None
    # No worker came, as often as is tried.
    services.jobs.save(job, lease_until=now(), attempts=services.settings.max_attempts)
    cloud.forget_executions()
    assert reconcile_all(services) == {"finished": 1}
    (message,) = cloud.terminal_messages()
    assert (message.outcome, message.engines) == (Outcome.COMPLETED, (Engine.DEEPGRAM,))
    assert message.bill.possibly_usd == 0


def test_an_answer_that_comes_when_the_job_has_failed_is_kept_for_a_rerun(
    cloud: LoopbackCloud, make_deepgram_services: MakeServices, server: FaultyDeepgramServer
) -> None:
    services = make_deepgram_services()
    upload = cloud.drop(AUDIO)
    server.stall_next(1, 1.0)
    with cloud.storage_server.hold("POST", f"jobs/{upload.job_id}/parts/"):
        call = threading.Thread(target=handle, args=(services, upload), daemon=True)
        call.start()
        wait_until(lambda: (job := services.jobs.load(upload.job_id)) and job.record.deepgram_calls, "the call")
        services.finisher.finish(record_of(services, upload), failed(DropscribeError("Given up.")))
    call.join()
    (message,) = cloud.terminal_messages()
    assert message.outcome is Outcome.FAILED
    requests = len(server.requests)
    begin_rerun(services.storage, services.jobs, upload.job_id, RerunRequest())
    assert reconcile_all(services) == {"restarted": 1}
    (again,) = cloud.terminal_messages()
    assert (again.outcome, again.run, again.bill, again.earlier_usd) == (Outcome.COMPLETED, 2, Bill(), message.bill.usd)
    assert len(server.requests) == requests
    assert not cloud.names(STATE, f"jobs/{upload.job_id}/parts/")


def test_a_rerun_with_a_stored_answer_killed_before_any_effect_pays_nothing_again(
    cloud: LoopbackCloud,
    make_deepgram_services: MakeServices,
    server: FaultyDeepgramServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    services = make_deepgram_services(CLAIM_SECONDS="0.001")
    for effect in count(1):
        upload = cloud.drop(AUDIO, f"calls/{effect}.wav")
        cloud.storage_server.fail_next(1, 403, method="POST", name_prefix=f"{upload.name}/")
        with pytest.raises(Forbidden):
            handle(services, upload)
        first = services.finisher.finish(record_of(services, upload), failed(DropscribeError("Given up.")))
        begin_rerun(services.storage, services.jobs, upload.job_id, RerunRequest())
        requests = len(server.requests)
        with killed_at(effect, monkeypatch=monkeypatch) as kill:
            handle(services, upload)
        for _ in range(2):
            handle(services, upload)
            reconcile_all(services)
        again = services.jobs.outcome(upload.job_id, 2)
        assert again is not None
        assert (again.outcome, again.bill, again.earlier_usd) == (Outcome.COMPLETED, Bill(), first.bill.usd)
        assert len(server.requests) == requests
        ids = [one.event_id for one in cloud.terminal_messages()]
        assert (ids[0], set(ids[1:])) == (first.event_id, {again.event_id})
        assert receipt_of(cloud, again).bill == Bill()
        assert not cloud.names(STATE, f"jobs/{upload.job_id}/parts/")
        assert not cloud.names(STATE, f"open/{upload.job_id}")
        if not kill.happened:
            break
    assert effect > 5


def test_a_rerun_with_another_model_calls_deepgram_again(
    cloud: LoopbackCloud, make_deepgram_services: MakeServices, server: FaultyDeepgramServer, tmp_path: Path
) -> None:
    services = make_deepgram_services(PRICE_BOOK=str(book_with_model(tmp_path / "book.toml", "nova-2", usd=0.0052)))
    upload = cloud.drop(AUDIO)
    handle(services, upload)
    (first,) = cloud.terminal_messages()
    model = RequestedModel(method=Method.DEEPGRAM, deepgram_model="nova-2")
    begin_rerun(services.storage, services.jobs, upload.job_id, RerunRequest(model))
    requests = len(server.requests)
    assert reconcile_all(services) == {"restarted": 1}
    (again,) = cloud.terminal_messages()
    assert again.decision is not None
    assert (again.decision.rule, again.run, again.outcome) == ("requested", 2, Outcome.COMPLETED)
    assert server.requests[requests].model == "nova-2"
    assert (calls_on(again, possibly=False), calls_on(again, possibly=True)) == (1, 0)
    # The same audio for $0.0052 and $0.0043 a minute.
    usd, before_usd = (one.bill.usd_of(kind=LineItemKind.DEEPGRAM) for one in (again, first))
    assert usd == pytest.approx(before_usd * 52 / 43)
    assert again.earlier_usd == first.bill.usd
    assert receipt_of(cloud, again).earlier_usd == first.bill.usd
    entries = {one.id: one.usd for one in services.ledger.entries(month_of(now()))}
    assert entries == {upload.job_id: first.bill.usd, f"{upload.job_id}.2": again.bill.usd}


def test_a_call_that_was_lost_is_called_possibly_billed(
    cloud: LoopbackCloud, make_deepgram_services: MakeServices, server: FaultyDeepgramServer
) -> None:
    server.cut_next(1)
    services = make_deepgram_services(ENABLE_FALLBACK="false")
    upload = cloud.drop(AUDIO)
    handle(services, upload)
    (message,) = cloud.terminal_messages()
    assert message.outcome is Outcome.FAILED
    assert [line.resource for line in message.bill.items] == [
        "deepgram nova-3 (possibly billed)",
        "cloud storage egress (possibly billed)",
    ]
    assert message.bill.possibly_usd == message.bill.usd == pytest.approx(DEEPGRAM_USD, rel=0.1)
    entry = entry_of(services, upload)
    assert entry.possibly_usd == entry.usd == message.bill.usd


def test_a_late_answer_is_used_where_no_other_engine_has_one(
    cloud: LoopbackCloud, make_deepgram_services: MakeServices, server: FaultyDeepgramServer
) -> None:
    services = make_deepgram_services(**LATE)
    upload = cloud.drop(AUDIO)
    answer = handle_without_an_answer(server, services, upload)
    # Parakeet has it, and what the call may cost is known.
    (item,) = cloud.work_items()
    assert item.decision.method is Method.PARAKEET
    answer.set()
    services.late_answers.wait()
    (message,) = cloud.terminal_messages()
    assert (message.outcome, message.engines) == (Outcome.COMPLETED, (Engine.DEEPGRAM,))
    assert message.decision is not None
    assert message.decision.method is Method.DEEPGRAM
    assert message.decision.reason.endswith("Its answer came late.")
    assert (calls_on(message, possibly=False), calls_on(message, possibly=True)) == (1, 0)
    assert entry_of(services, upload).usd == message.bill.usd


def test_a_late_answer_has_what_the_other_engine_cost_meanwhile_on_its_bill(
    cloud: LoopbackCloud, make_deepgram_services: MakeServices, server: FaultyDeepgramServer
) -> None:
    services = make_deepgram_services(**LATE)
    upload = cloud.drop(AUDIO)
    answer = handle_without_an_answer(server, services, upload)
    job = services.jobs.load(upload.job_id)
    assert job is not None
    (quote,) = [one for one in job.record.decision.quotes if one.method is Method.PARAKEET]  # type: ignore[union-attr]
    # As a worker's heartbeat writes it.
    services.jobs.save(job, state=JobState.RUNNING, holder="gpu/0", spent=job.record.spent + quote.bill)
    answer.set()
    services.late_answers.wait()
    (message,) = cloud.terminal_messages()
    assert message.bill.usd == pytest.approx(quote.bill.usd + message.bill.usd_of(kind=LineItemKind.DEEPGRAM), abs=1e-3)
    assert (calls_on(message, possibly=False), calls_on(message, possibly=True)) == (1, 0)


def test_a_late_answer_changes_no_outcome(
    cloud: LoopbackCloud, make_deepgram_services: MakeServices, server: FaultyDeepgramServer
) -> None:
    services = make_deepgram_services(**LATE)
    upload = cloud.drop(AUDIO)
    answer = handle_without_an_answer(server, services, upload)
    outcome = services.finisher.finish(record_of(services, upload), failed(DropscribeError("Given up.")))
    answer.set()
    services.late_answers.wait()
    assert cloud.terminal_messages() == [outcome]
    assert services.jobs.outcome(upload.job_id) == outcome
    assert outcome.bill.possibly_usd > 0


def test_without_another_engine_a_late_answer_is_waited_for(
    cloud: LoopbackCloud, make_deepgram_services: MakeServices, server: FaultyDeepgramServer
) -> None:
    server.stall_next(1, 1.0)
    services = make_deepgram_services(**LATE, ENABLE_FALLBACK="false")
    handle(services, cloud.drop(AUDIO))
    (message,) = cloud.terminal_messages()
    assert (message.outcome, message.engines) == (Outcome.COMPLETED, (Engine.DEEPGRAM,))


@pytest.mark.parametrize(
    ("limits", "metadata"),
    [({"MONTHLY_BUDGET_USD": "0.0105"}, {}), ({}, {"transcribe-max-cost": "0.0105"})],
    ids=["budget", "max cost"],
)
def test_what_a_lost_call_may_have_cost_counts_where_parakeet_would_take_over(
    cloud: LoopbackCloud,
    make_deepgram_services: MakeServices,
    server: FaultyDeepgramServer,
    limits: dict[str, str],
    metadata: dict[str, str],
) -> None:
    server.fail_next(1, 500)
    services = make_deepgram_services(**limits)
    upload = cloud.drop(AUDIO, metadata=metadata)
    handle(services, upload)
    # Either alone would have been within the limit.
    assert max(DEEPGRAM_USD, PARAKEET_USD) < 0.0105 < DEEPGRAM_USD + PARAKEET_USD
    (message,) = cloud.terminal_messages()
    assert message.outcome is Outcome.FAILED
    assert (message.reason or "").endswith("Parakeet may not take over: it would cost more than is allowed or left.")
    assert entry_of(services, upload).usd == message.bill.usd == message.bill.possibly_usd > 0


def test_a_lost_call_and_parakeet_are_reserved_together(
    cloud: LoopbackCloud, make_deepgram_services: MakeServices, server: FaultyDeepgramServer
) -> None:
    server.fail_next(1, 500)
    services = make_deepgram_services(MONTHLY_BUDGET_USD="10")
    upload = cloud.drop(AUDIO)
    handle(services, upload)
    entry, record = entry_of(services, upload), record_of(services, upload)
    assert record.decision is not None
    assert record.decision.quote is not None
    assert entry.usd == pytest.approx(record.spent.usd + record.decision.quote.bill.usd)
    assert entry.usd == pytest.approx(DEEPGRAM_USD + PARAKEET_USD, rel=0.1)


def test_who_lost_the_claim_during_a_call_does_not_finish_without_the_others_call(
    cloud: LoopbackCloud,
    make_deepgram_services: MakeServices,
    server: FaultyDeepgramServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Chaos runs found it: an answered call that was on no bill."""
    services = make_deepgram_services(CLAIM_SECONDS="0.001")
    upload = cloud.drop(AUDIO)

    def answered(answer: Future[DeepgramResult], seconds: float) -> DeepgramResult:
        result = answer_in_time(answer, seconds)
        job = services.jobs.load(upload.job_id)
        assert job is not None
        # Another process has taken the job over meanwhile, and calls Deepgram, too.
        record = job.record
        services.jobs.save(job, holder="reconciler/b", deepgram_calls=2, spent=record.spent + record.spent)
        return result

    with monkeypatch.context() as patched:
        patched.setattr("trigger_function.deepgram_call.answer_in_time", answered)
        with pytest.raises(StateConflict):
            handle(services, upload)
    assert services.jobs.outcome(upload.job_id) is None
    # The other one was killed.
    requests = len(server.requests)
    reconcile_all(services)
    message = services.jobs.outcome(upload.job_id)
    assert message is not None
    assert (calls_on(message, possibly=True), calls_on(message, possibly=False)) == (1, 1)
    assert len(server.requests) == requests, "the first one's answer is used"


def test_an_answer_behind_the_end_of_a_job_that_another_process_took_leaves_nothing(
    cloud: LoopbackCloud,
    make_deepgram_services: MakeServices,
    server: FaultyDeepgramServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was to be redacted, or erased, is in it."""
    services = make_deepgram_services(CLAIM_SECONDS="0.001")
    upload = cloud.drop(AUDIO)

    def answered(answer: Future[DeepgramResult], seconds: float) -> DeepgramResult:
        result = answer_in_time(answer, seconds)
        job = services.jobs.load(upload.job_id)
        assert job is not None
        job = services.jobs.save(job, holder="reconciler/b")
        services.finisher.finish(job.record, rejected(DropscribeError("No.", FailureKind.REFUSED)))
        return result

    monkeypatch.setattr("trigger_function.deepgram_call.answer_in_time", answered)
    with pytest.raises(StateConflict):
        handle(services, upload)
    assert cloud.names(STATE, f"jobs/{upload.job_id}/parts/") == []


def test_deepgram_is_not_called_again_and_again_by_processes_that_are_killed(
    cloud: LoopbackCloud, make_deepgram_services: MakeServices, server: FaultyDeepgramServer
) -> None:
    services = make_deepgram_services(CLAIM_SECONDS="0.001")
    requests = len(server.requests)
    upload = cloud.drop(AUDIO)
    server.fail_next(1, 500)
    handle(services, upload)
    job = services.jobs.load(upload.job_id)
    assert job is not None
    assert job.record.deepgram_calls == 1
    time.sleep(0.002)
    decision = job.record.decision
    assert decision is not None
    decision = decision.model_copy(update={"method": Method.DEEPGRAM})
    lost = services.jobs.save(job, state=JobState.CLAIMED, decision=decision, deepgram_calls=3)
    dispatch(services, lost)
    record = record_of(services, upload)
    assert record.decision is not None
    assert record.decision.method is Method.PARAKEET
    assert "Deepgram was called 3 times for the file, and no answer was stored." in record.decision.reason
    assert len(server.requests) == requests + 1


def test_a_call_that_deepgram_cannot_have_billed_is_taken_back(
    cloud: LoopbackCloud, make_deepgram_services: MakeServices, server: FaultyDeepgramServer
) -> None:
    server.fail_next(1, 402)
    services = make_deepgram_services()
    upload = cloud.drop(AUDIO)
    handle(services, upload)
    record = record_of(services, upload)
    assert (record.deepgram_calls, record.spent.items) == (0, ())
    assert record.lease_until > now() - timedelta(minutes=1)


def test_a_call_that_is_refused_late_is_taken_back(
    cloud: LoopbackCloud, make_deepgram_services: MakeServices, server: FaultyDeepgramServer
) -> None:
    # The server answers 401 once it turns to the request.
    services = make_deepgram_services(**LATE, DEEPGRAM_API_KEY="wrong")
    upload = cloud.drop(AUDIO)
    answer = handle_without_an_answer(server, services, upload)
    assert record_of(services, upload).spent.possibly_usd > 0
    answer.set()
    services.late_answers.wait()
    assert record_of(services, upload).spent.items == ()
    assert cloud.terminal_messages() == []


BUDGETED = {
    **LATE,
    "MONTHLY_BUDGET_USD": "100",
    "BUDGET_CACHE_SECONDS": "0",
    "CLAIM_SECONDS": "0.001",
    "QUEUE_PATIENCE_SECONDS": "0.001",
}
"""With reservations in the ledger, which say what is spent where no record does."""


def lose_record(services: Services, upload: Upload) -> None:
    """Have the reconciler make the record anew, of which nothing is left, and not yet route it."""
    objects.delete(services.state, record_name(upload.job_id))
    assert reconcile_all(services) == {"rebuilt": 1}
    assert record_of(services, upload).media is None


@pytest.mark.parametrize("is_routed_again", [False, True])
def test_a_late_answer_is_once_on_a_bill_that_was_made_anew(
    cloud: LoopbackCloud, make_deepgram_services: MakeServices, server: FaultyDeepgramServer, is_routed_again: bool
) -> None:
    services = make_deepgram_services(**BUDGETED)
    upload = cloud.drop(AUDIO, metadata={"transcribe-redact": "pii", "transcribe-redact-audio": "off"})
    answer = handle_without_an_answer(server, services, upload)
    possibly_usd = record_of(services, upload).spent.possibly_usd
    lose_record(services, upload)
    assert record_of(services, upload).spent.possibly_usd == pytest.approx(possibly_usd) != 0
    if is_routed_again:
        assert reconcile_all(make_deepgram_services(TRANSCRIPTION_METHOD="parakeet")) == {"restarted": 1}
        assert record_of(services, upload).state is JobState.QUEUED
    answer.set()
    services.late_answers.wait()
    (message,) = cloud.terminal_messages()
    assert (message.outcome, message.engines) == (Outcome.COMPLETED, (Engine.DEEPGRAM,))
    assert (calls_on(message, possibly=False) > 0, calls_on(message, possibly=True)) == (True, 0)
    assert message.bill.usd == pytest.approx(possibly_usd, rel=0.1)
    assert entry_of(services, upload).usd == message.bill.usd
    # As it was asked for.
    assert "pii" in message.redact


def test_a_call_that_is_refused_late_is_taken_off_a_bill_that_was_made_anew(
    cloud: LoopbackCloud, make_deepgram_services: MakeServices, server: FaultyDeepgramServer
) -> None:
    services = make_deepgram_services(**BUDGETED, DEEPGRAM_API_KEY="wrong")
    upload = cloud.drop(AUDIO)
    answer = handle_without_an_answer(server, services, upload)
    lose_record(services, upload)
    assert record_of(services, upload).spent.possibly_usd > 0
    answer.set()
    services.late_answers.wait()
    assert record_of(services, upload).spent.items == ()


def test_a_late_answers_failure_is_no_failure_of_the_job(
    cloud: LoopbackCloud, make_deepgram_services: MakeServices, server: FaultyDeepgramServer
) -> None:
    services = make_deepgram_services(**LATE)
    upload = cloud.drop(AUDIO)
    answer = handle_without_an_answer(server, services, upload)
    cloud.storage_server.fail_next(1, 403, method="POST", name_prefix=f"{upload.name}/")
    answer.set()
    services.late_answers.wait()
    assert services.jobs.markers.is_open(upload.job_id)
    assert services.jobs.outcome(upload.job_id) is None
    assert record_of(services, upload).state is JobState.QUEUED
    assert FailureKind.TIMEOUT not in {one.failure_kind for one in cloud.terminal_messages()}


def test_people_on_two_channels_keep_their_sentences_and_share_subtitles(
    cloud: LoopbackCloud, make_deepgram_services: MakeServices, tmp_path: Path
) -> None:
    services = make_deepgram_services()
    audio = two_speakers(tmp_path).read_bytes()
    metadata = {"transcribe-channels": "split", "transcribe-subtitles": "line=37"}
    upload = cloud.drop(audio, "calls/two.wav", metadata=metadata)
    handle(services, upload)
    (message,) = cloud.terminal_messages()
    files = {name: result(cloud, message, name) for name in message.results}
    transcript = Transcript.model_validate_json(files["transcript.json"])
    assert transcript.channels == 2
    for speaker in range(2):
        words = [word.text for word in transcript.words if word.speaker == speaker]
        spoken = [segment.text for segment in transcript.segments if segment.speaker == speaker]
        assert " ".join(spoken).split() == words
        assert all(text[0].isupper() and text[-1] in ".?!" for text in spoken)
    channels = json.loads(files["deepgram.json"])["results"]["channels"]
    texts = [channel["alternatives"][0]["transcript"] for channel in channels]
    assert [len(text.split()) for text in texts] == [
        len([word for word in transcript.words if word.speaker == speaker]) for speaker in range(2)
    ]
    lines = [event.text.split(r"\N") for event in pysubs2.SSAFile.from_string(files["transcript.srt"].decode())]
    assert any(len(both) == 2 and all(line.startswith("- ") for line in both) for both in lines)
    assert max(len(line) for both in lines for line in both) <= 37


def test_speakers_are_named_and_billed_where_deepgram_tells_them_apart_and_numbers_are_in_digits(
    cloud: LoopbackCloud, make_deepgram_services: MakeServices
) -> None:
    services = make_deepgram_services()
    audio = recording("call.opus").path.read_bytes()
    metadata = {"transcribe-speakers": "on", "transcribe-speaker-names": "Ann, Ben", "transcribe-numbers": "written"}
    upload = cloud.drop(audio, "calls/two.opus", metadata=metadata)
    handle(services, upload)
    (message,) = cloud.terminal_messages()
    assert message.engines == (Engine.DEEPGRAM,)
    transcript = Transcript.model_validate_json(result(cloud, message, "transcript.json"))
    assert [(one.number, one.name) for one in transcript.speakers] == [(0, "Ann"), (1, "Ben")]
    assert "Call 510." in transcript.text
    assert next(word.speaker for word in transcript.words if word.speaker is not None) == 0

    bill = receipt_of(cloud, message).bill
    assert bill == message.bill
    minutes, diarized, _egress = bill.items
    # The answer's lines are in the place of the call's, all of them.
    assert (minutes.kind, diarized.kind) == (LineItemKind.DEEPGRAM, LineItemKind.DEEPGRAM)
    assert not any(line.possibly_billed for line in bill.items)
    assert diarized.resource == "deepgram diarization"
    assert diarized.quantity == minutes.quantity == pytest.approx(transcript.duration / 60)
    assert diarized.usd == pytest.approx(minutes.quantity * services.prices.deepgram_speakers_minute_usd())
    (quote,) = [one for one in message.decision.quotes if one.method is Method.DEEPGRAM] if message.decision else []
    assert quote.bill.usd == pytest.approx(bill.usd, rel=0.02)


@pytest.mark.parametrize(("asked", "usd"), [("de,en", 0.0052), ("auto", 0.0043)])
def test_a_language_that_is_to_be_found_is_in_the_transcript_and_several_have_their_price(
    cloud: LoopbackCloud, make_deepgram_services: MakeServices, asked: str, usd: float
) -> None:
    services = make_deepgram_services()
    upload = cloud.drop(recording("memo.wav").path.read_bytes(), "a.wav", metadata={"transcribe-language": asked})
    handle(services, upload)
    (message,) = cloud.terminal_messages()
    transcript = Transcript.model_validate_json(result(cloud, message, "transcript.json"))
    assert (transcript.language, {segment.language for segment in transcript.segments}) == ("en", {"en"})
    assert transcript.language_confidence == (0.99 if asked == "auto" else None)
    (channel,) = json.loads(result(cloud, message, "deepgram.json"))["results"]["channels"]
    assert channel["detected_language"] == "en"
    assert [line.usd_per_unit for line in message.bill.items if line.kind is LineItemKind.DEEPGRAM] == [usd]
    receipt = receipt_of(cloud, message)
    assert receipt.saving is not None
    assert receipt.saving.deepgram_usd == pytest.approx(message.bill.usd, rel=0.02)
    (quote,) = [one for one in message.decision.quotes if one.method is Method.DEEPGRAM] if message.decision else []
    assert quote.bill.usd == pytest.approx(message.bill.usd, rel=0.02)
