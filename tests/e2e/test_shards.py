"""A long upload on several executions, real processes, one of which is killed: one outcome, with all the words."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.emulators.cloud import STATE, CloudOptions
from infra.recordings import recording
from tests.support.faulty_cloud import FaultyLaptopCloud
from tests.support.job_progress import execution_named
from tests.support.user_client import UserClient, user_client_of
from tests.support.waiting import PATIENCE, wait_until
from tests.support.word_alignment import align_words, word_error_rate

SETTINGS = {
    # Ten minutes are six shards, and to the plan each is minutes of work.
    "SHARD_HOURS": "0.03",
    "SHARD_HOURS_BUSY": "0.03",
    "CPU_MAX_PARALLEL_TASKS": "3",
    "CPU_X_REAL_TIME": "0.1",
    "CPU_STARTUP_SECONDS": "0.1",
    "TARGET_DRAIN_MINUTES": "0.05",
    "CPU_BATCH_AUDIO_SECONDS": "30",
    "HEARTBEAT_SECONDS": "0.2",
    "CHECKPOINT_SECONDS": "0.1",
    "LEASE_SECONDS": "3",
    "QUEUE_PATIENCE_SECONDS": "3",
    "RESTART_SECONDS": "3",
}
LONG = recording("long_seen")


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[FaultyLaptopCloud]:
    options = CloudOptions(
        settings=SETTINGS, deepgram=False, reconcile_seconds=2.0, event_backoff_seconds=0.2, item_backoff_seconds=(1, 5)
    )
    with FaultyLaptopCloud(tmp_path / "cloud", options) as running:
        yield running


def shard_records(user: UserClient) -> list[dict[str, Any]]:
    """Of the one upload that there is."""
    names = [blob.name for blob in user.storage.bucket(STATE).list_blobs(prefix="jobs/") if "/shards/" in blob.name]
    return [json.loads(user.read(f"gs://{STATE}/{name}")) for name in names]


def test_a_worker_is_killed_with_a_shard_and_the_upload_ends_once_with_all_its_words(cloud: FaultyLaptopCloud) -> None:
    user = user_client_of(cloud)
    name = user.drop(LONG.path, "long.opus")

    def holder_of_one() -> str | None:
        running = [one for one in shard_records(user) if one["state"] == "running" and one["transcribed_seconds"]]
        holder: str | None = running[0]["holder"] if running else None
        return holder

    holder = wait_until(holder_of_one, "a shard at work")
    pid = execution_named(cloud, holder.partition("/")[0]).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)

    message = user.outcome(name)
    assert message["outcome"] == "completed", message["reason"]
    steps = align_words(LONG, user.result(message, "transcript.json")["words"])
    assert word_error_rate(steps) < 0.05
    records = shard_records(user)
    assert [record["state"] for record in records] == ["done"] * 6
    assert len({record["holder"] for record in records}) >= 2
    shards_usd = sum(record["spent"]["usd"] for record in records)
    assert 0 < shards_usd < message["bill"]["usd"]
    cloud.runner.wait_idle(PATIENCE)
    assert user.message_count(name) == 1
    state = cloud.storage().bucket(STATE)
    assert not list(state.list_blobs(prefix="open/"))
    assert not [blob.name for blob in state.list_blobs(prefix="jobs/") if "/parts/" in blob.name]
