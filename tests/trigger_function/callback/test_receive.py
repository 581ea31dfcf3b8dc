"""Callbacks: one brings the job to its end; forged, late, repeated and broken ones change nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from queue import Queue

import flask
import pytest
from google.api_core.exceptions import Forbidden
from werkzeug.exceptions import InternalServerError

from infra.emulators.deepgram_server import KEY_ID
from infra.recordings import recording
from shared import objects
from shared.clock import now
from shared.costs.bill import Bill, LineItemKind
from shared.enums import Engine, Method, Outcome
from shared.errors import DropscribeError
from shared.media import Upload
from shared.messages import TerminalMessage
from shared.operations.rerun import RerunRequest, begin_rerun
from shared.state.job_result import failed
from shared.state.jobs.object_names import parts_folder, record_name
from shared.state.jobs.record import JobRecord, JobState
from shared.state.ledger_entry import month_of
from tests.support.deepgram_callbacks import CALLBACK_KEY, CALLBACK_URL, callback_request, changed, posted_for
from tests.support.faulty_deepgram import FaultyDeepgramServer, Posted
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import RESULTS, STATE, LoopbackCloud
from trigger_function.deepgram.callback_address import CallbackAddresses
from trigger_function.handle_upload import handle
from trigger_function.main import deepgram_callback
from trigger_function.reconciler import unreadable
from trigger_function.reconciler.open_jobs import reconcile_all
from trigger_function.services import Services

AUDIO = recording("memo.wav").path.read_bytes()


def post(address: str, body: object, **headers: str) -> flask.Response:
    """What the function answers to a callback with this body, JSON unless it is bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return deepgram_callback(callback_request(address, data, **headers))


def record_of(services: Services, upload: Upload) -> JobRecord:
    job = services.jobs.load(upload.job_id)
    assert job is not None
    return job.record


def calls_on(message: TerminalMessage) -> list[bool]:
    """Of each call to Deepgram on the bill whether it is only possibly billed."""
    return [line.possibly_billed for line in message.bill.items if line.kind is LineItemKind.DEEPGRAM]


def stored(cloud: LoopbackCloud) -> dict[str, tuple[int, int]]:
    """Every object of state and results, with its generation and what was changed of its metadata."""
    return {
        f"{bucket}/{blob.name}": (blob.generation, blob.metageneration)
        for bucket in (STATE, RESULTS)
        for blob in cloud.storage.bucket(bucket).list_blobs()
    }


@pytest.fixture
def sent(
    cloud: LoopbackCloud, make_callback_services: MakeServices, posts: Queue[Posted]
) -> tuple[Services, Upload, Posted]:
    """An upload that Deepgram has, and the answer that it is about to post."""
    services = make_callback_services()
    upload = cloud.drop(AUDIO)
    handle(services, upload)
    return services, upload, posted_for(upload, posts)


def test_an_answer_ends_its_job_and_a_repeated_one_changes_nothing(
    cloud: LoopbackCloud, server: FaultyDeepgramServer, sent: tuple[Services, Upload, Posted]
) -> None:
    services, upload, posted = sent
    requests = len(server.requests)
    assert services.jobs.outcome(upload.job_id) is None
    assert record_of(services, upload).spent.possibly_usd > 0
    handle(services, upload)  # the event comes again
    assert reconcile_all(services) == {"waiting": 1}

    answer = post(posted.address, posted.body)

    assert (answer.status_code, answer.get_data()) == (HTTPStatus.OK, b"finished\n")
    (message,) = cloud.terminal_messages()
    assert (message.outcome, message.engines) == (Outcome.COMPLETED, (Engine.DEEPGRAM,))
    assert message.word_count > 0
    assert message.decision == record_of(services, upload).decision
    assert calls_on(message) == [False]
    assert not services.jobs.markers.is_open(upload.job_id)
    assert not cloud.names(STATE, f"jobs/{upload.job_id}/parts/")
    (entry,) = services.ledger.entries(month_of(now()))
    assert entry.usd == message.bill.usd

    before = stored(cloud)
    again = post(posted.address, posted.body)
    assert (again.status_code, again.get_data()) == (HTTPStatus.OK, b"not needed\n")
    assert stored(cloud) == before
    assert cloud.terminal_messages() == []
    assert len(server.requests) == requests


