"""Settings of the job that contradict each other."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gpu_job.settings import JobSettings

PLACES = {"google_cloud_project": "p", "results_bucket": "results", "state_bucket": "state"}


@pytest.mark.parametrize(
    "settings",
    [
        {"heartbeat_seconds": 50, "lease_seconds": 90},
        {"stop_margin_seconds": 100, "task_timeout_seconds": 100},
        {"chunk_seconds": 0},
    ],
)
def test_contradictions_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        JobSettings(**PLACES, **settings)


@pytest.mark.parametrize(("gpu", "billed"), [("nvidia-l4", "nvidia-l4"), ("none", None)])
def test_hardware_without_a_gpu_is_billed_without_one(gpu: str, billed: str | None) -> None:
    assert JobSettings(**PLACES, job_gpu=gpu).shape.gpu == billed


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [({}, 30), ({"chunk_duration_minutes": 2}, 120), ({"chunk_duration_minutes": 2, "chunk_seconds": 20}, 20)],
)
def test_the_older_name_of_the_chunk_length_still_works(settings: dict[str, float], seconds: float) -> None:
    assert JobSettings(**PLACES, **settings).chunk_seconds == seconds


@pytest.mark.parametrize(
    ("settings", "chunks"),
    [
        ({"gpu_batch_size": 8}, 8),
        ({"gpu_batch_size": 8, "max_concurrent_chunks": 4}, 4),
        ({"gpu_batch_size": 8, "max_concurrent_chunks": 16}, 8),
        ({"gpu_batch_size": 8, "enable_batch_processing": False}, 1),
    ],
)
def test_the_smallest_limit_of_a_batch_holds(settings: dict[str, object], chunks: int) -> None:
    assert JobSettings(**PLACES, **settings).max_batch_chunks == chunks
