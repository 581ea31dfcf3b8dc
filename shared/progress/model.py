"""How far a job is, as everybody is told: the API's answer, the events on Pub/Sub and every bar are this one model."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.enums import JobDevice, Method, Outcome
from shared.media import Upload
from shared.messages import TerminalMessage

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Stage(StrEnum):
    """What happens to a job, in the order in which it does. A job that is tried again goes back to `queued`."""

    ACCEPTED = "accepted"
    """It was submitted, and its event has not arrived yet. As the API says it alone: before there is a record."""
    CLAIMED = "claimed"
    """The upload's event was taken."""
    INSPECTED = "inspected"
    """Length and codec are known, and what will transcribe it is decided."""
    QUEUED = "queued"
    """It waits for an execution of a job."""
    STARTED = "started"
    """A worker has it, and fetches it."""
    DECODING = "decoding"
    """Some of it is decoded, and nothing transcribed yet."""
    TRANSCRIBING = "transcribing"
    """Decoding goes on beside it."""
    ASSEMBLING = "assembling"
    """Every part is transcribed: what has no words is looked at again, and the transcript is written."""
    DONE = "done"
    """It has its outcome."""


class Progress(BaseModel):
    """How far a job was at one moment. Later ones may be less far: after a worker's death, say."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    job_id: str
    run: Annotated[int, Field(ge=1)] = 1
    upload: Upload
    stage: Stage
    at: datetime
    """When it was so: a subscriber drops what is older than what it has."""
    received_at: datetime
    decoded: Share = 0.0
    """Share of the upload that is decoded."""
    transcribed: Share = 0.0
    """Share of the upload that is transcribed: the length of a bar."""
    transcribed_seconds: Seconds = 0.0
    """Audio that is transcribed."""
    audio_seconds: Seconds | None = None
    """Length of the upload, as its header has it; None: not inspected yet."""
    x_real_time: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Audio that is transcribed in a second, as measured in the last minute; None: too early to tell."""
    expected_at: datetime | None = None
    """When the transcript is expected: by the measured speed, and before there is one by the decision's quote, which is
    made from learned speeds. None: nobody knows, or it takes longer than was expected."""
    executions: Annotated[int, Field(ge=0)] = 0
    """Workers that have it, or a shard of it."""
    shards: Annotated[int, Field(ge=0)] = 0
    """How many parts it is divided into; 0: it is not."""
    shards_done: Annotated[int, Field(ge=0)] = 0
    method: Method | None = None
    """None: nothing is decided yet."""
    device: JobDevice | None = None
    """Of the job that transcribes it; None: Deepgram alone."""
    attempts: Annotated[int, Field(ge=0)] = 0
    """How often a worker began with it, the shards' workers not counted."""
    outcome: Outcome | None = None
    """Where it is done."""
    reason: str | None = None
    """Of an outcome that is no whole transcript, in one sentence."""

    @property
    def is_done(self) -> bool:
        """Whether it has its outcome: nothing comes behind this."""
        return self.stage is Stage.DONE

    def seconds_left(self, at: datetime) -> float | None:
        """Until the transcript is expected; None where that is not known, or should have been before `at`."""
        if self.expected_at is None or self.expected_at < at:
            return None
        return (self.expected_at - at).total_seconds()

    def attributes(self) -> dict[str, str]:
        """Pub/Sub attributes, for subscription filters."""
        return {
            "job_id": self.job_id,
            "stage": self.stage.value,
            "bucket": self.upload.bucket,
            "schema_version": str(self.schema_version),
        }


def progress_of_outcome(outcome: TerminalMessage) -> Progress:
    """Of a job that is done."""
    seconds = outcome.media.duration_seconds if outcome.media else None
    share = 1.0 if outcome.coverage is not None else 0.0
    return Progress(
        job_id=outcome.job_id,
        run=outcome.run,
        upload=outcome.upload,
        stage=Stage.DONE,
        at=outcome.finished_at,
        received_at=outcome.received_at,
        decoded=share,
        transcribed=share,
        transcribed_seconds=share * (seconds or 0.0),
        audio_seconds=seconds,
        method=outcome.decision.method if outcome.decision else None,
        device=outcome.decision.device if outcome.decision else None,
        outcome=outcome.outcome,
        reason=outcome.reason,
    )
