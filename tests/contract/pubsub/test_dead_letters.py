"""Dead letters, listed, replayed and dropped: on the laptop's Pub/Sub, what matters most on Google's emulator, too."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from google.api_core.exceptions import NotFound

from infra.emulators.pubsub.server import PubSubServer
from shared.costs.bill import Bill
from shared.enums import Method, Outcome
from shared.media import Media, Upload
from shared.messages import Decision, TerminalMessage, WorkItem, event_id
from shared.operations.dead_letters import DeadLetter, DeadLetterQueue, DeadLetters
from tests.support.pubsub_clients import PROJECT, PubSub, connected
from tests.support.waiting import wait_until

WORK, RESULTS = DeadLetterQueue.WORK, DeadLetterQueue.RESULTS
UPLOAD = Upload(bucket="uploads", name="calls/a\x1b[2J.mp3", generation=7)
MEDIA = Media(container="mp3", codec="mp3", duration_seconds=60, sample_rate_hz=16000, channels=1, size_bytes=9)
ITEM = WorkItem(
    job_id=UPLOAD.job_id,
    upload=UPLOAD,
    media=MEDIA,
    decision=Decision(method=Method.PARAKEET, rule="small", reason="Small."),
)
OUTCOME = TerminalMessage(
    event_id=event_id(UPLOAD.job_id),
    job_id=UPLOAD.job_id,
    upload=UPLOAD,
    outcome=Outcome.COMPLETED,
    bill=Bill(),
    received_at=datetime(2026, 11, 1, tzinfo=UTC),
    finished_at=datetime(2026, 11, 1, tzinfo=UTC),
)
MOST_ATTEMPTS = 5
"""Google takes no fewer."""


@dataclass(frozen=True)
class Deployment:
    """The topics and subscriptions that Terraform makes, under names of the test's own."""

    pubsub: PubSub
    prefix: str

    @property
    def dead(self) -> DeadLetters:
        project = PROJECT.removeprefix("projects/")
        return DeadLetters(self.pubsub.subscriber, self.pubsub.publisher, project, self.prefix)

    def topic(self, name: str) -> str:
        return f"{PROJECT}/topics/{self.prefix}-{name}"

    def subscription(self, name: str) -> str:
        return f"{PROJECT}/subscriptions/{self.prefix}-{name}"

    def die(self, queue: DeadLetterQueue, data: bytes, source: str, **attributes: str) -> str:
        """A dead letter as Pub/Sub writes it; its id."""
        own = {
            "CloudPubSubDeadLetterSourceSubscription": f"{self.prefix}-{source}",
            "CloudPubSubDeadLetterSourceSubscriptionProject": PROJECT.removeprefix("projects/"),
            "CloudPubSubDeadLetterSourceDeliveryCount": "20",
            "CloudPubSubDeadLetterSourceTopicPublishTime": "2026-11-01T10:00:00.000+00:00",
        }
        (found,) = self.pubsub.publish(self.topic(f"{queue}-dead"), data, **{**own, **attributes})
        return found

    def all_dead(self) -> list[DeadLetter]:
        return self.dead.found([WORK, RESULTS])


class _QuickServer(PubSubServer):
    """Keeps nobody waiting for what does not come."""

    pull_seconds = 0.4


@pytest.fixture(scope="module")
def quick() -> Iterator[PubSub]:
    with _QuickServer() as server, connected(server.address) as clients:
        yield clients


@pytest.fixture(params=["quick"])
def deployment(request: pytest.FixtureRequest) -> Deployment:
    pubsub: PubSub = request.getfixturevalue(request.param)
    made = Deployment(pubsub, f"t{uuid.uuid4().hex[:12]}")
    for name in ("work", "work-cpu", "results", "work-dead", "results-dead"):
        pubsub.publisher.create_topic(name=made.topic(name))
    policy = {"dead_letter_topic": made.topic("work-dead"), "max_delivery_attempts": MOST_ATTEMPTS}
    for name, topic in (("work-job", "work"), ("work-cpu-job", "work-cpu"), ("results-costs", "results")):
        request = {"name": made.subscription(name), "topic": made.topic(topic), "dead_letter_policy": policy}
        pubsub.subscriber.create_subscription(request=request)
    for name in ("work-dead", "results-dead"):
        pubsub.subscriber.create_subscription(name=made.subscription(f"{name}-kept"), topic=made.topic(name))
    return made


