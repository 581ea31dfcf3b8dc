"""A backlog is shared by several executions, real processes, that all end; without quota the first one does it all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.emulators.cloud import STATE, CloudOptions
from infra.recordings import recording
from tests.support.faulty_cloud import FaultyLaptopCloud
from tests.support.user_client import Message, UserClient, user_client_of
from tests.support.waiting import PATIENCE

SLOTS, UPLOADS = 3, 6
SLOW = {
    # To the plan each upload is minutes of work, and seconds are allowed for all.
    "CPU_X_REAL_TIME": "0.1",
    "CPU_STARTUP_SECONDS": "0.1",
    "TARGET_DRAIN_MINUTES": "0.05",
    "UPLOADS_IN_FLIGHT": "1",
    "CPU_MAX_PARALLEL_TASKS": str(SLOTS),
}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[FaultyLaptopCloud]:
    with FaultyLaptopCloud(tmp_path / "cloud", CloudOptions(settings=SLOW, deepgram=False)) as running:
        yield running


def outcomes(cloud: FaultyLaptopCloud, user: UserClient) -> list[Message]:
    """Of some uploads, once every process has ended."""
    names = [user.drop(recording("call.opus").path, f"many/{number}.opus") for number in range(UPLOADS)]
    user.outcomes(names)
    cloud.runner.wait_idle(PATIENCE)
    user.pull()
    return [message for message in user.messages if message["upload"]["name"] in names]


def test_executions_share_a_backlog_and_end(cloud: FaultyLaptopCloud) -> None:
    user = user_client_of(cloud)
    messages = outcomes(cloud, user)
    assert [message["outcome"] for message in messages] == ["completed"] * UPLOADS
    assert len({message["execution"] for message in messages}) >= 2
    assert len(cloud.runner.executions()) >= 2
    assert not list(cloud.storage().bucket(STATE).list_blobs(prefix="executions/cpu/"))
    assert not list(cloud.storage().bucket(STATE).list_blobs(prefix="open/"))


def test_without_quota_for_more_the_one_that_runs_does_it_all(cloud: FaultyLaptopCloud) -> None:
    cloud.runner.answer_next(1)
    cloud.runner.refuse_next(UPLOADS * SLOTS)
    messages = outcomes(cloud, user_client_of(cloud))
    assert [message["outcome"] for message in messages] == ["completed"] * UPLOADS
    assert len({message["execution"] for message in messages}) == 1
    assert len(cloud.runner.executions()) == 1
