"""The job record: who works on an upload, or on a shard of it, until when, and what was learned and decided."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.costs.bill import Bill
from shared.costs.shard_plan import Shard, shard_work_id
from shared.enums import Method
from shared.errors import FailureKind
from shared.media import Media, Upload
from shared.messages import Decision
from shared.options.model import UploadOptions


def new_holder(who: str) -> str:
    """A name for a process that holds a lease, unlike any other process's."""
    return f"{who}/{uuid.uuid4().hex[:12]}"


class JobState(StrEnum):
    """How far a job is. Terminal is not a state of the record: it is the existence of the outcome."""

    CLAIMED = "claimed"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    """Of a shard alone, and for good: its part is stored, it was given up, or its job ended without it."""


class RequestedModel(BaseModel):
    """What a re-run is to be transcribed with, whatever the upload's options and the deployment's settings say."""

    model_config = ConfigDict(frozen=True)

    method: Method
    deepgram_model: str | None = None
    """None: the deployment's."""

    def of(self, options: UploadOptions) -> UploadOptions:
        """An upload's options with what this asks for: one engine, and nobody else's opinion."""
        return options.model_copy(update={"method": self.method, "second_opinion_usd": None})

    @property
    def label(self) -> str:
        """For people: `parakeet`, `deepgram`, `deepgram nova-3`."""
        return f"{self.method} {self.deepgram_model}" if self.deepgram_model else self.method.value


class CallbackCall(BaseModel):
    """A call to Deepgram whose answer Deepgram posts to the deployment, when it is there."""

    model_config = ConfigDict(frozen=True)

    id: str
    """Random: an answer to another call, of the same job even, cannot pass for this one's."""
    called_at: datetime
    price: Bill
    """Its lines in `spent`, possibly billed."""
    decision: Decision
    """By which it was made: the record's own may be another engine's by now."""
    request_id: str | None = None
    """Deepgram's. None: nobody knows whether Deepgram took the call."""
    failure: str | None = None
    """Why there will be no answer, as Deepgram said, in one sentence."""
    failure_kind: FailureKind | None = None


class JobRecord(BaseModel):
    """Who works on an upload, or on a shard of it, until when, and what was learned and decided."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    upload: Upload
    run: Annotated[int, Field(ge=1)] = 1
    """Counts re-runs. What stands below is this run's alone, its wait limits, attempts and costs included."""
    earlier_usd: float = 0.0
    """What the runs before cost, as their outcomes say."""
    parts_run: Annotated[int, Field(ge=1)] = 1
    """The run that began with the parts that this one goes on with; `run` where it begins anew."""
    parts_options: UploadOptions | None = None
    """What had been asked when those were made; None: this run makes its own."""
    requested: RequestedModel | None = None
    state: JobState
    holder: str
    lease_until: datetime
    """When the holder counts as dead, or the queued item as lost, unless the record is written before."""
    received_at: datetime
    started_at: datetime | None = None
    attempts: int = 0
    """How often a worker began this job, except where that ended through no fault of the file: it was asked to stop
    (SIGTERM) while the job went on, a service or the disk failed, or it was killed with other uploads in it."""
    lost_attempts: int = 0
    """Of these, how many ended without a word: the worker was killed, or cut off. As far as somebody noticed."""
    faults: int = 0
    """How many attempts in a row ended because a service, the network or the disk failed."""
    retry_at: datetime | None = None
    """When it is to be tried again after such a fault, or where no execution could be started for it; None once it is
    on the queue again, or a worker has it."""
    queued_at: datetime | None = None
    """When its item was put on a queue, the last time."""
    gather_until: datetime | None = None
    """Until when it waits on the queue for company, and no execution is started for it; None: it does not."""
    dispatches: int = 0
    """How often the job was queued and no worker took it."""
    media: Media | None = None
    decision: Decision | None = None
    options: UploadOptions = UploadOptions()
    shards: tuple[Shard, ...] = ()
    """The work items that the upload is divided into; none where it is one."""
    shards_seen: int = 0
    """The newest generation of the shards' records, when its items were last published."""
    shard: Shard | None = None
    """The one whose record this is; None: it is the upload's."""
    missing: str | None = None
    """Why a shard is done without its part, in one sentence."""
    decoded_seconds: float = 0.0
    """Audio that is decoded, of a shard in its range, as of the worker's last heartbeat."""
    transcribed_seconds: float = 0.0
    """Audio that is transcribed, as of the worker's last heartbeat."""
    x_real_time: float | None = None
    """Audio that was transcribed in a second, lately, as of that heartbeat; None: too early to tell."""
    progress_at: datetime | None = None
    """When that heartbeat was; None: there was none."""
    advanced_at: datetime | None = None
    """When a heartbeat last had words that no attempt had before: one that hangs beats on."""
    deepgram_calls: int = 0
    """How often the function called Deepgram for it, whatever became of the call."""
    has_first_transcript: bool = False
    """Whether an engine transcribed it before, with fewer words than were asked for: of both the better one counts."""
    callbacks: tuple[CallbackCall, ...] = ()
    """Of these, those whose answers come by callback, the newest last."""
    spent: Bill = Bill()
    """What the attempts cost; the running one as of its last heartbeat. It has a call to Deepgram before it is made."""
    last_error: str | None = None
    """Why the last attempt ended, in one sentence."""
    traceparent: str | None = None
    """The span that took the upload's event, as W3C Trace Context writes it: later attempts go on in its trace."""

    @property
    def may_have_parts(self) -> bool:
        """Whether an earlier attempt, of this run or of the one before, may have left something."""
        return self.started_at is not None or self.parts_run < self.run

    @property
    def may_have_first_transcript(self) -> bool:
        """Whether an engine's transcript with too few words may be kept. Whoever has the job when Deepgram's answer is
        late does not know."""
        return self.has_first_transcript or (self.options.min_coverage is not None and self.deepgram_calls > 0)

    @property
    def own_parts(self) -> str:
        """The folder among the job's parts that is a shard's; empty: all of it."""
        return "" if self.shard is None else f"{self.run}.{self.shard.number}/"

    @property
    def read_parts(self) -> str:
        """The folder whose parts are of use: after another run, which may have been divided elsewhere, all of it."""
        return "" if self.parts_run < self.run else self.own_parts

    @property
    def work_id(self) -> str:
        """The name of the work whose record this is: the job's id, or a shard's name."""
        shard, job_id = self.shard, self.upload.job_id
        return job_id if shard is None else shard_work_id(job_id, shard.number, self.run)

    @property
    def lost_so_far(self) -> int:
        """`lost_attempts`, once whoever finds this record has found it without its holder."""
        return self.lost_attempts + (self.state is JobState.RUNNING)

    @property
    def attempts_so_far(self) -> int:
        """`attempts`, once whoever finds this record has found it without its holder.

        The first attempt that ends without a word is not counted: it may have run beside the file that killed the
        worker. From then on the job runs alone, and each counts.
        """
        return self.attempts - (self.state is JobState.RUNNING and not self.lost_attempts)


@dataclass(frozen=True)
class Job:
    """A record as it was read or written, with the generation that the next write must match."""

    record: JobRecord
    generation: int
    is_of_outcome: bool = False
    """Whether the stored record cannot be read, and this one is made of the outcome."""

    @property
    def id(self) -> str:
        """The job's id, or the name of the shard whose record this is."""
        return self.record.work_id

    def changed(self, **changes: Any) -> Job:
        """With a record that the next write will store."""
        return Job(self.record.model_copy(update=changes), self.generation)
