"""What has gathered for an execution: uploads on a job's queue for which none was started yet.

One object for each job, `gathering/gpu.json` and `gathering/cpu.json`, changed by compare-and-swap. It only brings
launches forward: each upload's record says until when it waits (`JobRecord.gather_until`), and the reconciler starts an
execution then, whatever became of this object.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from google.cloud.storage import Bucket
from pydantic import BaseModel, ConfigDict, Field

from shared import objects
from shared.clock import now
from shared.costs.gathering import Queue
from shared.costs.speeds import SpeedStore
from shared.enums import JobDevice
from shared.errors import best_effort

LEAST_COMPANY_SECONDS = 1.0
"""What nobody's coming is learned as: figures are above 0."""


class GatheringUpload(BaseModel):
    """One upload that waits for company."""

    model_config = ConfigDict(frozen=True)

    job_id: str
    audio_seconds: Annotated[float, Field(ge=0)]
    until: datetime
    """When it has waited long enough."""


class Gathered(BaseModel):
    """All uploads that wait for company."""

    model_config = ConfigDict(frozen=True)

    uploads: tuple[GatheringUpload, ...] = ()

    @property
    def audio_seconds(self) -> float:
        """Audio of all of them."""
        return sum(upload.audio_seconds for upload in self.uploads)

    def with_upload(self, upload: GatheringUpload) -> Gathered:
        """These and one more; an upload is counted once."""
        others = tuple(one for one in self.uploads if one.job_id != upload.job_id)
        return Gathered(uploads=(*others, upload))

    def is_due(self, at: datetime, audio_seconds: float) -> bool:
        """Whether there is so much audio, or one has waited long enough."""
        return self.audio_seconds >= audio_seconds or any(upload.until <= at for upload in self.uploads)

    @property
    def company_seconds(self) -> float:
        """Audio of the others that came after the first one."""
        return sum(upload.audio_seconds for upload in self.uploads[1:])

    def queue(self, at: datetime, company_seconds: float) -> Queue:
        """The queue that the next upload finds while no execution runs."""
        due = min((upload.until for upload in self.uploads), default=None)
        return Queue(
            waiting_seconds=self.audio_seconds,
            due_seconds=None if due is None else max(timedelta(), due - at).total_seconds(),
            company_seconds=company_seconds,
        )


class Gathering:
    """What has gathered for one job, in the state bucket."""

    def __init__(self, state: Bucket, device: JobDevice, speeds: SpeedStore) -> None:
        self._state = state
        self._name = f"gathering/{device}.json"
        self._figure = f"company_seconds/{device}"
        self._speeds = speeds

    def queue(self, most_seconds: float) -> Queue:
        """The queue that the next upload finds while no execution runs.

        `most_seconds`: audio with which one starts at once; so much company is expected until less has come.
        """
        found = objects.read_json(self._state, self._name, Gathered(), replace_unreadable=True)
        return found.queue(now(), self._speeds.usual(self._figure, most_seconds))

    def add(self, upload: GatheringUpload) -> Gathered:
        """With one more. Raises StateConflict, and what the storage client raises."""
        return objects.update_json(
            self._state, self._name, Gathered(), lambda before: before.with_upload(upload), replace_unreadable=True
        )

    def started(self) -> None:
        """An execution was started, which takes all of them. Raises nothing: a later start is only too early then."""
        taken = Gathered()

        def empty(before: Gathered) -> Gathered:
            nonlocal taken
            taken = before
            return Gathered()

        with best_effort("what had gathered was not cleared"):
            objects.update_json(self._state, self._name, Gathered(), empty, replace_unreadable=True)
            if taken.uploads:
                self._speeds.observe({self._figure: max(LEAST_COMPANY_SECONDS, taken.company_seconds)})
