"""What happens when processes die in the middle: work is resumed, nothing is lost, every upload ends once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra.emulators.cloud import CloudOptions, LaptopCloud
from infra.recordings import recording
from shared.clock import now
from shared.costs.bill import Bill
from tests.support.converted_recordings import Convert
from tests.support.faulty_cloud import FaultyLaptopCloud
from tests.support.job_progress import await_retry, execution_named, in_the_middle, record_of
from tests.support.user_client import UserClient, user_client_of
from tests.support.waiting import PATIENCE, wait_until

UNAVAILABLE = 503
QUICK = {
    "HEARTBEAT_SECONDS": "0.2",
    "CHECKPOINT_SECONDS": "0.1",
    "LEASE_SECONDS": "3",
    "CLAIM_SECONDS": "3",
    "QUEUE_PATIENCE_SECONDS": "3",
    "RESTART_SECONDS": "3",
    # Little at a time, so that there is a middle to be killed in.
    "CPU_BATCH_AUDIO_SECONDS": "20",
    "BUFFERED_AUDIO_SECONDS": "60",
}


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopCloud]:
    """A cloud in which silence is noticed within seconds, by the scheduler's reconciler too."""
    options = CloudOptions(
        settings=QUICK, reconcile_seconds=2.0, event_backoff_seconds=0.2, item_backoff_seconds=(1, 5)
    )
    with FaultyLaptopCloud(tmp_path_factory.mktemp("quick"), options) as running:
        yield running


@pytest.fixture
def listener(quick: LaptopCloud) -> UserClient:
    """A client of the quick cloud, once everything before has ended."""
    quick.eventarc.wait_idle(PATIENCE)
    quick.runner.wait_idle(PATIENCE)
    return user_client_of(quick)


@pytest.fixture(scope="module")
def twenty_minutes(convert: Convert) -> Path:
    """Twice the ten minutes."""
    return convert("long_seen", "twenty_minutes.opus", "-stream_loop", "1", after=("-c", "copy"))


@pytest.fixture(scope="module")
def undisturbed(quick: LaptopCloud, twenty_minutes: Path) -> str:
    """The text of the twenty minutes when nobody dies."""
    user = user_client_of(quick)
    return user.text(user.outcome(user.drop(twenty_minutes, "undisturbed.opus")))


@pytest.mark.parametrize(
    ("how", "attempts"),
    [
        # It may have been another upload's fault; the next time it runs alone.
        pytest.param(signal.SIGKILL, 1, id="killed"),
        # Leaving when told to is not the upload's fault, and not counted against it.
        pytest.param(signal.SIGTERM, 1, id="told to leave"),
    ],
)
def test_a_worker_that_ends_in_the_middle_is_resumed(
    quick: LaptopCloud,
    listener: UserClient,
    twenty_minutes: Path,
    undisturbed: str,
    how: signal.Signals,
    attempts: int,
) -> None:
    name = listener.drop(twenty_minutes, f"{how.name}.opus")
    execution = in_the_middle(quick, listener, name)
    assert execution.pid is not None
    record = record_of(listener, name)
    assert record is not None
    spent = Bill.model_validate(record["spent"]).usd
    assert spent > 0
    os.kill(execution.pid, how)
    await_retry(quick, execution)

    message = listener.outcome(name)
    assert message["outcome"] == "completed", message["reason"]
    assert Bill.model_validate(message["bill"]).usd > spent
    assert listener.text(message) == undisturbed
    record = record_of(listener, name)
    assert record is not None
    assert record["attempts"] == attempts
    quick.runner.wait_idle(PATIENCE)
    assert listener.message_count(name) == 1


@pytest.mark.parametrize("before", [True, False], ids=["refused", "answer lost"])
@pytest.mark.parametrize("prefix", ["open/", "jobs/"])
def test_a_state_bucket_that_fails_for_a_while(
    quick: LaptopCloud, listener: UserClient, prefix: str, before: bool
) -> None:
    quick.storage_server.fail_next(3, UNAVAILABLE, name_prefix=prefix, before=before)
    name = listener.drop(recording("call").path, f"while {prefix.strip('/')} fails {before}/call.opus")

    message = listener.outcome(name)
    assert message["outcome"] == "completed", message["reason"]
    quick.eventarc.wait_idle(PATIENCE)
    quick.runner.wait_idle(PATIENCE)
    quick.reconcile()
    assert listener.message_count(name) == 1


def test_a_file_that_kills_its_worker_costs_its_neighbours_nothing(
    quick: LaptopCloud, listener: UserClient, twenty_minutes: Path
) -> None:
    poison, *neighbours = [listener.drop(twenty_minutes, f"{who}.opus") for who in ("poison", "one", "two", "three")]
    deaths: list[tuple[int, int]] = []
    killed_at = [datetime.min.replace(tzinfo=UTC)]
    lease = timedelta(seconds=float(quick.environment["LEASE_SECONDS"]))

    def kill_whoever_has_it() -> bool:
        records = [record_of(listener, name) for name in (poison, *neighbours)]
        if listener.message_count(poison):
            return True
        record = records[0]
        if record is None or record["state"] != "running":
            return False
        in_flight = [one for one in records if one is not None and one["state"] == "running"]
        # Each claim changes these; until then the record is still the dead worker's, which on a slow machine may have
        # taken it back from the reconciler, with other numbers, before it was killed.
        begun = (record["attempts"], record["lost_attempts"])
        is_alive = datetime.fromisoformat(record["lease_until"]) - lease > killed_at[-1]
        if is_alive and begun not in deaths and (deaths or len(in_flight) == 4):
            pid = execution_named(quick, record["holder"].partition("/")[0]).pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            killed_at.append(now())
            deaths.append(begun)
        return False

    wait_until(kill_whoever_has_it, "the end of the file that kills its worker")
    message = listener.outcome(poison)
    assert message["outcome"] == "failed"
    assert message["reason"].startswith("The worker ended 3 times while it worked on the file and no other.")
    # Once with the others beside it, then three times alone.
    assert deaths == [(1, 0), (1, 1), (2, 2), (3, 3)]
    assert [listener.outcome(name)["outcome"] for name in neighbours] == ["completed"] * 3
    assert [(record_of(listener, name) or {})["attempts"] for name in neighbours] == [1] * 3
