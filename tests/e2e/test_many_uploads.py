"""Twenty uploads at once, one of them corrupt and one announced three times: every one ends once, and is billed."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from infra.emulators.cloud import STATE, LaptopCloud
from infra.recordings import shipped
from tests.support.user_client import Message, UserClient
from tests.support.waiting import PATIENCE, wait_until

SHORT_SECONDS = 60.0
UPLOADS = 20
CORRUPT = "many/corrupt.mp3"
REPEATED = "many/00"


@pytest.fixture
def outcomes(cloud: LaptopCloud, user: UserClient, tmp_path: Path) -> list[Message]:
    """Every terminal message of the twenty uploads, after all that could send another one has ended."""
    short = [each.path for each in shipped() if each.duration < SHORT_SECONDS]
    noise = tmp_path / "corrupt.mp3"
    noise.write_bytes(random.Random(7).randbytes(30_000))
    names = [
        user.drop(short[number % len(short)], f"many/{number:02}{short[number % len(short)].suffix}")
        for number in range(UPLOADS - 1)
    ]
    names.append(user.drop(noise, CORRUPT))
    repeated = wait_until(
        lambda: next((event for event in cloud.eventarc.events if event.name.startswith(REPEATED)), None), "the event"
    )
    for _ in range(2):
        cloud.eventarc.redeliver(repeated.id)
    user.outcomes(names)
    cloud.eventarc.wait_idle(PATIENCE)
    cloud.runner.wait_idle(PATIENCE)
    cloud.reconcile()
    user.pull()
    return [message for message in user.messages if message["upload"]["name"] in names]


def test_every_upload_ends_once_and_the_bills_add_up(
    cloud: LaptopCloud, user: UserClient, outcomes: list[Message]
) -> None:
    assert len(outcomes) == len({message["event_id"] for message in outcomes}) == UPLOADS
    by_name = {message["upload"]["name"]: message for message in outcomes}
    rejected = by_name.pop(CORRUPT)
    assert rejected["outcome"] == "rejected"
    assert rejected["reason"]
    assert rejected["results"].keys() == {"receipt.json"}
    assert {message["outcome"] for message in by_name.values()} == {"completed"}
    assert all(message["word_count"] > 10 for message in by_name.values())

    executions = {user.result(message, "receipt.json")["execution"] for message in by_name.values()}
    assert 1 <= len(executions) <= 2
    for execution in executions:
        billed = [
            message["bill"]["usd"]
            for message in by_name.values()
            if user.result(message, "receipt.json")["execution"] == execution
        ]
        unbilled = json.loads(user.read(f"gs://{STATE}/executions/{execution}/0-0.json"))
        rest = sum(unbilled["unbilled_seconds"].values()) * unbilled["usd_per_second"]
        cost = unbilled["instance_seconds"] * unbilled["usd_per_second"]
        assert sum(billed) + rest == pytest.approx(cost, abs=1e-9)
        assert cost > 0
