"""The GPU that tasks of the job run on, as the last one that loaded its model there reported it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from google.cloud.storage import Bucket
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared import objects

_NAME = "health/gpu-device.json"


class GpuReport(BaseModel):
    """What a task found in its instance."""

    model_config = ConfigDict(frozen=True)

    name: str
    count: Annotated[int, Field(ge=0)]
    memory_gb: Annotated[float, Field(ge=0)]
    """Of one of them, in 10^9 bytes."""
    reported_at: datetime


def store_gpu_report(state: Bucket, report: GpuReport) -> None:
    """The newest stands. Raises what the storage client raises."""
    objects.write(state, _NAME, report.model_dump_json().encode())


def last_gpu_report(state: Bucket) -> GpuReport | None:
    """None: no task had a GPU yet, or its report cannot be read."""
    stored = objects.read(state, _NAME)
    try:
        return GpuReport.model_validate_json(stored.data) if stored else None
    except ValidationError:
        return None
