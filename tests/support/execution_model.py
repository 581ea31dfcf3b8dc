"""Launchers, workers and a queue, stepped by a test: slots and launcher are the production code's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from google.cloud.storage import Bucket

from shared.clock import now
from shared.costs.launch_plan import LaunchRules
from shared.costs.speeds import DeviceSpeed
from shared.enums import JobDevice
from shared.errors import FailureKind, LaunchFailed
from shared.media import Upload
from shared.state.backlog import QueuedUploads
from shared.state.execution_slots import ExecutionSlots, HeldSlot, TakenWork
from shared.state.jobs.open_markers import QueuedUpload
from shared.state.jobs.store import JobStore
from shared.state.launcher import Launcher, LaunchResult

TERM = timedelta(hours=1)
SPEED = DeviceSpeed(startup_seconds=1.0, x_real_time=1.0)
DRAIN_SECONDS = 10.0


@dataclass
class ModelWorker:
    """A worker as `gpu_job/worker/worker.py` behaves, one step at a time."""

    name: str
    held: HeldSlot | None = None
    jobs: list[str] = field(default_factory=list)
    has_released: bool = False
    """Whether it gave its slot up and has still to look at the queue once more."""


class ModelDeployment:
    """One job's executions. While Cloud Run is asked to start one, `meanwhile` is called; it says what is answered."""

    def __init__(self, bucket: Bucket, count: int, meanwhile: Callable[[], FailureKind | None]) -> None:
        self.slots = ExecutionSlots(bucket, JobDevice.CPU, count)
        self.jobs = JobStore(bucket)
        self.count = count
        self.queue: list[str] = []
        """Job ids of the items that no worker has."""
        self.coming: list[str] = []
        """Executions that were accepted and have still to start."""
        self.workers: dict[str, ModelWorker] = {}
        self.launches_failed = 0
        self._meanwhile = meanwhile
        self._started = 0
        self._uploads = 0

    def run(self, job: str) -> str:
        """Cloud Run: others go on while it answers."""
        refusal = self._meanwhile()
        if refusal is not None:
            self.launches_failed += 1
            raise LaunchFailed("refused", refusal)
        self._started += 1
        name = f"{job}-{self._started}"
        self.coming.append(name)
        return name

    def launcher(self) -> Launcher:
        """As another process has one: with a cache of its own."""
        return Launcher(
            runner=self,
            job="job",
            device=JobDevice.CPU,
            slots=self.slots,
            queued=QueuedUploads(self.jobs),
            rules=LaunchRules(self.count, DRAIN_SECONDS),
            speed=lambda: SPEED,
            term=TERM,
        )

    def drop(self, audio_seconds: float) -> LaunchResult:
        """What the function does with an upload: marker, item, launch."""
        self._uploads += 1
        upload = Upload(bucket="uploads", name=f"{self._uploads}.wav", generation=self._uploads)
        assert self.jobs.claim(upload, "function", TERM)
        self.queue.append(upload.job_id)
        queued = QueuedUpload(device=JobDevice.CPU, audio_seconds=audio_seconds, queued_at=now())
        self.jobs.markers.mark_queued(upload.job_id, queued)
        return self.launcher().launch()

    def start(self, execution: str) -> None:
        """The execution's process begins: it takes a slot over."""
        self.coming.remove(execution)
        self.workers[execution] = ModelWorker(execution, self.slots.hold(f"{execution}/0", TERM))

    def pull(self, worker: ModelWorker) -> None:
        """Take an item, if there is one; with its next heartbeat the slot says so."""
        if self.queue:
            worker.jobs.append(self.queue.pop(0))
            self.renew(worker)

    def renew(self, worker: ModelWorker) -> None:
        """A heartbeat."""
        if worker.held is not None:
            worker.held = self.slots.renew(worker.held, TERM, TakenWork(tuple(worker.jobs)))

    def work_off(self, worker: ModelWorker) -> None:
        """Take and end everything; then give the slot up, and `look_again` follows."""
        while self.queue:
            self.pull(worker)
        for job_id in worker.jobs:
            self.jobs.markers.close(job_id)
        worker.jobs.clear()
        if worker.held is not None:
            self.slots.release(worker.held)
        worker.held = None
        worker.has_released = True

    def look_again(self, worker: ModelWorker) -> None:
        """The last look: a worker that finds something holds a slot again, where one is free; else it ends."""
        worker.has_released = False
        if not self.queue:
            del self.workers[worker.name]
            return
        worker.held = self.slots.hold(f"{worker.name}/0", TERM)
        self.pull(worker)

    @property
    def is_at_rest(self) -> bool:
        """Whether nobody is there to take the queue's items."""
        return not self.coming and not self.workers