def other_upload(cloud: LoopbackCloud, services: Services, posts: Queue[Posted]) -> Posted:
    upload = cloud.drop(AUDIO, "calls/other.wav")
    handle(services, upload)
    return posted_for(upload, posts)


FORGED: dict[str, Callable[[Posted, Posted], str]] = {
    "no parameters": lambda mine, _: CALLBACK_URL,
    "no token": lambda mine, _: changed(mine.address, token=None),
    "an empty token": lambda mine, _: changed(mine.address, token=""),
    "another token": lambda mine, _: changed(mine.address, token="0" * 64),
    "the token in capitals": lambda mine, _: changed(mine.address, token=token_of(mine.address).upper()),
    "a token with more behind it": lambda mine, _: changed(mine.address, token=token_of(mine.address) + "0"),
    "another job's token": lambda mine, other: changed(mine.address, token=token_of(other.address)),
    "another job": lambda mine, other: changed(mine.address, job=changed(other.address).split("job=")[1][:24]),
    "another call": lambda mine, _: changed(mine.address, call="f" * 32),
    "a job that is a path": lambda mine, _: changed(mine.address, job="../../outcome"),
    "another deployment's key": lambda mine, _: signed_by_another_key(mine.address),
}


def token_of(address: str) -> str:
    return address.split("token=")[1]


def signed_by_another_key(address: str) -> str:
    job, call = address.split("job=")[1][:24], address.split("call=")[1][:32]
    return CallbackAddresses((CALLBACK_KEY[::-1].encode(),), CALLBACK_URL).address(job, call)


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_forged_callback_is_refused_unread(
    cloud: LoopbackCloud,
    sent: tuple[Services, Upload, Posted],
    posts: Queue[Posted],
    forge: Callable[[Posted, Posted], str],
) -> None:
    services, _, posted = sent
    address = forge(posted, other_upload(cloud, services, posts))
    before = stored(cloud)
    with cloud.storage_server.counted() as calls:
        assert post(address, posted.body).status_code == HTTPStatus.FORBIDDEN
    assert calls == []
    assert stored(cloud) == before
    assert post(posted.address, posted.body).status_code == HTTPStatus.OK


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_a_callback_is_a_post(sent: tuple[Services, Upload, Posted], method: str) -> None:
    request = callback_request(sent[2].address, b"", method=method)
    assert deepgram_callback(request).status_code == HTTPStatus.METHOD_NOT_ALLOWED


def test_another_api_keys_callback_is_refused_where_ours_is_known(
    cloud: LoopbackCloud, make_callback_services: MakeServices, posts: Queue[Posted]
) -> None:
    services = make_callback_services(DEEPGRAM_API_KEY_ID=KEY_ID)
    upload = cloud.drop(AUDIO)
    handle(services, upload)
    posted = posted_for(upload, posts)
    for headers in ({}, {"dg-token": ""}, {"dg-token": f"{KEY_ID}0"}, {"dg-token": "\xe9"}):
        assert post(posted.address, posted.body, **headers).status_code == HTTPStatus.FORBIDDEN
    assert post(posted.address, posted.body, **{"dg-token": KEY_ID}).status_code == HTTPStatus.OK


def test_a_key_may_be_replaced_while_an_answer_is_awaited(
    cloud: LoopbackCloud, make_callback_services: MakeServices, sent: tuple[Services, Upload, Posted]
) -> None:
    _, _, posted = sent
    make_callback_services(DEEPGRAM_CALLBACK_KEY=f"{'n' * 64}, {CALLBACK_KEY}")
    assert post(posted.address, posted.body).status_code == HTTPStatus.OK
    assert [one.outcome for one in cloud.terminal_messages()] == [Outcome.COMPLETED]


def test_a_late_callback_reopens_nothing(cloud: LoopbackCloud, sent: tuple[Services, Upload, Posted]) -> None:
    services, upload, posted = sent
    outcome = services.finisher.finish(record_of(services, upload), failed(DropscribeError("Given up.")))
    before = stored(cloud)
    assert post(posted.address, posted.body).status_code == HTTPStatus.OK
    assert post(posted.address, {"err_code": "INTERNAL"}).status_code == HTTPStatus.OK
    assert stored(cloud) == before
    assert cloud.terminal_messages() == [outcome]
    assert calls_on(outcome) == [True]


