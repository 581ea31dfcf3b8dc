"""Outcomes are posted until they are taken: signed, once, and to no private address."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from http import HTTPStatus
from ipaddress import ip_address

import flask
import pytest
from standardwebhooks.webhooks import Webhook

from shared import objects
from shared.clock import now
from shared.enums import Engine, Outcome
from shared.errors import Rejected
from shared.media import Upload
from shared.messages import TerminalMessage, event_id
from shared.options.model import UploadOptions, WebhookBody
from shared.options.parsing import parse_upload_options
from shared.options.subtitle_rules import SubtitleRules
from shared.public_http.client import PublicHttp, TestingAccess
from shared.public_http.urls import UrlRules
from shared.state.jobs.object_names import record_name
from shared.state.jobs.record import JobState
from shared.state.jobs.store import JobStore
from shared.state.result_files import ResultFiles
from shared.transcript.compose import compose
from shared.transcript.model import Passage, Word
from tests.support.loopback_cloud import RESULTS, STATE, LoopbackCloud
from tests.support.webhook_receiver import SECRET, Receiver, webhook_receiver
from trigger_function.webhooks.answer import answer_push
from trigger_function.webhooks.deliver import WebhookRules, Webhooks
from trigger_function.webhooks.delivered import Delivered
from trigger_function.webhooks.signature import parse_secrets

UPLOAD = Upload(bucket="uploads", name="calls/<ü>.mp3", generation=7)
ANY_PORT = UrlRules(schemes=frozenset({"http", "https"}), ports=None)

MakeWebhooks = Callable[..., Webhooks]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with webhook_receiver() as running:
        yield running


@pytest.fixture
def make(cloud: LoopbackCloud) -> MakeWebhooks:
    """`make("http://...")`: webhooks of a deployment that posts to these URLs, this machine's included."""

    def webhooks(*urls: str, origins: tuple[str, ...] = (), is_loopback_open: bool = True) -> Webhooks:
        state = cloud.storage.bucket(STATE)
        rules = WebhookRules(urls, origins, parse_secrets(SECRET), timeout_seconds=20.0, retry_hours=24.0)
        allowed = frozenset({ip_address("127.0.0.1")} if is_loopback_open else ())
        http = PublicHttp(TestingAccess(rules=ANY_PORT, also_allowed=allowed))
        results = ResultFiles(cloud.storage.bucket(RESULTS), "")
        return Webhooks(rules, JobStore(state), Delivered(state), http, results)

    return webhooks


def outcome(run: int = 1) -> TerminalMessage:
    at = now()
    job_id = UPLOAD.job_id
    return TerminalMessage(
        event_id=event_id(job_id, run),
        job_id=job_id,
        run=run,
        upload=UPLOAD,
        outcome=Outcome.FAILED,
        reason="Why.",
        received_at=at,
        finished_at=at,
    )


def test_it_is_signed_says_what_happened_and_is_posted_once(make: MakeWebhooks, receiver: Receiver) -> None:
    webhooks, message = make(receiver.url), outcome()
    assert webhooks.deliver(message, now())
    assert webhooks.deliver(message, now())  # Pub/Sub delivered it twice
    (posted,) = receiver.posted
    content = Webhook(SECRET).verify(posted.body, posted.headers)
    assert posted.headers["webhook-id"] == message.event_id
    assert posted.headers["content-type"] == "application/json"
    assert content["type"] == "transcription.failed"
    assert TerminalMessage.model_validate_json(json.dumps(content["data"])) == message
    # The job's next run has an outcome of its own.
    assert webhooks.deliver(outcome(run=2), now())
    assert len(receiver.posted) == 2


@pytest.mark.parametrize("status", [500, 404, 401, 429, 302])
def test_what_is_not_taken_is_posted_again_with_the_same_id(
    make: MakeWebhooks, receiver: Receiver, status: int
) -> None:
    receiver.statuses, receiver.location = [status], receiver.url
    webhooks, message = make(receiver.url), outcome()
    assert not webhooks.deliver(message, now())
    assert len(receiver.posted) == 1  # a redirect is not followed
    assert webhooks.deliver(message, now())
    first, second = receiver.posted
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body


