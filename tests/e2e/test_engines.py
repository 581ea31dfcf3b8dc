"""Which engine transcribes, when it is asked for, fails, or cannot be started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from infra.emulators.cloud import CloudOptions, LaptopCloud
from infra.recordings import recording
from tests.support.faulty_cloud import FaultyLaptopCloud
from tests.support.user_client import UserClient, bill_lines, user_client_of
from tests.support.waiting import PATIENCE

CALL = recording("call").path
SERVER_ERROR = 500
"""Not asked again after this one: Deepgram may have billed the call."""


def test_deepgram_hears_what_asks_for_it(cloud: LaptopCloud, user: UserClient) -> None:
    message = user.outcome(user.drop(CALL, "asked/call.opus", method="deepgram"))

    assert message["outcome"] == "completed", message["reason"]
    assert message["decision"]["method"] == "deepgram"
    assert user.engines(message) == {"deepgram"}
    assert bill_lines(message) == ["deepgram nova-3", "cloud storage egress"]
    assert message["bill"]["usd"] > 0
    # It came to fetch the file itself, through a signed URL of the storage server.
    call = cloud.deepgram.requests[-1]
    assert call.url_host is not None
    assert call.url_host in cloud.storage_server.url
    assert call.audio_seconds == pytest.approx(recording("call").duration, abs=0.5)


def test_parakeet_takes_over_from_a_deepgram_that_fails(cloud: LaptopCloud, user: UserClient) -> None:
    before = len(cloud.deepgram.requests)
    cloud.deepgram.fail_next(1, SERVER_ERROR)
    message = user.outcome(user.drop(CALL, "fails/call.opus", method="deepgram"))

    assert len(cloud.deepgram.requests) == before + 1
    assert message["outcome"] == "completed", message["reason"]
    assert message["decision"]["method"] == "parakeet"
    assert "Parakeet takes over" in message["decision"]["reason"]
    assert user.engines(message) == {"parakeet-cpu"}
    deepgram, rest = bill_lines(message)[:2], bill_lines(message)[2:]
    assert deepgram == ["deepgram nova-3 (possibly billed)", "cloud storage egress (possibly billed)"]
    assert rest
    assert all(line.startswith("cloud run") for line in rest)


def test_an_unknown_method_is_rejected_with_the_known_ones(user: UserClient) -> None:
    message = user.outcome(user.drop(CALL, "unknown/call.opus", method="whisper"))

    assert message["outcome"] == "rejected"
    assert "whisper" in message["reason"]
    assert "parakeet" in message["reason"]


def test_deepgram_stands_in_where_no_job_starts(cloud: LaptopCloud, user: UserClient) -> None:
    executions = len(cloud.runner.executions())
    cloud.runner.refuse_next(1)
    message = user.outcome(user.drop(CALL, "refused/call.opus"))

    assert message["outcome"] == "completed", message["reason"]
    assert user.engines(message) == {"deepgram"}
    assert "No job could be started" in message["decision"]["reason"]
    assert len(cloud.runner.executions()) == executions


Start = Callable[..., AbstractContextManager[tuple[LaptopCloud, UserClient]]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """start(deepgram=..., **settings): a cloud with settings of its own, and a client of it."""

    @contextmanager
    def started(*, deepgram: bool = True, **settings: str) -> Iterator[tuple[LaptopCloud, UserClient]]:
        # The test calls the reconciler itself.
        options = CloudOptions(deepgram=deepgram, settings=settings, reconcile_seconds=3600)
        with FaultyLaptopCloud(tmp_path / "cloud", options) as cloud:
            yield cloud, user_client_of(cloud)

    return started


def test_without_any_engine_an_upload_stays_queued_until_a_job_starts(start: Start) -> None:
    with start(deepgram=False, QUEUE_PATIENCE_SECONDS="0.1") as (cloud, user):
        cloud.runner.refuse_next(1)
        name = user.drop(CALL)
        cloud.eventarc.wait_idle(PATIENCE)
        assert not cloud.runner.executions()
        assert user.message_count(name) == 0

        assert cloud.reconcile() == {"queued again": 1}
        message = user.outcome(name)

        assert message["outcome"] == "completed", message["reason"]
        assert len(cloud.runner.executions()) == 1
        cloud.runner.wait_idle(PATIENCE)
        assert user.message_count(name) == 1


def test_without_fallback_an_engine_that_fails_ends_the_job(start: Start) -> None:
    with start(ENABLE_FALLBACK="false") as (cloud, user):
        cloud.deepgram.fail_next(1, SERVER_ERROR)
        message = user.outcome(user.drop(CALL, method="deepgram"))

        assert message["outcome"] == "failed"
        assert message["reason"]
        assert not cloud.runner.executions()
        assert message["results"].keys() == {"receipt.json"}
