"""Launches are counted by job, failed ones by their kind too."""

from __future__ import annotations

from shared.enums import JobDevice
from tests.support.loopback_cloud import LoopbackCloud
from tests.support.recorded_metrics import RecordedMetrics, labels
from trigger_function.launch import launch
from trigger_function.services import Services


def test_launches_and_failed_ones_are_counted(
    cloud: LoopbackCloud, services: Services, recorded_metrics: RecordedMetrics
) -> None:
    cloud.runner.refuse_next(1, 429)
    # Refused, started, and left to the one that runs.
    assert [launch(services, JobDevice.GPU, "job") for _ in range(3)] == [False, True, True]
    assert recorded_metrics.collect() == {
        ("dropscribe.launches.failed", labels(job_name="gpu", kind="quota")): 1,
        ("dropscribe.launches", labels(job_name="gpu")): 1,
    }