def test_only_who_has_not_taken_it_gets_it_again(make: MakeWebhooks, receiver: Receiver) -> None:
    with webhook_receiver() as other:
        receiver.statuses = [500]
        webhooks, message = make(receiver.url, other.url), outcome()
        assert not webhooks.deliver(message, now())
        assert webhooks.deliver(message, now())
        assert (len(receiver.posted), len(other.posted)) == (2, 1)


def test_who_is_gone_is_left_alone(make: MakeWebhooks, receiver: Receiver) -> None:
    receiver.statuses = [410]
    webhooks = make(receiver.url)
    assert webhooks.deliver(outcome(), now())
    assert webhooks.deliver(outcome(run=2), now())
    assert len(receiver.posted) == 1


@pytest.mark.parametrize("note", [b"", b'{"schema_version": 2}'], ids=["damaged", "of a newer release"])
def test_a_note_that_cannot_be_read_keeps_nobody_from_being_posted_to(
    make: MakeWebhooks, receiver: Receiver, cloud: LoopbackCloud, note: bytes
) -> None:
    receiver.statuses = [410]
    webhooks, state = make(receiver.url), cloud.storage.bucket(STATE)
    assert webhooks.deliver(outcome(), now())
    (name,) = cloud.names(STATE, "webhooks/")
    objects.write(state, name, note)
    assert webhooks.deliver(outcome(run=2), now())
    assert len(receiver.posted) == 2


def test_after_a_day_it_is_given_up(make: MakeWebhooks, receiver: Receiver) -> None:
    receiver.statuses = [500, 500]
    webhooks, message = make(receiver.url), outcome()
    assert not webhooks.deliver(message, now() - timedelta(hours=23))
    assert webhooks.deliver(message, now() - timedelta(hours=25))
    assert len(receiver.posted) == 2


def test_nothing_is_posted_to_a_private_address(make: MakeWebhooks, receiver: Receiver) -> None:
    webhooks = make(receiver.url, "http://169.254.169.254/computeMetadata/v1/", is_loopback_open=False)
    assert webhooks.deliver(outcome(), now())  # for good: no later push changes it
    assert receiver.posted == []


def test_a_dead_receiver_is_tried_again(make: MakeWebhooks) -> None:
    with webhook_receiver() as dead:
        pass
    assert not make(dead.url).deliver(outcome(), now())


def test_storage_that_cannot_say_whether_it_was_posted_has_it_pushed_again(
    make: MakeWebhooks, receiver: Receiver, cloud: LoopbackCloud
) -> None:
    cloud.storage_server.fail_next(1, status=403, method="GET", name_prefix="jobs/")
    pushed = push(outcome())
    assert answer(make(receiver.url), pushed) == HTTPStatus.SERVICE_UNAVAILABLE
    assert answer(make(receiver.url), pushed) == HTTPStatus.NO_CONTENT
    assert len(receiver.posted) == 1


def test_what_could_not_be_noted_is_posted_once_more(
    make: MakeWebhooks, receiver: Receiver, cloud: LoopbackCloud
) -> None:
    message = outcome()
    cloud.storage_server.fail_next(1, status=403, method="POST", name_prefix="jobs/")
    assert make(receiver.url).deliver(message, now())
    assert make(receiver.url).deliver(message, now())
    assert [one.headers["webhook-id"] for one in receiver.posted] == [message.event_id] * 2


def test_an_uploads_own_url_is_posted_to_where_it_is_allowed(
    make: MakeWebhooks, receiver: Receiver, cloud: LoopbackCloud
) -> None:
    jobs = JobStore(cloud.storage.bucket(STATE))
    job = jobs.claim(UPLOAD, "me", timedelta(minutes=1))
    assert job is not None
    jobs.save(job, state=JobState.QUEUED, options=UploadOptions(webhook=receiver.url))
    origin = receiver.url.removesuffix("/hook")
    assert make(origins=("https://example.org",)).deliver(outcome(), now())
    assert receiver.posted == []
    assert make(origins=(origin,)).deliver(outcome(), now())
    assert len(receiver.posted) == 1


