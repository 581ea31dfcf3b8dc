"""How far a deployment is with an upload, seen from outside."""

from __future__ import annotations

import json
from typing import Any

from infra.emulators.cloud import STATE, LaptopCloud
from infra.emulators.executions import ExecutionState
from tests.support.user_client import UserClient
from tests.support.waiting import wait_until


def execution_of(cloud: LaptopCloud) -> ExecutionState:
    """The newest execution as it is now."""
    return cloud.runner.executions()[-1]


def record_of(user: UserClient, name: str) -> dict[str, Any] | None:
    """The job record of an upload, once there is one."""
    for blob in user.storage.bucket(STATE).list_blobs(prefix="jobs/"):
        if blob.name.endswith("record.json"):
            # By its name alone: the listed generation may be gone by now.
            record: dict[str, Any] = json.loads(user.read(f"gs://{STATE}/{blob.name}"))
            if record["upload"]["name"] == name:
                return record
    return None


def in_the_middle(cloud: LaptopCloud, user: UserClient, name: str) -> ExecutionState:
    """The execution that works on an upload, as soon as it has stored some of its words."""

    def look() -> bool:
        record = record_of(user, name)
        return record is not None and record["state"] == "running" and record["transcribed_seconds"] > 0

    wait_until(look, f"{name} at work")
    assert user.message_count(name) == 0, "over before it could be disturbed"
    return execution_of(cloud)
