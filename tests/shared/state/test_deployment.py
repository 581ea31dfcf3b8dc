"""Connecting: how the clients are made."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

import pytest

from gpu_job.worker.services import JobServices
from tests.support.loopback_cloud import LoopbackCloud
from tests.support.waiting import wait_until
from tests.support.worker_services import worker_services

AT_ONCE = 32


@pytest.fixture
def services(cloud: LoopbackCloud) -> Iterator[JobServices]:
    with worker_services() as made:
        yield made


def test_connections_are_kept_however_many_calls_are_made_at_once(
    cloud: LoopbackCloud, services: JobServices, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.WARNING, "urllib3"),
        ThreadPoolExecutor(AT_ONCE) as threads,
        cloud.storage_server.counted() as calls,
    ):
        with cloud.storage_server.hold("GET", "jobs/"):
            answers = threads.map(services.jobs.load, repeat("none", AT_ONCE))
            wait_until(lambda: len(calls) == AT_ONCE, "all calls under way")
        assert list(answers) == [None] * AT_ONCE
    assert [one.message for one in caplog.records] == []
