"""A worker without an engine, whose steps a test takes one at a time: claims, heartbeats and ends are the production
code's."""

from __future__ import annotations

import zlib

from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.engines.chain import EngineChain
from gpu_job.worker.attempt_end import AttemptEnd
from gpu_job.worker.billing.bills import Billing
from gpu_job.worker.billing.meter import Meter
from gpu_job.worker.heartbeat import Heartbeat
from gpu_job.worker.jobs.claim import claim, own_items
from gpu_job.worker.jobs.running_job import JobOwner, RunningJob
from gpu_job.worker.jobs.running_jobs import RunningJobs
from gpu_job.worker.services import JobServices
from gpu_job.worker.subscription import WorkSubscription
from shared.clock import now
from shared.costs.shard_plan import Shard
from shared.enums import Engine
from shared.messages import WorkItem
from shared.state.job_result import completed
from shared.state.jobs.shards import shards_progress
from tests.support.later_attempts import book_what_is_left, one_word
from tests.support.loopback_cloud import STATE, WORK_TOPIC, LoopbackCloud
from tests.support.worker_services import as_task, running_job

CAPACITY = 4


class SteppedWorker(JobOwner):
    """One attempt at a task. Each of its steps takes a second of its life; the test gives items back to the queue."""

    def __init__(self, cloud: LoopbackCloud, services: JobServices, execution: str, attempt: int = 0) -> None:
        self._cloud = cloud
        # A part of a second that no other one has: no two real ones live equally long.
        self._lived_seconds = 1.0 + zlib.crc32(f"{execution}/{attempt}".encode()) / 2**32
        self.services = as_task(services, execution, attempt)
        self.jobs = RunningJobs(CAPACITY)
        self.billing = Billing(Meter(0.0), self.services, clock=lambda: self._lived_seconds)
        self.spent_usd = 0.0
        """What it cost, as it last said."""
        self._heartbeat = Heartbeat(self.services, self.jobs, self.billing)
        subscription = WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))
        self._end = AttemptEnd(self.services, subscription, self.billing, EngineChain(), self.jobs)

    def say(self) -> None:
        """What it costs, as with each beat."""
        self._see_costs()
        self.billing.record_execution()

    def _see_costs(self) -> None:
        self.spent_usd = self.billing.task_costs().spent_usd

    @property
    def lived_usd(self) -> float:
        """What it cost until now, whoever knows."""
        return self.billing.task_costs().spent_usd

    def book_killed(self) -> None:
        """What earlier attempts at its task cost, as a worker that begins does."""
        task = self.services.task
        for costs in self.services.execution_costs.running(task.execution):
            if costs.attempt < task.attempt:
                self.services.execution_costs.close_killed(costs, now())

    def own_items(self) -> list[WorkItem]:
        """What a killed attempt before it was at."""
        return [*own_items(self.services)]

    def claim(self, item: WorkItem) -> RunningJob | None:
        """Begin a job or shard, where it is this worker's to do."""
        self._lived_seconds += 1
        if self.jobs.of(item) is not None or self.jobs.free <= 0:
            return None
        claimed = claim(self.services, item, alone=not len(self.jobs)).claimed
        if claimed is None:
            return None
        job = running_job(claimed, owner=self)
        self.billing.open(job)
        self.jobs.add(job)
        return job

    def beat(self) -> None:
        """Every job has one chunk more; a heartbeat that stores them."""
        self._lived_seconds += 1
        for job in self.jobs.all():
            start = 0 if job.shard is None else job.shard.start * SAMPLE_RATE
            job.chunk_transcribed(ChunkResult(start, start + SAMPLE_RATE, Engine.PARAKEET_CPU))
        self._see_costs()
        self._heartbeat.tick()

    def end(self, job: RunningJob) -> WorkItem | None:
        """The job or shard is done; the item of a job that is to be assembled, where this was its last shard."""
        self._lived_seconds += 1
        last: list[WorkItem] = []
        if job.shard is None:
            if job.record.shards and not job.is_ended:
                self._check_parts(job)
            self._end.finish_job(job, completed(one_word(job.upload)))
        else:
            whole = WorkItem(job_id=job.job_id, upload=job.upload, media=job.media, decision=job.decision)
            self._end.finish_shard(job, job.shard, lambda _: last.append(whole))
        return next(iter(last), None)

    def give_back(self, job: RunningJob) -> None:
        """The attempt fails, and counts."""
        self._lived_seconds += 1
        self._end.give_back(job, "The engine failed.")

    def hand_over(self) -> None:
        """Told to stop."""
        self._lived_seconds += 1
        self._end.hand_over(self.jobs.all())

    def close(self) -> None:
        """The worker ends in peace: it runs nothing."""
        self._see_costs()
        self.billing.close_execution()

    def _check_parts(self, job: RunningJob) -> None:
        """Nothing is assembled while a part is missing for which no reason is known."""
        progress = shards_progress(self.services.jobs, job.record)
        assert progress.left == ()
        stored = self._cloud.names(STATE, f"jobs/{job.job_id}/parts/")
        for shard in job.record.shards:
            assert shard.number in progress.missing or any(_is_part(name, job, shard) for name in stored), stored

    # As its jobs see it.

    def job_complete(self, job: RunningJob) -> None:
        """The test says when."""

    def job_broke(self, job: RunningJob, error: Exception) -> None:
        """No engine says so."""

    def claim_lost(self, job: RunningJob) -> None:
        """Drop it."""
        self._end.abandon(job)


def end_killed_work(cloud: LoopbackCloud, services: JobServices, execution: str, item: WorkItem) -> None:
    """The next attempt at a killed worker's task ends what that was at; the reconciler books what is left."""
    again = SteppedWorker(cloud, services, execution, attempt=1)
    again.book_killed()
    # Its own jobs at once; the item comes again once its deadline is over.
    for one in [*again.own_items(), item]:
        begun = again.claim(one)
        if begun is not None:
            again.end(begun)
    again.close()
    book_what_is_left(services)


def _is_part(name: str, job: RunningJob, shard: Shard) -> bool:
    return f"/{job.record.run}.{shard.number}/part-" in name
