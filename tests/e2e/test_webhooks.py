"""Outcomes posted by the real function to a real receiver, and progress on its topic."""

from __future__ import annotations

from standardwebhooks.webhooks import Webhook

from infra.emulators.cloud import EVENTS_TOPIC, PROJECT, UPLOADS, LaptopCloud
from infra.recordings import recording
from tests.support.user_client import UserClient
from tests.support.waiting import wait_until
from tests.support.webhook_receiver import SECRET, Posted, Receiver

MEMO = recording("memo").path


def test_an_outcome_is_posted_until_it_is_taken_and_its_stages_are_told(
    cloud: LaptopCloud, user: UserClient, webhooks: Receiver
) -> None:
    topic = f"projects/{PROJECT}/topics/{EVENTS_TOPIC}"
    listener = UserClient(cloud.storage(), cloud.subscriber(), UPLOADS, topic)
    webhooks.statuses.append(500)
    name = user.drop(MEMO, "hooks/memo.wav", webhook=webhooks.url)
    outcome = user.outcome(name)

    def both() -> list[Posted] | None:
        own = [one for one in webhooks.posted if one.headers["webhook-id"] == outcome["event_id"]]
        return own if len(own) > 1 else None

    first, second = wait_until(both, "the post and its repetition")
    assert first.body == second.body
    for posted in (first, second):
        content = Webhook(SECRET).verify(posted.body, posted.headers)
        assert (content["type"], content["data"]) == (f"transcription.{outcome['outcome']}", outcome)

    def stages_seen() -> set[str] | None:
        listener.pull()
        stages = {one["stage"] for one in listener.messages if one["job_id"] == outcome["job_id"]}
        return stages if "done" in stages else None

    assert {"claimed", "inspected", "queued", "done"} <= wait_until(stages_seen, "the last event")


def test_an_upload_that_asks_for_another_origin_is_rejected(user: UserClient, webhooks: Receiver) -> None:
    before = len(webhooks.posted)
    outcome = user.outcome(user.drop(MEMO, "hooks/elsewhere.wav", webhook="https://evil.example/"))
    assert outcome["outcome"] == "rejected"
    assert "transcribe-webhook" in outcome["reason"]
    assert len(webhooks.posted) == before
