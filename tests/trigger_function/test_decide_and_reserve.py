"""Budgets through the function: the estimate is held before the work, the bill replaces it, and the rest is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
import stamina
from google.api_core.exceptions import Forbidden

from infra.emulators.deepgram_server import DeepgramServer
from infra.recordings import recording
from shared.clock import now
from shared.enums import Method, Outcome
from shared.errors import DropscribeError, FailureKind
from shared.state.job_result import failed
from shared.state.jobs.record import JobState
from shared.state.ledger import Ledger
from shared.state.ledger_entry import Entry, EntryState, month_of
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import PROJECT, STATE, LoopbackCloud
from tests.support.waiting import PATIENCE
from trigger_function.alerts import BudgetAlert
from trigger_function.handle_upload import handle, proceed
from trigger_function.reconciler.open_jobs import reconcile_all
from trigger_function.services import Services

AUDIO = recording("memo.wav").path.read_bytes()
PARAKEET = {"TRANSCRIPTION_METHOD": "parakeet"}
ALERTS = "transcription-alerts"


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=1):
        yield


@pytest.fixture(autouse=True)
def _alerts(cloud: LoopbackCloud) -> None:
    topic = cloud.publisher.topic_path(PROJECT, ALERTS)
    cloud.publisher.create_topic(name=topic)
    cloud.subscriber.create_subscription(name=cloud.subscription(ALERTS), topic=topic)


@pytest.fixture
def deepgram(shared_deepgram_server: DeepgramServer, deepgram_key: str) -> dict[str, str]:
    return {"DEEPGRAM_API_KEY": deepgram_key, "DEEPGRAM_BASE_URL": shared_deepgram_server.url}


def shares(cloud: LoopbackCloud) -> list[float]:
    """Of the budget, in the alerts published since the last call."""
    request = {"subscription": cloud.subscription(ALERTS), "max_messages": 10}
    received = cloud.subscriber.pull(request=request, timeout=PATIENCE).received_messages
    ack_ids = [one.ack_id for one in received]
    cloud.subscriber.acknowledge(subscription=cloud.subscription(ALERTS), ack_ids=ack_ids)
    return [BudgetAlert.model_validate_json(one.message.data).share for one in received]


def entries(services: Services) -> list[Entry]:
    return list(services.ledger.entries(month_of(now())))


def spent_by_others(services: Services, usd: float) -> None:
    services.ledger.book(Entry(id="f" * 24, state=EntryState.BILLED, day=now().date(), usd=usd))


def test_the_estimate_is_held_before_the_work(cloud: LoopbackCloud, make_services: MakeServices) -> None:
    services = make_services(**PARAKEET, MONTHLY_BUDGET_USD="10")
    upload = cloud.drop(AUDIO)
    handle(services, upload)
    (item,) = cloud.work_items()
    assert item.decision.quote is not None
    (entry,) = entries(services)
    assert (entry.id, entry.state, entry.method) == (upload.job_id, EntryState.RESERVED, Method.PARAKEET)
    assert entry.usd == item.decision.quote.bill.usd > 0
    assert services.budget.left() == pytest.approx(10 - entry.usd)


def test_the_older_name_of_the_budget_works(make_services: MakeServices) -> None:
    assert make_services(MONTHLY_TRANSCRIPTION_BUDGET="12.5").budget.limit_usd == 12.5


def test_the_bill_replaces_the_estimate(
    cloud: LoopbackCloud, make_services: MakeServices, deepgram: dict[str, str]
) -> None:
    services = make_services(**deepgram, TRANSCRIPTION_METHOD="deepgram", MONTHLY_BUDGET_USD="10")
    handle(services, cloud.drop(AUDIO))
    (message,) = cloud.terminal_messages()
    (entry,) = entries(services)
    assert (entry.state, entry.usd) == (EntryState.BILLED, message.bill.usd)
    assert (entry.method, entry.folder) == (Method.DEEPGRAM, "calls")


def test_without_a_budget_bills_are_booked_all_the_same(
    cloud: LoopbackCloud, make_services: MakeServices, deepgram: dict[str, str]
) -> None:
    services = make_services(**deepgram, TRANSCRIPTION_METHOD="deepgram")
    handle(services, cloud.drop(AUDIO))
    assert [entry.state for entry in entries(services)] == [EntryState.BILLED]


def test_what_the_budget_cannot_pay_is_rejected_with_the_sums(
    cloud: LoopbackCloud, make_services: MakeServices
) -> None:
    services = make_services(**PARAKEET, MONTHLY_BUDGET_USD="10")
    spent_by_others(services, 9.995)
    handle(services, cloud.drop(AUDIO))
    (message,) = cloud.terminal_messages()
    assert (message.outcome, message.failure_kind) == (Outcome.REJECTED, FailureKind.QUOTA)
    assert message.reason is not None
    assert "$0.0050 is left" in message.reason
    assert cloud.work_items() == []
    assert cloud.executions() == []
    assert shares(cloud) == [0.5, 0.8, 1.0]


def test_the_cheaper_method_is_taken_where_the_dear_one_would_pass_the_budget(
    cloud: LoopbackCloud, make_services: MakeServices, deepgram: dict[str, str]
) -> None:
    # Eight seconds: a cent for starting a GPU, a twentieth of a cent at Deepgram.
    services = make_services(**PARAKEET, **deepgram, MONTHLY_BUDGET_USD="10")
    spent_by_others(services, 9.995)
    handle(services, cloud.drop(AUDIO))
    (message,) = cloud.terminal_messages()
    assert message.outcome is Outcome.COMPLETED
    assert message.decision is not None
    assert (message.decision.method, message.decision.rule) == (Method.DEEPGRAM, "requested-over-budget")
    assert services.ledger.month_sums(month_of(now())).usd < 10
    # Nobody was refused: no warning says so.
    assert shares(cloud) == [0.5, 0.8]


def test_a_method_over_budget_that_is_not_chosen_is_no_reason_for_an_alert(
    cloud: LoopbackCloud, make_services: MakeServices, deepgram: dict[str, str]
) -> None:
    # The job's start-up would pass the budget, and Deepgram is asked for anyway.
    services = make_services(**deepgram, TRANSCRIPTION_METHOD="deepgram", MONTHLY_BUDGET_USD="0.01")
    handle(services, cloud.drop(AUDIO))
    (message,) = cloud.terminal_messages()
    assert message.outcome is Outcome.COMPLETED
    assert not [name for name in cloud.names(STATE) if name.startswith("alerts/")]


def test_what_an_earlier_delivery_held_is_not_held_against_the_same_upload(
    cloud: LoopbackCloud, make_services: MakeServices
) -> None:
    services = make_services(**PARAKEET, MONTHLY_BUDGET_USD="0.015", BUDGET_CACHE_SECONDS="0")
    upload = cloud.drop(AUDIO)
    # As after a kill between the reservation and the record.
    services.ledger.reserve(Entry(id=upload.job_id, state=EntryState.RESERVED, day=now().date(), usd=0.014))
    handle(services, upload)
    assert [item.job_id for item in cloud.work_items()] == [upload.job_id]
    (entry,) = entries(services)
    assert entry.state is EntryState.RESERVED


def test_money_that_a_bill_gave_back_is_seen_before_anything_is_rejected(
    cloud: LoopbackCloud, make_services: MakeServices
) -> None:
    services = make_services(**PARAKEET, MONTHLY_BUDGET_USD="10", BUDGET_CACHE_SECONDS="10000")
    spent_by_others(services, 9.995)
    assert services.budget.left() == pytest.approx(0.005)
    spent_by_others(services, 1)
    handle(services, cloud.drop(AUDIO))
    assert len(cloud.work_items()) == 1


def test_an_upload_is_judged_by_the_month_it_was_received_in(cloud: LoopbackCloud, make_services: MakeServices) -> None:
    services = make_services(**PARAKEET, MONTHLY_BUDGET_USD="10")
    received = now().replace(day=1) - timedelta(days=1)
    before = Entry(id="f" * 24, state=EntryState.BILLED, day=received.date(), usd=9.995)
    services.ledger.book(before)
    job = services.jobs.claim(cloud.drop(AUDIO), "me", timedelta(minutes=1))
    assert job is not None
    proceed(services, services.jobs.save(job, received_at=received))
    (message,) = cloud.terminal_messages()
    assert message.failure_kind is FailureKind.QUOTA
    assert message.reason is not None
    assert "of which $0.0050 is left" in message.reason


def test_a_fallback_that_cannot_be_paid_is_no_decision(
    cloud: LoopbackCloud, make_services: MakeServices, deepgram: dict[str, str], shared_deepgram_server: DeepgramServer
) -> None:
    services = make_services(**deepgram, TRANSCRIPTION_METHOD="deepgram", MONTHLY_BUDGET_USD="0.01")
    shared_deepgram_server.fail_next(1, 500)
    handle(services, cloud.drop(AUDIO))
    (message,) = cloud.terminal_messages()
    assert message.outcome is Outcome.FAILED
    assert message.reason is not None
    assert message.reason.startswith("Deepgram answered 500. Parakeet may not take over")
    assert message.decision is not None
    assert (message.decision.method, message.decision.rule) == (Method.DEEPGRAM, "requested")
    assert message.bill.usd > 0, "Deepgram may bill a call that it answered with a 500"
    (entry,) = entries(services)
    assert (entry.state, entry.usd, entry.fallbacks) == (EntryState.BILLED, message.bill.usd, 0)


def test_money_that_others_took_meanwhile_is_seen_near_the_limit(
    cloud: LoopbackCloud, make_services: MakeServices
) -> None:
    services = make_services(**PARAKEET, MONTHLY_BUDGET_USD="0.011", BUDGET_CACHE_SECONDS="10000")
    assert services.budget.left() == 0.011
    spent_by_others(services, 0.01)
    handle(services, cloud.drop(AUDIO))
    (message,) = cloud.terminal_messages()
    assert (message.outcome, message.failure_kind) == (Outcome.REJECTED, FailureKind.QUOTA)
    # What was held for a moment is given back; the rejected job's bill is nothing.
    assert services.ledger.month_sums(month_of(now())).usd == 0.01


def test_a_second_delivery_holds_nothing_more(cloud: LoopbackCloud, make_services: MakeServices) -> None:
    services = make_services(**PARAKEET, MONTHLY_BUDGET_USD="10")
    upload = cloud.drop(AUDIO)
    handle(services, upload)
    handle(services, upload)
    assert len(entries(services)) == 1


def test_a_private_upload_stays_queued_where_no_job_starts(
    cloud: LoopbackCloud, make_services: MakeServices, deepgram: dict[str, str], shared_deepgram_server: DeepgramServer
) -> None:
    services = make_services(**PARAKEET, **deepgram)
    before = len(shared_deepgram_server.requests)
    cloud.runner.refuse_next(1)
    upload = cloud.drop(AUDIO, metadata={"transcribe-privacy": "local"})
    handle(services, upload)
    job = services.jobs.load(upload.job_id)
    assert job is not None
    assert job.record.state is JobState.QUEUED
    assert len(shared_deepgram_server.requests) == before


def test_the_reconciler_warns_of_what_bills_add_up_to(cloud: LoopbackCloud, make_services: MakeServices) -> None:
    services = make_services(MONTHLY_BUDGET_USD="10", BUDGET_CACHE_SECONDS="0")
    spent_by_others(services, 6)
    reconcile_all(services)
    reconcile_all(services)
    assert shares(cloud) == [0.5]
    spent_by_others(services, 8)
    reconcile_all(services)
    assert shares(cloud) == [0.8]


def test_a_ledger_that_cannot_be_read_stops_no_reconciler(
    cloud: LoopbackCloud, make_services: MakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = make_services(**PARAKEET, MONTHLY_BUDGET_USD="10", BUDGET_CACHE_SECONDS="0")
    job = services.jobs.claim(cloud.drop(AUDIO), "me", timedelta(0))
    assert job is not None
    cloud.storage_server.fail_next(1, 403, method="POST", name_prefix="ledger/")
    with pytest.raises(Forbidden):
        services.finisher.finish(job.record, failed(DropscribeError("Nobody answered.")))

    def refused(*_: object) -> None:
        raise Forbidden("storage.objects.list")

    monkeypatch.setattr(Ledger, "month_sums", refused)
    assert reconcile_all(services) == {"published": 1}


def test_a_missing_topic_stops_no_upload(cloud: LoopbackCloud, make_services: MakeServices) -> None:
    services = make_services(**PARAKEET, MONTHLY_BUDGET_USD="10", ALERTS_TOPIC="no-such-topic")
    spent_by_others(services, 6)
    handle(services, cloud.drop(AUDIO))
    assert len(cloud.work_items()) == 1


def test_a_job_of_last_month_is_billed_in_last_month(cloud: LoopbackCloud, services: Services) -> None:
    job = services.jobs.claim(cloud.drop(AUDIO), "me", timedelta(minutes=1))
    assert job is not None
    record = services.jobs.save(job, received_at=datetime(2026, 10, 31, 23, 59, tzinfo=UTC)).record
    services.finisher.finish(record, failed(DropscribeError("Nobody answered.")))
    (entry,) = services.ledger.entries("2026-10")
    assert entry.day == date(2026, 10, 31)


def test_a_bill_that_was_decided_but_never_booked_is_booked_by_the_reconciler(
    cloud: LoopbackCloud, make_services: MakeServices
) -> None:
    services = make_services(**PARAKEET, MONTHLY_BUDGET_USD="10")
    upload = cloud.drop(AUDIO)
    handle(services, upload)
    job = services.jobs.load(upload.job_id)
    assert job is not None
    cloud.forget_executions()
    # As after a kill between the outcome and the ledger: every try to book it was refused.
    cloud.storage_server.fail_next(1, 403, method="POST", name_prefix="ledger/")
    with pytest.raises(Forbidden):
        services.finisher.finish(job.record, failed(DropscribeError("Nobody answered.")))
    assert [entry.state for entry in entries(services)] == [EntryState.RESERVED]
    assert reconcile_all(services) == {"published": 1}
    assert [(entry.state, entry.usd) for entry in entries(services)] == [(EntryState.BILLED, 0.0)]
