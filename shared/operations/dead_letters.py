"""Dead letters: messages that Pub/Sub gave up delivering, looked at without taking, published again, or dropped.

Work items that no worker could read, or that were given back 20 times, and outcomes that BigQuery did not take. Each
is kept for seven days on a subscription of its own (terraform/pubsub.tf), which has no limit of deliveries: to look at
one costs it nothing.

    replay              killed behind it
    1  publish again    the dead letter is there still, and may be replayed twice: workers and subscribers know a
                        message they had, by its job or its event_id
    2  acknowledge      it is done
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from google.api_core.exceptions import DeadlineExceeded, NotFound
from google.cloud import pubsub_v1
from google.pubsub_v1.types import ReceivedMessage
from pydantic import ValidationError

from shared.errors import best_effort, shortened, validation_message
from shared.messages import TerminalMessage, WorkItem

MOST_HELD = 1_000
"""Messages that are held at once."""

HOLD_SECONDS = 120
"""For which nobody else gets a message that is looked at, unless it is given back before."""

PULL_SECONDS = 10.0
"""Longest wait for a message, of which a new channel takes some; a queue that has none in this time is at its end."""

CALL_TIMEOUT_SECONDS = 60.0

MAX_WHY_CHARACTERS = 500

SOURCE_ATTRIBUTES = "CloudPubSubDeadLetterSource"
"""How the attributes begin that Pub/Sub adds to a dead letter
(https://cloud.google.com/pubsub/docs/handling-failures#dead-letter-messages)."""


class DeadLetterQueue(StrEnum):
    """What has dead letters."""

    WORK = "work"
    RESULTS = "results"


@dataclass(frozen=True)
class DeadLetter:
    """One message that could not be delivered. Whatever it holds came from outside."""

    id: str
    """Pub/Sub's, the same each time it is looked at."""
    queue: DeadLetterQueue
    published_at: datetime
    """When it was published first."""
    died_at: datetime
    attempts: int
    """Deliveries that failed."""
    topic: str | None
    """Short name of the one that it was published to; None where its source is not one of this deployment's."""
    job_id: str | None
    upload: str | None
    """Address of the object."""
    why: str
    """What is wrong with it, as far as can be told, in a sentence."""
    data: bytes
    attributes: Mapping[str, str]
    """Without Pub/Sub's own."""


class _NoQueue(Exception):
    """There is no such subscription, as opposed to a topic that a letter is published to."""

    def __init__(self, error: NotFound) -> None:
        super().__init__(error)
        self.error = error


class DeadLetters:
    """Those of one deployment."""

    def __init__(
        self,
        subscriber: pubsub_v1.SubscriberClient,
        publisher: pubsub_v1.PublisherClient,
        project: str,
        topic_prefix: str = "transcription",
    ) -> None:
        """`topic_prefix`: first part of the names, as given to Terraform."""
        self._subscriber = subscriber
        self._publisher = publisher
        self._project = project
        self._prefix = topic_prefix

    def found(self, queues: Collection[DeadLetterQueue], limit: int = MOST_HELD) -> list[DeadLetter]:
        """Up to `limit` of each queue, the oldest first; all of them stay where they are.

        Raises NotFound where none of the queues exists.
        """

        def look(subscription: str, queue: DeadLetterQueue) -> list[DeadLetter]:
            with self._held(subscription, limit) as held:
                return [self._letter(queue, one) for one in held]

        return sorted(self._on_each(queues, look), key=lambda letter: letter.published_at)

    def replay(self, queues: Collection[DeadLetterQueue], ids: Collection[str] | None) -> list[DeadLetter]:
        """Publish letters again to the topics they came from (None: all); those that were.

        One without a topic stays. Raises what the clients raise: what was published by then is acknowledged.
        """
        return self._take(queues, ids, self._publish)

    def drop(self, queues: Collection[DeadLetterQueue], ids: Collection[str] | None) -> list[DeadLetter]:
        """Take letters away for good (None: all); those that were."""
        return self._take(queues, ids, lambda _: True)

    def _take(
        self,
        queues: Collection[DeadLetterQueue],
        ids: Collection[str] | None,
        deal_with: Callable[[DeadLetter], bool],
    ) -> list[DeadLetter]:

        def take(subscription: str, queue: DeadLetterQueue) -> list[DeadLetter]:
            taken = []
            with self._held(subscription, MOST_HELD, ids) as held:
                for message in list(held):
                    letter = self._letter(queue, message)
                    if (ids is None or letter.id in ids) and deal_with(letter):
                        self._subscriber.acknowledge(
                            subscription=subscription, ack_ids=[message.ack_id], timeout=CALL_TIMEOUT_SECONDS
                        )
                        held.remove(message)
                        taken.append(letter)
            return taken

        return self._on_each(queues, take)

    def _publish(self, letter: DeadLetter) -> bool:
        if letter.topic is None:
            return False
        topic = self._publisher.topic_path(self._project, letter.topic)
        attributes: dict[str, Any] = dict(letter.attributes)
        self._publisher.publish(topic, letter.data, **attributes).result(timeout=CALL_TIMEOUT_SECONDS)
        return True

    def _on_each(
        self, queues: Collection[DeadLetterQueue], do: Callable[[str, DeadLetterQueue], list[DeadLetter]]
    ) -> list[DeadLetter]:
        """The letters of all queues that exist: the laptop has no BigQuery. Raises NotFound where none does."""

        def try_to(queue: DeadLetterQueue) -> list[DeadLetter] | _NoQueue:
            name = self._subscriber.subscription_path(self._project, f"{self._prefix}-{queue}-dead-kept")
            try:
                return do(name, queue)
            except _NoQueue as error:
                return error

        # Side by side: each waits for a while at its queue's end.
        with ThreadPoolExecutor(len(DeadLetterQueue), thread_name_prefix="dead-letters") as threads:
            found = list(threads.map(try_to, queues))
        missing = [one.error for one in found if isinstance(one, _NoQueue)]
        if missing and len(missing) == len(found):
            raise missing[0]
        return [letter for one in found if not isinstance(one, _NoQueue) for letter in one]

    @contextmanager
    def _held(
        self, subscription: str, limit: int, ids: Collection[str] | None = None
    ) -> Iterator[list[ReceivedMessage]]:
        """Up to `limit` messages, or until `ids` are among them; those that are left in the list are given back."""
        held: dict[str, ReceivedMessage] = {}
        left: list[ReceivedMessage] = []
        try:
            while len(held) < limit and (ids is None or not held.keys() >= set(ids)):
                new = self._pulled(subscription, limit - len(held))
                if not new:
                    break
                left += new
                held |= {one.message.message_id: one for one in new}
            yield left
        finally:
            if left:
                with best_effort("dead letters are held for a while"):
                    self._deadline(subscription, left, 0)

    def _pulled(self, subscription: str, limit: int) -> Sequence[ReceivedMessage]:
        try:
            response = self._subscriber.pull(
                subscription=subscription, max_messages=limit, timeout=PULL_SECONDS, retry=None
            )
        except DeadlineExceeded:
            return ()
        except NotFound as error:
            raise _NoQueue(error) from error
        received: Sequence[ReceivedMessage] = response.received_messages
        if received:
            self._deadline(subscription, received, HOLD_SECONDS)
        return received

    def _deadline(self, subscription: str, received: Sequence[ReceivedMessage], seconds: int) -> None:
        self._subscriber.modify_ack_deadline(
            subscription=subscription,
            ack_ids=[one.ack_id for one in received],
            ack_deadline_seconds=seconds,
            timeout=CALL_TIMEOUT_SECONDS,
        )

    def _letter(self, queue: DeadLetterQueue, received: ReceivedMessage) -> DeadLetter:
        message = received.message
        source = {
            key.removeprefix(SOURCE_ATTRIBUTES): value
            for key, value in message.attributes.items()
            if key.startswith(SOURCE_ATTRIBUTES)
        }
        subscription, count = source.get("Subscription", ""), source.get("DeliveryCount", "")
        attempts = int(count) if count.isascii() and count.isdecimal() else 0
        content, problem = _content(queue, bytes(message.data))
        return DeadLetter(
            id=str(message.message_id),
            queue=queue,
            published_at=_time(source.get("TopicPublishTime")) or message.publish_time,
            died_at=message.publish_time,
            attempts=attempts,
            topic=self._topics.get(subscription),
            job_id=content.job_id if content else None,
            upload=content.upload.uri if content else None,
            why=shortened(source.get("DeliveryErrorMessage") or problem or _GIVEN_BACK, MAX_WHY_CHARACTERS),
            data=bytes(message.data),
            attributes={
                key: value for key, value in message.attributes.items() if not key.startswith(SOURCE_ATTRIBUTES)
            },
        )

    @property
    def _topics(self) -> dict[str, str]:
        """Each subscription with dead letters -> its topic. Nothing in a message decides where it is published."""
        return {
            f"{self._prefix}-work-job": f"{self._prefix}-work",
            f"{self._prefix}-work-cpu-job": f"{self._prefix}-work-cpu",
            f"{self._prefix}-results-costs": f"{self._prefix}-results",
        }


_GIVEN_BACK = "Every delivery of it was given back, or never answered."


def _content(queue: DeadLetterQueue, data: bytes) -> tuple[WorkItem | TerminalMessage | None, str | None]:
    """What the message says, or why that cannot be read."""
    try:
        if queue is DeadLetterQueue.WORK:
            return WorkItem.model_validate_json(data), None
        return TerminalMessage.model_validate_json(data), None
    except ValidationError as error:
        return None, validation_message(error)


def _time(text: str | None) -> datetime | None:
    try:
        at = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at is not None and at.tzinfo is not None else None
