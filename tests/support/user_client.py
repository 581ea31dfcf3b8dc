"""A program that uses a deployment by its buckets and its topic alone; of the project's own code it knows nothing."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from google.api_core.exceptions import DeadlineExceeded
from google.cloud.pubsub_v1 import SubscriberClient
from google.cloud.storage import Client

from infra.emulators.cloud import PROJECT, RESULTS_TOPIC, UPLOADS, LaptopCloud
from tests.support.waiting import PATIENCE

Message = dict[str, Any]
"""A terminal message as its JSON says it."""

PULL_SECONDS = 1.0


class UserClient:
    """Drops files and listens on a subscription of its own."""

    def __init__(self, storage: Client, subscriber: SubscriberClient, uploads: str, topic: str) -> None:
        self.storage = storage
        self._uploads = storage.bucket(uploads)
        self._subscriber = subscriber
        self._subscription = topic.replace("/topics/", "/subscriptions/") + f"-{uuid.uuid4().hex[:8]}"
        subscriber.create_subscription(name=self._subscription, topic=topic)
        self.messages: list[Message] = []
        """Every message so far, repeated ones included."""

    def drop(self, path: Path, name: str | None = None, method: str | None = None, **options: str) -> str:
        """Upload a file, `max_cost="1"` as metadata transcribe-max-cost; the name of its object."""
        blob = self._uploads.blob(name or path.name)
        asked = {**options, **({"method": method} if method else {})}
        if asked:
            blob.metadata = {f"transcribe-{key.replace('_', '-')}": value for key, value in asked.items()}
        blob.upload_from_filename(str(path))
        return str(blob.name)

    def pull(self) -> None:
        """Take what comes within a second."""
        try:
            pulled = self._subscriber.pull(
                subscription=self._subscription, max_messages=100, timeout=PULL_SECONDS, retry=None
            )
        except DeadlineExceeded:
            return
        for one in pulled.received_messages:
            self.messages.append(json.loads(one.message.data))
            self._subscriber.acknowledge(subscription=self._subscription, ack_ids=[one.ack_id])

    def outcomes(self, names: Iterable[str], timeout: float = PATIENCE) -> dict[str, Message]:
        """The terminal message of each of `names`; TimeoutError where one does not come."""
        wanted = set(names)
        deadline = time.monotonic() + timeout
        while not wanted <= self._names():
            if time.monotonic() > deadline:
                raise TimeoutError(f"no outcome of {sorted(wanted - self._names())} within {timeout:g} s")
            self.pull()
        return {message["upload"]["name"]: message for message in self.messages if message["upload"]["name"] in wanted}

    def outcome(self, name: str, timeout: float = PATIENCE) -> Message:
        """The terminal message of one upload."""
        return self.outcomes([name], timeout)[name]

    def message_count(self, name: str) -> int:
        """How many terminal messages came for an upload, those that come within another second included."""
        self.pull()
        return sum(message["upload"]["name"] == name for message in self.messages)

    def read(self, uri: str) -> bytes:
        """The object at a `gs://` address."""
        bucket, _, key = uri.removeprefix("gs://").partition("/")
        return bytes(self.storage.bucket(bucket).blob(key).download_as_bytes())

    def result(self, message: Message, file: str) -> Any:
        """One of the JSON files among an upload's results."""
        return json.loads(self.read(message["results"][file]))

    def text(self, message: Message) -> str:
        """The words of a transcript."""
        return " ".join(word["text"] for word in self.result(message, "transcript.json")["words"])

    def engines(self, message: Message) -> set[str]:
        """Who wrote the segments of a transcript."""
        return {segment["engine"] for segment in self.result(message, "transcript.json")["segments"]}

    def _names(self) -> set[str]:
        return {message["upload"]["name"] for message in self.messages}


def user_client_of(cloud: LaptopCloud) -> UserClient:
    """Somebody new with a subscription to the results of `cloud`."""
    return UserClient(cloud.storage(), cloud.subscriber(), UPLOADS, f"projects/{PROJECT}/topics/{RESULTS_TOPIC}")


def bill_lines(message: Message) -> list[str]:
    """The resources on a bill."""
    return [item["resource"] for item in message["bill"]["items"]]
