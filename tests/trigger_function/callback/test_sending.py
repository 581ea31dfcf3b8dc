"""Calls that are answered by callback: which they are, and what becomes of a job whose callback does not come."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import count
from pathlib import Path
from queue import Queue

import pytest

from infra.recordings import recording
from shared.clock import now
from shared.costs.bill import LineItemKind
from shared.enums import Engine, Method, Outcome
from shared.media import Upload
from shared.messages import TerminalMessage
from shared.state.jobs.record import JobRecord, JobState
from shared.state.ledger_entry import month_of
from tests.support.deepgram_callbacks import callback_request, posted_for
from tests.support.faulty_deepgram import FaultyDeepgramServer, Posted
from tests.support.function_services import MakeServices
from tests.support.killed_process import killed_at
from tests.support.loopback_cloud import STATE, LoopbackCloud
from tests.support.odd_files import two_speakers
from trigger_function.handle_upload import handle
from trigger_function.main import deepgram_callback
from trigger_function.reconciler.open_jobs import reconcile_all
from trigger_function.services import Services

AUDIO = recording("memo.wav").path.read_bytes()
MINUTES = recording("memo.wav").duration / 60
SECONDS_OF_TWO = 18.6825
"""Of `two_speakers`."""


def post(posted: Posted) -> str:
    request = callback_request(posted.address, json.dumps(posted.body).encode())
    return deepgram_callback(request).get_data(as_text=True).strip()


def record_of(services: Services, upload: Upload) -> JobRecord:
    job = services.jobs.load(upload.job_id)
    assert job is not None
    return job.record


def end_lease(services: Services, upload: Upload) -> None:
    """As long after the last word of it."""
    job = services.jobs.load(upload.job_id)
    assert job is not None
    services.jobs.save(job, lease_until=now())


def calls_on(message: TerminalMessage) -> tuple[int, int]:
    """Calls to Deepgram on the bill: sure ones, and those that are only possibly billed."""
    lines = [line.possibly_billed for line in message.bill.items if line.kind is LineItemKind.DEEPGRAM]
    return lines.count(False), lines.count(True)


@pytest.mark.parametrize(
    "settings",
    [
        {"DEEPGRAM_CALLBACK_MINUTES": str(1.01 * MINUTES)},
        {"DEEPGRAM_CALLBACK_URL": ""},
        {"DEEPGRAM_CALLBACK_URL": "", "DEEPGRAM_CALLBACK_KEY": ""},
        {"DEEPGRAM_CALLBACK_MAX_BYTES": "1000"},
    ],
    ids=["short audio", "no address", "neither address nor key", "an answer that is too large"],
)
def test_other_answers_are_waited_for(
    cloud: LoopbackCloud, make_callback_services: MakeServices, server: FaultyDeepgramServer, settings: dict[str, str]
) -> None:
    services = make_callback_services(**settings)
    handle(services, cloud.drop(AUDIO))
    assert server.requests[-1].callback is None
    assert [one.outcome for one in cloud.terminal_messages()] == [Outcome.COMPLETED]


def test_channels_apart_count_each(
    cloud: LoopbackCloud, make_callback_services: MakeServices, posts: Queue[Posted], tmp_path: Path
) -> None:
    audio = two_speakers(tmp_path).read_bytes()
    services = make_callback_services(DEEPGRAM_CALLBACK_MINUTES=str(1.5 * SECONDS_OF_TWO / 60))
    upload = cloud.drop(audio, "calls/two.wav", metadata={"transcribe-channels": "split"})
    handle(services, upload)
    assert post(posted_for(upload, posts)) == "finished"
    (message,) = cloud.terminal_messages()
    assert message.bill.usd_of(kind=LineItemKind.DEEPGRAM) == pytest.approx(0.0043 * 2 * SECONDS_OF_TWO / 60, rel=0.01)


def test_a_job_waits_for_its_callback_by_the_length_of_its_audio(
    cloud: LoopbackCloud, make_callback_services: MakeServices, posts: Queue[Posted]
) -> None:
    services = make_callback_services(DEEPGRAM_CALLBACK_SECONDS="1000", DEEPGRAM_X_REAL_TIME="0.04")
    upload, began = cloud.drop(AUDIO), now()
    handle(services, upload)
    record = record_of(services, upload)
    (call,) = record.callbacks
    assert call.request_id == posted_for(upload, posts).body["metadata"]["request_id"]
    assert call.price == record.spent
    assert record.spent.possibly_usd == record.spent.usd > 0
    # Four times 25 times the audio's length, and what every call has.
    expected = timedelta(seconds=1000 + 4 * 25 * recording("memo.wav").duration)
    assert began + expected <= record.lease_until <= now() + expected


def test_after_a_callback_that_never_came_another_engine_takes_over(
    cloud: LoopbackCloud, make_callback_services: MakeServices, posts: Queue[Posted], server: FaultyDeepgramServer
) -> None:
    services = make_callback_services(MONTHLY_BUDGET_USD="10")
    upload = cloud.drop(AUDIO)
    handle(services, upload)
    requests = len(server.requests)
    end_lease(services, upload)
    assert reconcile_all(services) == {"restarted": 1}
    (item,) = cloud.work_items()
    assert item.decision.method is Method.PARAKEET
    assert "Deepgram posted no answer within" in item.decision.reason
    record = record_of(services, upload)
    assert record.state is JobState.QUEUED
    assert record.spent.possibly_usd > 0
    (entry,) = services.ledger.entries(month_of(now()))
    assert record.decision is not None
    assert record.decision.quote is not None
    assert entry.usd == pytest.approx(record.spent.usd + record.decision.quote.bill.usd)
    assert len(server.requests) == requests


def test_without_another_engine_deepgram_is_called_again_and_either_answer_will_do(
    cloud: LoopbackCloud, make_callback_services: MakeServices, posts: Queue[Posted], server: FaultyDeepgramServer
) -> None:
    services = make_callback_services(ENABLE_FALLBACK="false")
    upload = cloud.drop(AUDIO)
    requests = len(server.requests)
    handle(services, upload)
    first = posted_for(upload, posts)
    end_lease(services, upload)
    assert reconcile_all(services) == {"restarted": 1}
    second = posted_for(upload, posts)
    assert first.address != second.address
    assert post(first) == "finished"
    assert post(second) == "not needed"
    (message,) = cloud.terminal_messages()
    assert (message.outcome, message.engines) == (Outcome.COMPLETED, (Engine.DEEPGRAM,))
    assert calls_on(message) == (1, 1)
    assert len(server.requests) == requests + 2


def test_deepgram_is_not_called_for_ever(
    cloud: LoopbackCloud, make_callback_services: MakeServices, posts: Queue[Posted], server: FaultyDeepgramServer
) -> None:
    services = make_callback_services(ENABLE_FALLBACK="false", MAX_ATTEMPTS="2")
    upload = cloud.drop(AUDIO)
    requests = len(server.requests)
    handle(services, upload)
    for _ in range(2):
        end_lease(services, upload)
        assert reconcile_all(services) == {"restarted": 1}
    (message,) = cloud.terminal_messages()
    assert message.outcome is Outcome.FAILED
    assert calls_on(message) == (0, 2)
    assert len(server.requests) == requests + 2


@pytest.mark.parametrize("status", [402, 429])
def test_a_call_that_deepgram_does_not_take_is_taken_back(
    cloud: LoopbackCloud,
    make_callback_services: MakeServices,
    posts: Queue[Posted],
    server: FaultyDeepgramServer,
    status: int,
) -> None:
    server.fail_next(1, status)
    services = make_callback_services()
    upload = cloud.drop(AUDIO)
    handle(services, upload)
    record = record_of(services, upload)
    assert (record.deepgram_calls, record.callbacks, record.spent.items) == (0, (), ())
    assert [item.decision.method for item in cloud.work_items()] == [Method.PARAKEET]


def test_a_call_of_which_nobody_knows_whether_deepgram_took_it_is_on_the_bill_and_another_engine_takes_over(
    cloud: LoopbackCloud, make_callback_services: MakeServices, server: FaultyDeepgramServer
) -> None:
    server.cut_next(1)
    services = make_callback_services()
    upload = cloud.drop(AUDIO)
    handle(services, upload)
    record = record_of(services, upload)
    assert (record.deepgram_calls, len(record.callbacks)) == (1, 1)
    assert record.spent.possibly_usd > 0
    assert [item.decision.method for item in cloud.work_items()] == [Method.PARAKEET]


def test_without_another_engine_such_a_call_is_waited_for_and_then_made_again(
    cloud: LoopbackCloud, make_callback_services: MakeServices, posts: Queue[Posted], server: FaultyDeepgramServer
) -> None:
    server.cut_next(1)
    services = make_callback_services(ENABLE_FALLBACK="false")
    upload = cloud.drop(AUDIO)
    handle(services, upload)
    assert reconcile_all(services) == {"waiting": 1}
    end_lease(services, upload)
    assert reconcile_all(services) == {"restarted": 1}
    assert post(posted_for(upload, posts)) == "finished"
    (message,) = cloud.terminal_messages()
    assert (message.outcome, calls_on(message)) == (Outcome.COMPLETED, (1, 1))


def test_deepgram_as_the_last_resort_is_called_anew(
    cloud: LoopbackCloud, make_callback_services: MakeServices, posts: Queue[Posted], server: FaultyDeepgramServer
) -> None:
    services = make_callback_services()
    upload = cloud.drop(AUDIO)
    handle(services, upload)
    end_lease(services, upload)
    reconcile_all(services)
    # The other engine's executions do not start, as often as is tried.
    job = services.jobs.load(upload.job_id)
    assert job is not None
    services.jobs.save(job, lease_until=now(), dispatches=services.settings.max_attempts)
    cloud.forget_executions()
    assert reconcile_all(services) == {"sent to deepgram": 1}
    posted_for(upload, posts)
    assert post(posted_for(upload, posts)) == "finished"
    (message,) = cloud.terminal_messages()
    assert (message.outcome, calls_on(message)) == (Outcome.COMPLETED, (1, 1))


Awaited = tuple[FaultyDeepgramServer, Queue[Posted]]
"""Whose answers come."""


def settle(services: Services, upload: Upload, awaited: Awaited | None = None) -> None:
    """Events, callbacks and ticks, again and again, until the job has its outcome, or for a while."""
    for _ in range(6):
        made = len(awaited[0].requests) if awaited else 0
        handle(services, upload)
        reconcile_all(services)
        if awaited is not None:
            for _ in awaited[0].requests[made:]:
                post(posted_for(upload, awaited[1]))
        if services.jobs.outcome(upload.job_id) is not None and not services.jobs.markers.is_open(upload.job_id):
            return
        if services.jobs.load(upload.job_id) is not None:
            end_lease(services, upload)


def test_a_function_that_is_killed_while_it_calls_loses_no_call_and_no_job(
    cloud: LoopbackCloud,
    make_callback_services: MakeServices,
    posts: Queue[Posted],
    server: FaultyDeepgramServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    services = make_callback_services(CLAIM_SECONDS="0.001", MAX_ATTEMPTS="6", ENABLE_FALLBACK="false")
    for effect in count(1):
        upload = cloud.drop(AUDIO, f"calls/{effect}.wav")
        requests = len(server.requests)
        with killed_at(effect, monkeypatch=monkeypatch) as kill:
            handle(services, upload)
        waiting = [posted_for(upload, posts) for _ in server.requests[requests:]]
        for one in waiting:
            post(one)
        settle(services, upload, (server, posts))
        message = services.jobs.outcome(upload.job_id)
        assert message is not None
        assert (message.outcome, message.engines) == (Outcome.COMPLETED, (Engine.DEEPGRAM,))
        assert not services.jobs.markers.is_open(upload.job_id)
        made = len(server.requests) - requests
        # A call whose answer came is not made again, and none is missing on the bill.
        assert made == 1
        assert 1 <= sum(calls_on(message)) <= 2
        assert calls_on(message)[0] == 1
        assert not cloud.names(STATE, f"jobs/{upload.job_id}/parts/")
        if not kill.happened:
            break
    assert effect > 4


@pytest.mark.parametrize("posted_again", [True, False], ids=["posted again", "not posted again"])
def test_a_callback_that_is_killed_pays_nothing_twice_and_ends_its_job(
    cloud: LoopbackCloud,
    make_callback_services: MakeServices,
    posts: Queue[Posted],
    server: FaultyDeepgramServer,
    monkeypatch: pytest.MonkeyPatch,
    posted_again: bool,
) -> None:
    services = make_callback_services(MAX_ATTEMPTS="6", ENABLE_FALLBACK="false")
    reused = 0
    for effect in count(1):
        upload = cloud.drop(AUDIO, f"calls/{effect}.wav")
        requests = len(server.requests)
        handle(services, upload)
        posted = posted_for(upload, posts)
        with killed_at(effect, monkeypatch=monkeypatch) as kill:
            post(posted)
        if posted_again:
            assert post(posted) in {"finished", "not needed"}
        settle(services, upload)
        made = len(server.requests) - requests
        message = services.jobs.outcome(upload.job_id)
        if message is None:
            # Its answer is lost with the process, and Deepgram posted it no more: it was called again.
            assert (posted_again, effect, made > 1) == (False, 1, True)
            continue
        assert (message.outcome, message.engines) == (Outcome.COMPLETED, (Engine.DEEPGRAM,))
        assert {one.event_id for one in cloud.terminal_messages() if one.job_id == upload.job_id} == {message.event_id}
        assert (made, calls_on(message)) == (1, (1, 0))
        assert not services.jobs.markers.is_open(upload.job_id)
        assert not cloud.names(STATE, f"jobs/{upload.job_id}/parts/")
        reused += kill.happened
        if not kill.happened:
            break
    assert reused > 4
