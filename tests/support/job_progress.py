"""How far a deployment is with an upload, seen from outside."""

from __future__ import annotations

import json
from typing import Any

from infra.emulators.cloud import STATE, LaptopCloud
from infra.emulators.executions import ExecutionState
from tests.support.user_client import UserClient
from tests.support.waiting import wait_until


def execution_named(cloud: LaptopCloud, name: str) -> ExecutionState:
    """An execution, by the last part of its name, as it is now."""
    return next(one for one in cloud.runner.executions() if one.name.rpartition("/")[2] == name)


def await_retry(cloud: LaptopCloud, execution: ExecutionState) -> None:
    """Return once the task of this execution is tried again; the reconciler may have launched another one meanwhile."""

    name = execution.name.rpartition("/")[2]
    wait_until(lambda: execution_named(cloud, name).attempt == 1, f"the retry of {name}")


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

    def look() -> str | None:
        record = record_of(user, name)
        if record is None or record["state"] != "running" or not record["transcribed_seconds"]:
            return None
        holder: str = record["holder"]
        return holder

    holder = wait_until(look, f"{name} at work")
    assert user.message_count(name) == 0, "over before it could be disturbed"
    # Where it took long to start, the reconciler has launched another one, too.
    return execution_named(cloud, holder.partition("/")[0])
