"""A laptop cloud for one command: always stopped at the end, its logs kept where something failed."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from google.cloud.pubsub_v1 import SubscriberClient
from google.cloud.storage import Client

from infra.emulators.cloud import PROJECT, RESULTS_TOPIC, CloudOptions, LaptopCloud


@dataclass
class Session:
    """A running laptop cloud with a subscription to its results."""

    cloud: LaptopCloud
    storage: Client
    subscriber: SubscriberClient
    subscription: str
    keep_logs: bool = False


@contextmanager
def session(model: str | None, settings: Mapping[str, str] | None = None) -> Iterator[Session]:
    """Start a laptop cloud in a temporary folder; TERM ends it like Ctrl-C. `settings`: more environment for it."""
    # Otherwise a TERM would leave this process's children running.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    root = Path(tempfile.mkdtemp(prefix="dropscribe-"))
    opened: Session | None = None
    try:
        with LaptopCloud(root, _options(model, settings or {})) as cloud:
            subscriber = cloud.subscriber()
            subscription = subscriber.subscription_path(PROJECT, "command-line")
            topic = f"projects/{PROJECT}/topics/{RESULTS_TOPIC}"
            subscriber.create_subscription(name=subscription, topic=topic)
            opened = Session(cloud, cloud.storage(), subscriber, subscription)
            yield opened
    finally:
        if opened is None or not opened.keep_logs:
            shutil.rmtree(root, ignore_errors=True)


def _options(model: str | None, settings: Mapping[str, str]) -> CloudOptions:
    if model is None:
        return CloudOptions(settings=settings)
    # A relative path is relative to the caller; the job runs in another directory.
    path = Path(model)
    return CloudOptions(model=str(path.resolve()) if path.exists() else model, settings=settings)
