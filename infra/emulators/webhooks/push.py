"""A push subscription: what is published is posted to a function, and comes again as long as it is not taken."""

from __future__ import annotations

import base64
import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import requests
from google.api_core.exceptions import GoogleAPICallError
from google.cloud.pubsub_v1 import SubscriberClient
from google.pubsub_v1.types import ReceivedMessage

from infra.emulators.server import Server

_log = logging.getLogger(__name__)

PULL_SECONDS = 1.0
MESSAGES_AT_ONCE = 4
POST_SECONDS = 120.0
"""More than any function of the laptop takes for one message."""


class PushSubscription(Server):
    """Posts the messages of a subscription to `url` as Pub/Sub does; its retry policy says when one comes again."""

    def __init__(self, subscriber: SubscriberClient, subscription: str, url: str) -> None:
        self._subscriber = subscriber
        self._subscription = subscription
        self._url = url
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="push", daemon=True)

    def start(self) -> None:
        """Push from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Push nothing more; what was not taken by then stays where it is."""
        self._stopping.set()
        self._thread.join()
        self._subscriber.close()

    def _run(self) -> None:
        with ThreadPoolExecutor(MESSAGES_AT_ONCE, thread_name_prefix="push") as threads:
            while not self._stopping.is_set():
                try:
                    pulled = self._subscriber.pull(
                        subscription=self._subscription,
                        max_messages=MESSAGES_AT_ONCE,
                        timeout=PULL_SECONDS,
                        retry=None,
                    )
                except GoogleAPICallError:
                    continue  # nothing came in this time, or the server ends
                list(threads.map(self._push, pulled.received_messages))

    def _push(self, one: ReceivedMessage) -> None:
        is_taken = self._post(one)
        try:
            if is_taken:
                self._subscriber.acknowledge(subscription=self._subscription, ack_ids=[one.ack_id])
            else:
                self._subscriber.modify_ack_deadline(
                    subscription=self._subscription, ack_ids=[one.ack_id], ack_deadline_seconds=0
                )
        except GoogleAPICallError:
            _log.info("a pushed message comes again", exc_info=True)

    def _post(self, one: ReceivedMessage) -> bool:
        message = one.message
        pushed = {
            "data": base64.b64encode(message.data).decode(),
            "attributes": dict(message.attributes),
            "messageId": message.message_id,
            "publishTime": message.publish_time.isoformat(),
        }
        body = json.dumps({"message": pushed, "subscription": self._subscription})
        headers = {"Content-Type": "application/json"}
        try:
            with requests.Session() as session:
                session.trust_env = False  # no proxy stands between this machine and itself
                answer = session.post(self._url, body, headers=headers, timeout=POST_SECONDS, allow_redirects=False)
        except requests.RequestException as error:
            _log.info("message %s was not pushed: %s", message.message_id, error)
            return False
        return 200 <= answer.status_code < 300
