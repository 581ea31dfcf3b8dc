"""How often the worker calls Cloud Storage for an upload: what a month of a million uploads multiplies."""

from __future__ import annotations

from collections import Counter

import pytest

from gpu_job.worker.subscription import WorkSubscription
from shared.enums import ResultFormat
from tests.support.fixed_word_worker import fixed_word_services, queued, worker
from tests.support.loopback_cloud import RESULTS, WORK_TOPIC, LoopbackCloud

OF_EXECUTION = ("executions/", "open-executions/", "health/", "speeds.json")
"""Objects that an execution reads and writes however many uploads it does."""


@pytest.mark.parametrize(
    ("formats", "calls_of_upload"),
    [
        pytest.param(tuple(ResultFormat), 13, id="every format"),
        pytest.param((ResultFormat.DEEPGRAM, ResultFormat.SRT, ResultFormat.HTML), 9, id="three formats"),
        pytest.param((), 6, id="transcript.json alone"),
    ],
)
def test_an_upload_takes_five_calls_and_one_for_each_file_of_its_transcript(
    cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch, formats: tuple[ResultFormat, ...], calls_of_upload: int
) -> None:
    monkeypatch.setenv("WORK_IDLE_SECONDS", "0")
    monkeypatch.setenv("WORK_SUBSCRIPTION", f"{WORK_TOPIC}-test")
    monkeypatch.setenv("JOB_GPU", "none")
    # No heartbeat before it ends, however slow this machine is.
    monkeypatch.setenv("HEARTBEAT_SECONDS", "3600")
    monkeypatch.setenv("LEASE_SECONDS", "86400")
    monkeypatch.setenv("RESULT_FORMATS", ", ".join(("transcript.json", *formats)))
    with fixed_word_services() as services:
        job = queued(cloud, services, "call.opus")
        with cloud.storage_server.counted() as calls:
            assert worker(services, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()
    upload = job.record.upload
    found = Counter((call.method, call.name.replace(job.id, "JOB")) for call in calls)
    day = f"{job.record.received_at:%Y-%m/%d}"
    folder = f"{upload.name}/{upload.generation}/"
    outcome = services.jobs.outcome(job.id)
    assert outcome is not None
    files = ["transcript.json", *formats]
    assert (
        {*outcome.results} == {*files, "receipt.json"} == {name.removeprefix(folder) for name in cloud.names(RESULTS)}
    )
    of_upload = {
        call: count
        for call, count in found.items()
        if not call[1].startswith(OF_EXECUTION) and not (call[1].startswith("ledger") and "JOB" not in call[1])
    }
    assert sum(of_upload.values()) == calls_of_upload
    assert of_upload == {
        # What the item says of its record is written to without a look.
        ("POST", "jobs/JOB/record.json"): 1,
        ("GET", upload.name): 1,
        **{("POST", f"{folder}{file}"): 1 for file in files},
        ("POST", f"{folder}receipt.json"): 1,
        ("POST", "jobs/JOB/outcome.json"): 1,
        # It takes the marker's place.
        ("POST", f"ledger/{day}/JOB"): 1,
    }
    assert not services.jobs.markers.is_open(job.id)
    # The first word of what the task costs, and the one that names the upload, for it is alone and no beat came.
    assert sum(count for (method, name), count in found.items() if (method, name[:5]) == ("POST", "open-")) == 2
