"""A worker with its threads, killed at one of its effects."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest
from google.cloud import pubsub_v1

from gpu_job.worker.services import JobServices
from gpu_job.worker.subscription import WorkSubscription
from tests.support.fixed_word_worker import worker
from tests.support.killed_process import Kill, ProcessKilled, killed_at
from tests.support.loopback_cloud import WORK_TOPIC, LoopbackCloud
from tests.support.waiting import PATIENCE, wait_until


def worker_killed_at(
    effect: int | str, cloud: LoopbackCloud, services: JobServices, *, monkeypatch: pytest.MonkeyPatch
) -> Kill:
    """Run a worker until it is killed before this effect, the first of which is 1, or before the first of this kind; it
    ends in peace where it has none.

    `services`: its alone, for its threads go on for a while, and nothing of them comes through any more.
    """
    subscriber = pubsub_v1.SubscriberClient()
    first = worker(services, WorkSubscription(subscriber, cloud.subscription(WORK_TOPIC)))

    def until_killed() -> None:
        with suppress(ProcessKilled):
            first.run()

    with killed_at(effect, monkeypatch=monkeypatch, has_threads=True) as kill:
        thread = threading.Thread(target=until_killed)
        thread.start()
        wait_until(lambda: kill.happened or not thread.is_alive(), "the worker to be killed, or to end")
        first.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()
    subscriber.close()
    return kill
