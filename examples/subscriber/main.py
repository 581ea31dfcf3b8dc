"""A program that waits for outcomes on Pub/Sub and reads the transcripts: `python -m examples.subscriber.main P S`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

from google.api_core.exceptions import DeadlineExceeded
from google.cloud import pubsub_v1, storage

PULL_SECONDS = 5.0


class Subscriber:
    """Of a subscription to the topic of results. It needs nothing of dropscribe but its messages."""

    def __init__(self, project: str, subscription: str) -> None:
        self._pubsub = pubsub_v1.SubscriberClient()
        self._storage = storage.Client(project=project)
        self._subscription = self._pubsub.subscription_path(project, subscription)
        # A real program keeps these where they outlive it: a message may come twice, days apart.
        self._done: set[str] = set()

    def transcripts(self, *, once: bool = False) -> Iterator[tuple[str, str]]:
        """Name and text of each upload, as they end; `once`: of those that have."""
        while True:
            try:
                pulled = self._pubsub.pull(
                    subscription=self._subscription, max_messages=10, timeout=PULL_SECONDS, retry=None
                )
                messages = list(pulled.received_messages)
            except DeadlineExceeded:
                messages = []
            if once and not messages:
                return
            for received in messages:
                outcome = json.loads(received.message.data)
                if outcome["event_id"] not in self._done and "transcript.txt" in outcome["results"]:
                    yield outcome["upload"]["name"], self._text(outcome["results"]["transcript.txt"])
                # Only now: what was not worked on comes again.
                self._done.add(outcome["event_id"])
                self._pubsub.acknowledge(subscription=self._subscription, ack_ids=[received.ack_id])

    def _text(self, uri: str) -> str:
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        return bytes(self._storage.bucket(bucket).blob(name).download_as_bytes()).decode()


if __name__ == "__main__":
    for upload, text in Subscriber(*sys.argv[1:3]).transcripts():
        print(f"{upload}: {text[:200]}")