@pytest.mark.parametrize("deployment", ["quick", "emulator"], indirect=True)
def test_an_item_that_is_given_back_too_often_is_listed_and_replayed(deployment: Deployment) -> None:
    pubsub, queue = deployment.pubsub, deployment.subscription("work-cpu-job")
    pubsub.publish(deployment.topic("work-cpu"), ITEM.model_dump_json().encode(), job_id=ITEM.job_id)
    for _ in range(MOST_ATTEMPTS):
        pubsub.nack(queue, pubsub.pull(queue))
    # Google's emulator moves a message when somebody asks for it once more.
    (letter,) = wait_until(lambda: pubsub.is_empty(queue) and deployment.dead.found([WORK], 1), "the dead letter")
    assert (letter.queue, letter.topic, letter.attempts) == (WORK, f"{deployment.prefix}-work-cpu", MOST_ATTEMPTS)
    assert (letter.job_id, letter.upload) == (UPLOAD.job_id, UPLOAD.uri)
    assert letter.why == "Every delivery of it was given back, or never answered."
    assert letter.published_at <= letter.died_at
    assert deployment.dead.replay([WORK], [letter.id]) == [letter]
    (again,) = pubsub.pull(queue)
    assert WorkItem.model_validate_json(again.message.data) == ITEM
    assert dict(again.message.attributes) == {"job_id": ITEM.job_id}, "without what Pub/Sub added"
    assert pubsub.is_empty(deployment.subscription("work-dead-kept"))


@pytest.mark.parametrize("deployment", ["quick", "emulator"], indirect=True)
def test_listing_takes_nothing_however_often(deployment: Deployment) -> None:
    ids = [deployment.die(WORK, ITEM.model_dump_json().encode(), "work-job") for _ in range(3)]
    for _ in range(3):
        # As many as there are, for Google's emulator lets whoever asks for more wait.
        assert {letter.id for letter in deployment.dead.found([WORK], 3)} == set(ids)
    assert len(deployment.dead.found([WORK], 2)) == 2
    assert {one.message.message_id for one in deployment.pubsub.pull(deployment.subscription("work-dead-kept"), 3)} == {
        *ids
    }


def test_what_cannot_be_read_says_so_and_is_shown_as_it_is(deployment: Deployment) -> None:
    deployment.die(WORK, b'{"job_id": "one", "media": 3}', "work-job")
    deployment.die(WORK, b"\xff\x00", "of-a-stranger", CloudPubSubDeadLetterSourceDeliveryCount="many")
    stranger, unreadable = sorted(deployment.all_dead(), key=lambda letter: letter.topic or "")
    assert unreadable.why.startswith("WorkItem cannot be read: upload: Field required")
    assert (unreadable.job_id, unreadable.upload) == (None, None)
    assert (stranger.topic, stranger.attempts, stranger.data) == (None, 0, b"\xff\x00")
    assert stranger.why.startswith("WorkItem cannot be read")


def test_a_letter_of_no_topic_of_ours_is_published_nowhere_and_stays(deployment: Deployment) -> None:
    deployment.die(WORK, b"x", "of-a-stranger")
    ours = deployment.die(WORK, b"y", "work-job")
    assert [letter.id for letter in deployment.dead.replay([WORK, RESULTS], None)] == [ours]
    assert [letter.data for letter in deployment.all_dead()] == [b"x"]
    assert [one.message.data for one in deployment.pubsub.pull(deployment.subscription("work-job"))] == [b"y"]


def test_outcomes_that_bigquery_did_not_take_have_its_reason_and_go_back_to_the_results(deployment: Deployment) -> None:
    because = {"CloudPubSubDeadLetterSourceDeliveryErrorMessage": "no such field: run"}
    deployment.die(RESULTS, OUTCOME.model_dump_json().encode(), "results-costs", **because)
    (letter,) = deployment.all_dead()
    assert (letter.queue, letter.job_id, letter.why) == (RESULTS, UPLOAD.job_id, "no such field: run")
    assert letter.published_at == datetime(2026, 11, 1, 10, tzinfo=UTC)
    assert len(deployment.dead.replay([RESULTS], None)) == 1
    (again,) = deployment.pubsub.pull(deployment.subscription("results-costs"))
    assert TerminalMessage.model_validate_json(again.message.data) == OUTCOME


def test_only_the_letters_that_are_named_are_dropped(deployment: Deployment) -> None:
    first, second, third = (deployment.die(WORK, name, "work-job") for name in (b"1", b"2", b"3"))
    dropped = deployment.dead.drop([WORK, RESULTS], [first, third, "no such id"])
    assert {letter.id for letter in dropped} == {first, third}
    assert [letter.id for letter in deployment.all_dead()] == [second]
    assert deployment.dead.drop([RESULTS], None) == []
    assert [letter.id for letter in deployment.dead.drop([WORK], None)] == [second]
    assert deployment.all_dead() == []


def test_a_replay_that_cannot_publish_leaves_every_letter(deployment: Deployment) -> None:
    ids = {deployment.die(WORK, name, "work-job") for name in (b"1", b"2")}
    deployment.pubsub.publisher.delete_topic(topic=deployment.topic("work"))
    with pytest.raises(NotFound):
        deployment.dead.replay([WORK], None)
    assert {letter.id for letter in deployment.all_dead()} == ids


def test_a_queue_that_does_not_exist_has_no_letters_and_none_at_all_is_an_error(deployment: Deployment) -> None:
    subscriber = deployment.pubsub.subscriber
    subscriber.delete_subscription(subscription=deployment.subscription("results-dead-kept"))
    deployment.die(WORK, b"1", "work-job")
    assert len(deployment.all_dead()) == 1
    with pytest.raises(NotFound):
        deployment.dead.found([RESULTS])