@pytest.mark.parametrize("has_options", [True, False])
def test_a_damaged_record_holds_no_webhook_back(
    make: MakeWebhooks, receiver: Receiver, cloud: LoopbackCloud, has_options: bool
) -> None:
    state = cloud.storage.bucket(STATE)
    jobs = JobStore(state)
    job = jobs.claim(UPLOAD, "me", timedelta(minutes=1))
    assert job is not None
    saved = jobs.save(job, state=JobState.QUEUED, options=UploadOptions(webhook=receiver.url)).record
    damaged = saved.model_dump(mode="json") | {"schema_version": "?"} if has_options else {}
    objects.write(state, record_name(job.id), json.dumps(damaged).encode())
    jobs.record_outcome(outcome())
    with webhook_receiver() as everybodys:
        assert make(everybodys.url, origins=(receiver.url.removesuffix("/hook"),)).deliver(outcome(), now())
        assert len(everybodys.posted) == 1
    # Where the upload asks for, as far as that can be read.
    assert len(receiver.posted) == has_options


def test_who_asked_for_deepgrams_callback_gets_what_deepgram_posts(
    make: MakeWebhooks, receiver: Receiver, cloud: LoopbackCloud
) -> None:
    jobs = JobStore(cloud.storage.bucket(STATE))
    job = jobs.claim(UPLOAD, "me", timedelta(minutes=1))
    assert job is not None
    asked = UploadOptions(webhook=receiver.url, webhook_body=WebhookBody.DEEPGRAM)
    jobs.save(job, state=JobState.QUEUED, options=asked)
    with webhook_receiver() as other:
        webhooks = make(other.url, origins=(receiver.url.removesuffix("/hook"),))
        assert webhooks.deliver(outcome(), now())
        transcript = compose(
            job_id=UPLOAD.job_id,
            source=UPLOAD.uri,
            duration=2.0,
            language="en",
            model="tiny",
            passages=[Passage(Engine.PARAKEET_CPU, [Word(text="Hello.", start=0.5, end=1.0)])],
        )
        webhooks.results.store_transcript(UPLOAD, transcript, SubtitleRules.of("en"), run=2)
        assert webhooks.deliver(outcome(run=2), now())
        # The deployment's own URL is told as ever.
        assert [json.loads(each.body)["type"] for each in other.posted] == ["transcription.failed"] * 2
    failed, done = (json.loads(each.body) for each in receiver.posted)
    assert failed == {"err_code": "FAILED", "err_msg": "Why.", "request_id": UPLOAD.job_id}
    assert done["results"]["channels"][0]["alternatives"][0]["transcript"] == "Hello."
    assert done["metadata"]["request_id"] == UPLOAD.job_id
    Webhook(SECRET).verify(receiver.posted[1].body, receiver.posted[1].headers)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"message": {"data": "e30=", "publishTime": "now"}}', b"[" * 100_000])
def test_what_is_no_outcome_is_taken_and_forgotten(make: MakeWebhooks, receiver: Receiver, body: bytes) -> None:
    assert answer(make(receiver.url), body) == HTTPStatus.NO_CONTENT
    assert receiver.posted == []


def test_nothing_but_a_post_is_taken(make: MakeWebhooks) -> None:
    with flask.Flask(__name__).test_request_context(method="GET"):
        assert answer_push(make(), flask.request).status_code == HTTPStatus.METHOD_NOT_ALLOWED


def test_a_url_keeps_its_case_and_has_to_be_one() -> None:
    url = "https://hooks.example.org/T0keN?Key=A"
    options = parse_upload_options({"Transcribe-Webhook": f" {url} "})
    assert options.webhook == url
    assert options.metadata() == {"transcribe-webhook": url}
    for bad in ("hooks.example.org", "https://" + "a" * 3000, "https://a.example/ b", "ftp://a.example/"):
        with pytest.raises(Rejected, match="transcribe-webhook"):
            parse_upload_options({"transcribe-webhook": bad})


def push(message: TerminalMessage, at: datetime | None = None) -> bytes:
    data = base64.b64encode(message.model_dump_json().encode()).decode()
    published = (at or now()).isoformat()
    return json.dumps({"message": {"data": data, "publishTime": published}, "subscription": "s"}).encode()


def answer(webhooks: Webhooks, body: bytes) -> int:
    with flask.Flask(__name__).test_request_context(method="POST", data=body):
        return answer_push(replace(webhooks), flask.request).status_code
