"""How often the function calls Cloud Storage for an upload: what a month of a million uploads multiplies."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from infra.recordings import recording
from shared.enums import JobDevice
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import LoopbackCloud
from trigger_function.handle_upload import handle
from trigger_function.services import Services

AUDIO = recording("memo.wav").path.read_bytes()


def test_a_budget_takes_one_call_more_the_reservation(cloud: LoopbackCloud, make_services: MakeServices) -> None:
    services = make_services(MONTHLY_BUDGET_USD="100")
    assert services.slots[JobDevice.GPU].hold("execution/a", timedelta(hours=1))
    handle(services, cloud.drop(AUDIO, "first.wav"))
    upload = cloud.drop(AUDIO)
    with cloud.storage_server.counted() as calls:
        handle(services, upload)
    assert [call.method for call in calls if call.name.startswith("ledger/")] == ["POST"]


def test_an_upload_that_is_queued_takes_eight_calls_while_others_come(cloud: LoopbackCloud, services: Services) -> None:
    assert services.slots[JobDevice.GPU].hold("execution/a", timedelta(hours=1))
    handle(services, cloud.drop(AUDIO, "first.wav"))
    upload = cloud.drop(AUDIO)
    with cloud.storage_server.counted() as calls:
        handle(services, upload)
    seen = Counter((call.method, call.name.replace(upload.job_id, "JOB")) for call in calls)
    # What was seen for the upload before serves this one, too; anew where that was seconds ago.
    assert seen.pop(("LIST", "executions/gpu/slot-")) in {1, 2}
    assert (
        seen.pop(("LIST", "open/"), 0) + seen.pop(("GET", "health/gpu.json"), 0) + seen.pop(("GET", "speeds.json"), 0)
        <= 3
    )
    assert seen == {
        ("GET", "jobs/JOB/record.json"): 1,
        ("POST", "open/JOB.json"): 1,
        # Claimed, and queued.
        ("POST", "jobs/JOB/record.json"): 2,
        # Its options; its header.
        ("GET", upload.name): 2,
        ("PATCH", "open/JOB.json"): 1,
    }