def test_a_callback_about_a_job_that_is_forgotten_is_not_posted_again(
    cloud: LoopbackCloud, sent: tuple[Services, Upload, Posted]
) -> None:
    services, upload, posted = sent
    services.state.blob(f"jobs/{upload.job_id}/record.json").delete()
    assert post(posted.address, posted.body).status_code == HTTPStatus.OK
    assert not cloud.names(RESULTS)


def test_an_answer_to_the_run_before_changes_nothing_of_a_re_run(
    cloud: LoopbackCloud, sent: tuple[Services, Upload, Posted]
) -> None:
    services, upload, posted = sent
    services.finisher.finish(record_of(services, upload), failed(DropscribeError("Given up.")))
    begin_rerun(cloud.storage, services.jobs, upload.job_id, RerunRequest())
    before = stored(cloud)
    assert post(posted.address, posted.body).get_data() == b"not needed\n"
    assert stored(cloud) == before


UNREADABLE = {
    "nothing": b"",
    "half of an answer": b'{"metadata": {"duration": 1',
    "not UTF-8": b"\xff\xfe{}",
    "a page": b"<html>",
    "null": b"null",
    "a list": b"[]",
    "no transcript": b'{"results": {}}',
    "results of another kind": b'{"metadata": [], "results": [1]}',
    "words of another kind": b'{"metadata": {"duration": 1}, "results": {"channels": [{"alternatives": [{"words": 1}]}]'
    b"}}",
    "a receipt": b'{"request_id": "r"}',
    "a deep list": b"[" * 100_000,
    "a long number": b"9" * 10_000,
    "an undefined duration": b'{"metadata": {"duration": NaN}, "results": {"channels": [{"alternatives": [{}]}]}}',
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_changes_nothing_and_is_wanted_again(
    cloud: LoopbackCloud, sent: tuple[Services, Upload, Posted], body: bytes
) -> None:
    before = stored(cloud)
    assert post(sent[2].address, body).status_code == HTTPStatus.BAD_REQUEST
    assert stored(cloud) == before
    assert post(sent[2].address, sent[2].body).status_code == HTTPStatus.OK


def test_a_body_that_is_cut_off_is_wanted_again(cloud: LoopbackCloud, sent: tuple[Services, Upload, Posted]) -> None:
    before = stored(cloud)
    request = callback_request(sent[2].address, json.dumps(sent[2].body).encode())
    request.environ["CONTENT_LENGTH"] = str(int(request.environ["CONTENT_LENGTH"]) + 1)
    assert deepgram_callback(request).status_code == HTTPStatus.BAD_REQUEST
    assert stored(cloud) == before


@pytest.mark.parametrize("code", ["REMOTE_CONTENT_ERROR", "Bad Request"])
def test_a_failure_that_is_not_billed_is_taken_off_the_bill_and_another_engine_takes_over(
    cloud: LoopbackCloud, sent: tuple[Services, Upload, Posted], code: str
) -> None:
    services, upload, posted = sent
    failure = {"err_code": code, "err_msg": "No.", "request_id": "r"}
    assert post(posted.address, failure).get_data() == b"failed\n"
    assert post(posted.address, failure).get_data() == b"not needed\n"
    record = record_of(services, upload)
    assert (record.deepgram_calls, record.spent.items) == (0, ())
    assert reconcile_all(services) == {"restarted": 1}
    (item,) = cloud.work_items()
    assert item.decision.method is Method.PARAKEET
    assert f"Deepgram failed: {code}." in item.decision.reason


@pytest.mark.parametrize("failure", [{"err_code": "INTERNAL_SERVER_ERROR"}, {"category": "WHO_KNOWS"}, {"error": "x"}])
def test_a_failure_that_may_be_billed_stays_on_the_bill(
    cloud: LoopbackCloud, make_callback_services: MakeServices, posts: Queue[Posted], failure: dict[str, str]
) -> None:
    services = make_callback_services(ENABLE_FALLBACK="false")
    upload = cloud.drop(AUDIO)
    handle(services, upload)
    assert post(posted_for(upload, posts).address, failure).status_code == HTTPStatus.OK
    assert reconcile_all(services) == {"restarted": 1}
    (message,) = cloud.terminal_messages()
    assert message.outcome is Outcome.FAILED
    assert (message.reason or "").startswith("Deepgram failed: ")
    assert calls_on(message) == [True]


def test_a_failure_does_not_take_the_job_from_the_engine_that_has_it(
    cloud: LoopbackCloud, sent: tuple[Services, Upload, Posted]
) -> None:
    services, upload, posted = sent
    job = services.jobs.load(upload.job_id)
    assert job is not None
    lease = services.jobs.save(job, state=JobState.RUNNING, holder="gpu/0").record.lease_until
    assert post(posted.address, {"err_code": "INTERNAL"}).status_code == HTTPStatus.OK
    assert record_of(services, upload).lease_until == lease


def test_results_that_cannot_be_written_are_finished_by_the_next_post(
    cloud: LoopbackCloud, sent: tuple[Services, Upload, Posted]
) -> None:
    _, upload, posted = sent
    cloud.storage_server.fail_next(1, 403, method="POST", name_prefix=f"{upload.name}/")
    with pytest.raises(InternalServerError) as refused:
        post(posted.address, posted.body)
    assert isinstance(refused.value.original_exception, Forbidden)
    assert post(posted.address, posted.body).get_data() == b"finished\n"
    (message,) = cloud.terminal_messages()
    assert (message.outcome, calls_on(message)) == (Outcome.COMPLETED, [False])


def test_results_that_cannot_be_written_are_finished_by_the_reconciler(
    cloud: LoopbackCloud, server: FaultyDeepgramServer, sent: tuple[Services, Upload, Posted]
) -> None:
    services, upload, posted = sent
    requests = len(server.requests)
    cloud.storage_server.fail_next(1, 403, method="POST", name_prefix=f"{upload.name}/")
    with pytest.raises(InternalServerError):
        post(posted.address, posted.body)
    assert reconcile_all(services) == {"restarted": 1}
    (message,) = cloud.terminal_messages()
    assert (message.outcome, calls_on(message)) == (Outcome.COMPLETED, [False])
    assert len(server.requests) == requests


def test_an_answer_that_cannot_be_stored_is_waited_for_again(
    cloud: LoopbackCloud, server: FaultyDeepgramServer, sent: tuple[Services, Upload, Posted]
) -> None:
    """Deepgram posts it again: another call, or another engine, would be paid for nothing."""
    services, upload, posted = sent
    requests, before = len(server.requests), record_of(services, upload)
    cloud.storage_server.fail_next(1, 403, method="POST", name_prefix=parts_folder(upload.job_id))
    with pytest.raises(InternalServerError):
        post(posted.address, posted.body)
    assert record_of(services, upload) == before
    assert reconcile_all(services) == {"waiting": 1}
    assert post(posted.address, posted.body).get_data() == b"finished\n"
    (message,) = cloud.terminal_messages()
    assert (message.outcome, calls_on(message)) == (Outcome.COMPLETED, [False])
    assert len(server.requests) == requests


def test_an_answer_that_comes_while_another_engine_has_the_job_is_used(
    cloud: LoopbackCloud, sent: tuple[Services, Upload, Posted]
) -> None:
    services, upload, posted = sent
    job = services.jobs.load(upload.job_id)
    assert job is not None
    services.jobs.save(job, lease_until=now())
    assert reconcile_all(services) == {"restarted": 1}
    assert record_of(services, upload).state is JobState.QUEUED
    assert post(posted.address, posted.body).get_data() == b"finished\n"
    (message,) = cloud.terminal_messages()
    assert (message.outcome, message.engines) == (Outcome.COMPLETED, (Engine.DEEPGRAM,))
    assert message.decision is not None
    assert message.decision.method is Method.DEEPGRAM
    assert message.decision.reason.endswith("Its answer came late.")
    assert calls_on(message) == [False]


def damage(services: Services, upload: Upload, *fields: str) -> None:
    """Have these fields of the job's record be of no kind that is read."""
    stored_record = objects.read(services.state, record_name(upload.job_id))
    assert stored_record is not None
    found = json.loads(stored_record.data) | dict.fromkeys(fields, "?")
    objects.write(services.state, record_name(upload.job_id), json.dumps(found).encode())


@pytest.fixture
def any_age(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read counts as damaged at once."""
    monkeypatch.setattr(unreadable, "UNREADABLE_AFTER", -timedelta(minutes=1))


def assert_ended_with_one_call(cloud: LoopbackCloud, services: Services) -> TerminalMessage:
    (message,) = cloud.terminal_messages()
    assert (message.outcome, message.engines) == (Outcome.COMPLETED, (Engine.DEEPGRAM,))
    assert calls_on(message) == [False]
    assert message.bill.possibly_usd == 0
    (entry,) = services.ledger.entries(month_of(now()))
    assert entry.usd == message.bill.usd
    return message


@pytest.mark.usefixtures("any_age")
@pytest.mark.parametrize("lost", [("traceparent",), ("spent", "traceparent"), ("spent", "deepgram_calls")], ids=str)
def test_an_answer_ends_a_job_whose_record_was_made_anew(
    cloud: LoopbackCloud, server: FaultyDeepgramServer, sent: tuple[Services, Upload, Posted], lost: tuple[str, ...]
) -> None:
    services, upload, posted = sent
    requests = len(server.requests)
    damage(services, upload, "schema_version", *lost)
    assert reconcile_all(services) == {"rebuilt": 1}
    assert record_of(services, upload).deepgram_calls == 1
    assert reconcile_all(services) == {"waiting": 1}
    assert post(posted.address, posted.body).get_data() == b"finished\n"
    message = assert_ended_with_one_call(cloud, services)
    assert message.decision is not None
    assert "late" not in message.decision.reason
    assert len(server.requests) == requests


@pytest.mark.usefixtures("any_age")
@pytest.mark.parametrize("method", ["deepgram", "parakeet"])
@pytest.mark.parametrize("lost", ["media", "options"])
def test_an_answer_is_kept_until_it_is_known_again_what_was_asked(
    cloud: LoopbackCloud,
    server: FaultyDeepgramServer,
    make_callback_services: MakeServices,
    sent: tuple[Services, Upload, Posted],
    lost: str,
    method: str,
) -> None:
    services, upload, posted = sent
    requests = len(server.requests)
    damage(services, upload, "schema_version", "spent", lost)
    assert reconcile_all(services) == {"rebuilt": 1}
    assert post(posted.address, posted.body).get_data() == b"kept\n"
    assert cloud.terminal_messages() == []
    # Whatever is decided now.
    assert reconcile_all(make_callback_services(TRANSCRIPTION_METHOD=method)) == {"restarted": 1}
    assert_ended_with_one_call(cloud, services)
    assert cloud.work_items() == []
    assert len(server.requests) == requests


def test_an_answer_that_comes_while_the_record_cannot_be_read_is_kept(
    cloud: LoopbackCloud,
    server: FaultyDeepgramServer,
    sent: tuple[Services, Upload, Posted],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    services, upload, posted = sent
    requests = len(server.requests)
    damage(services, upload, "schema_version", "spent")
    assert reconcile_all(services) == {"unreadable": 1}
    for _ in range(2):
        assert post(posted.address, posted.body).get_data() == b"kept\n"
    monkeypatch.setattr(unreadable, "UNREADABLE_AFTER", -timedelta(minutes=1))
    assert reconcile_all(services) == {"rebuilt": 1}
    job = services.jobs.load(upload.job_id)
    assert job is not None
    services.jobs.save(job, lease_until=now())
    assert reconcile_all(services) == {"restarted": 1}
    assert_ended_with_one_call(cloud, services)
    assert len(server.requests) == requests


def test_an_answer_is_wanted_again_where_nothing_of_the_record_can_be_read(
    sent: tuple[Services, Upload, Posted],
) -> None:
    services, upload, posted = sent
    objects.write(services.state, record_name(upload.job_id), b"")
    with pytest.raises(InternalServerError):
        post(posted.address, posted.body)


@pytest.mark.usefixtures("any_age")
def test_a_failure_that_is_not_billed_is_taken_off_a_bill_that_was_made_anew(
    sent: tuple[Services, Upload, Posted],
) -> None:
    services, upload, posted = sent
    damage(services, upload, "schema_version", "spent")
    assert reconcile_all(services) == {"rebuilt": 1}
    assert record_of(services, upload).spent.possibly_usd > 0
    assert post(posted.address, {"err_code": "REMOTE_CONTENT_ERROR"}).get_data() == b"failed\n"
    assert (record_of(services, upload).spent, record_of(services, upload).deepgram_calls) == (Bill(), 0)


def test_without_a_key_nothing_is_taken(
    make_callback_services: MakeServices, sent: tuple[Services, Upload, Posted], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DEEPGRAM_CALLBACK_KEY")
    make_callback_services(DEEPGRAM_CALLBACK_KEY="", DEEPGRAM_CALLBACK_URL="")
    assert post(sent[2].address, sent[2].body).status_code == HTTPStatus.FORBIDDEN
