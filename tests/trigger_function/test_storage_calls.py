"""How often the function calls Cloud Storage for an upload: what a month of a million uploads multiplies."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from infra.recordings import recording
from shared.enums import JobDevice
from shared.state.jobs.queued_item import unclaimed_job
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import LoopbackCloud
from trigger_function.handle_upload import handle
from trigger_function.services import Services

AUDIO = recording("memo.wav").path.read_bytes()
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was seen for one upload serves the next one, however long that takes here."""
    for cache in ("shared.state.backlog", "shared.state.gpu_breaker", "shared.costs.speeds"):
        monkeypatch.setattr(f"{cache}.CACHE_SECONDS", DAY.total_seconds())
    monkeypatch.setattr("shared.state.launcher.VIEW_SECONDS", DAY)


def test_a_budget_takes_one_call_more_the_reservation(cloud: LoopbackCloud, make_services: MakeServices) -> None:
    services = make_services(MONTHLY_BUDGET_USD="100", BUDGET_CACHE_SECONDS=str(DAY.total_seconds()))
    assert services.slots[JobDevice.GPU].hold("execution/a", DAY)
    handle(services, cloud.drop(AUDIO, "first.wav"))
    upload = cloud.drop(AUDIO)
    with cloud.storage_server.counted() as calls:
        handle(services, upload)
    assert [call.method for call in calls if call.name.startswith("ledger/")] == ["POST"]


def test_an_upload_that_is_queued_takes_eight_calls_while_others_come(cloud: LoopbackCloud, services: Services) -> None:
    assert services.slots[JobDevice.GPU].hold("execution/a", DAY)
    handle(services, cloud.drop(AUDIO, "first.wav"))
    upload = cloud.drop(AUDIO)
    with cloud.storage_server.counted() as calls:
        handle(services, upload)
    assert Counter((call.method, call.name.replace(upload.job_id, "JOB")) for call in calls) == {
        ("GET", "jobs/JOB/record.json"): 1,
        ("POST", "open/JOB.json"): 1,
        # Claimed, and queued.
        ("POST", "jobs/JOB/record.json"): 2,
        # Its options; its header.
        ("GET", upload.name): 2,
        ("PATCH", "open/JOB.json"): 1,
        # A launch looks anew.
        ("LIST", "executions/gpu/slot-"): 1,
    }


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({}, {}),
        ({"MONTHLY_BUDGET_USD": "100"}, {}),
        ({"GATHER_SECONDS": "600"}, {}),
        ({}, {"transcribe-language": "en", "transcribe-speakers": "on"}),
    ],
    ids=["plain", "a budget", "waits for company", "options"],
)
def test_the_first_worker_claims_by_one_write(
    cloud: LoopbackCloud, make_services: MakeServices, settings: dict[str, str], options: dict[str, str]
) -> None:
    """The item says all that the record says, so nothing is read."""
    services = make_services(**settings)
    handle(services, cloud.drop(AUDIO, metadata=options))
    (item,) = cloud.work_items()
    job, unclaimed = services.jobs.load(item.job_id), unclaimed_job(item)
    assert job is not None
    assert unclaimed is not None
    assert unclaimed.changed(holder=job.record.holder, lease_until=job.record.lease_until) == job
