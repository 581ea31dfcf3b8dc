"""However workers, function, reconciler and re-runs step through each other, every run of every upload ends once.

A hypothesis state machine over the production job records, shards, claims, checkpoints, bills and finisher, in a
loopback cloud. A step is what one process does between two calls of others. Slots and launchers:
test_no_lost_wakeup.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from gpu_job.worker.services import JobServices
from infra.recordings import recording
from shared.clock import now
from shared.enums import Outcome
from shared.media import Upload
from shared.messages import Receipt, TerminalMessage, WorkItem
from shared.objects import bucket_and_name
from shared.operations.rerun import RerunRefused, RerunRequest, begin_rerun
from shared.state.job_result import keeps_parts
from shared.state.jobs.shards import shards_progress
from shared.state.ledger_entry import EntryState, billed, month_of
from tests.support.function_services import MakeServices
from tests.support.later_attempts import let_leases_run_out
from tests.support.loopback_cloud import STATE, LoopbackCloud
from tests.support.stepped_worker import SteppedWorker
from tests.support.worker_services import worker_services
from trigger_function.handle_upload import handle
from trigger_function.reconciler.open_jobs import reconcile_all
from trigger_function.services import Services

EXAMPLES, STEPS = 8, 25
WORKERS, UPLOADS, ROUNDS = 2, 2, 12
AUDIO = recording("call").path.read_bytes()
"""19 s: three shards, where it is divided."""
SHARD_HOURS = "0.002"
WHICH = st.integers(0, 11)
"""One of several, however many there are: what is drawn must not depend on what the cloud answers."""

T = TypeVar("T")


def one_of(several: Sequence[T], which: int) -> list[T]:
    """None where there is none."""
    return [several[which % len(several)]] if several else []


@pytest.fixture
def function(make_services: MakeServices) -> Services:
    # However often nobody comes, it launches.
    return make_services(GPU_BREAKER_FAILURES="1000", SHARD_HOURS=SHARD_HOURS, SHARD_HOURS_BUSY=SHARD_HOURS)


@pytest.fixture
def whole(make_services: MakeServices) -> Services:
    return make_services(GPU_BREAKER_FAILURES="1000", SHARD_HOURS="0")


@pytest.fixture
def job(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobServices]:
    with monkeypatch.context() as patched:
        patched.setenv("JOB_GPU", "none")
        patched.setenv("CHECKPOINT_SECONDS", "0.001")
        with worker_services() as made:
            yield made


def machine(
    cloud: LoopbackCloud, function: Services, whole: Services, services: JobServices
) -> type[RuleBasedStateMachine]:
    """`function`: divides uploads; `whole`: does not."""
    names = iter(range(10**6))

    class Jobs(RuleBasedStateMachine):
        @initialize()
        def begin(self) -> None:
            self.uploads: list[Upload] = []
            self.queue: list[WorkItem] = []
            """Items that nobody has."""
            self.delivered: list[WorkItem] = []
            self.workers: list[SteppedWorker] = []
            self.all_workers: list[SteppedWorker] = []
            self.messages = defaultdict[tuple[str, int], list[TerminalMessage]](list)
            for _ in range(WORKERS):
                self.start_worker(f"transcribe-{next(names)}", 0)

        def start_worker(self, execution: str, attempt: int) -> SteppedWorker:
            worker = SteppedWorker(cloud, services, execution, attempt)
            worker.say()
            self.workers.append(worker)
            self.all_workers.append(worker)
            return worker

        def queued(self) -> None:
            """What the function published lies on the queue, in whatever order."""
            self.queue += sorted(cloud.work_items(), key=lambda item: (item.upload.generation, item.shard or 0))

        @rule(is_divided=st.booleans())
        def an_upload_comes(self, is_divided: bool) -> None:
            if len(self.uploads) < UPLOADS:
                upload = cloud.drop(AUDIO, f"calls/{next(names)}.opus")
                self.uploads.append(upload)
                handle(function if is_divided else whole, upload)
                self.queued()

        @rule(which=WHICH)
        def its_event_comes_again(self, which: int) -> None:
            for upload in one_of(self.uploads, which):
                handle(function, upload)
                self.queued()

        @rule(which=WHICH, by=WHICH)
        def an_item_is_pulled(self, which: int, by: int) -> None:
            for item in one_of(self.queue, which):
                self.queue.remove(item)
                self.delivered.append(item)
                worker = self.workers[by % WORKERS]
                worker.claim(item)
                worker.say()

        @rule(which=WHICH)
        def an_item_comes_again(self, which: int) -> None:
            self.queue += one_of(self.delivered, which)

        @rule(which=WHICH)
        def a_worker_beats(self, which: int) -> None:
            self.workers[which % WORKERS].beat()

        @rule(which=WHICH, by=WHICH, fails=st.sampled_from([False, False, False, True]))
        def a_job_or_shard_ends(self, which: int, by: int, fails: bool) -> None:
            worker = self.workers[by % WORKERS]
            for job in one_of(worker.jobs.all(), which):
                if fails:
                    worker.give_back(job)
                elif (to_assemble := worker.end(job)) is not None:
                    self.queue.append(to_assemble)
            worker.say()

        @rule(which=WHICH)
        def a_worker_is_killed(self, which: int) -> None:
            """Its items come again, and Cloud Run tries its task again."""
            task = self.workers.pop(which % WORKERS).services.task
            again = self.start_worker(task.execution, task.attempt + 1)
            again.book_killed()
            for item in again.own_items():
                again.claim(item)
            again.say()

        @rule(which=WHICH)
        def a_worker_is_told_to_stop(self, which: int) -> None:
            worker = self.workers.pop(which % WORKERS)
            worker.hand_over()
            worker.close()
            self.start_worker(f"transcribe-{next(names)}", 0)

        @rule()
        def leases_run_out(self) -> None:
            """Of workers, too, that are alive: they were frozen."""
            let_leases_run_out(cloud, function)

        @rule()
        def the_reconciler_ticks(self) -> None:
            reconcile_all(function)
            self.queued()

        @rule(which=WHICH)
        def a_job_is_run_again(self, which: int) -> None:
            for job_id, _ in one_of(sorted(self.messages), which):
                with suppress(RerunRefused):
                    begin_rerun(services.storage, services.jobs, job_id, RerunRequest(force=True))

        @invariant()
        def a_run_ends_once(self) -> None:
            for message in cloud.terminal_messages():
                said = self.messages[message.job_id, message.run]
                said.append(message)
                assert message == said[0]

        def teardown(self) -> None:
            """Nothing is disturbed any more: within some ticks all is over, and adds up."""
            for worker in self.workers:
                worker.hand_over()
                worker.close()
            for number in range(ROUNDS):
                let_leases_run_out(cloud, function)
                reconcile_all(function)
                self.work_off(f"transcribe-{next(names)}-{number}")
                if not cloud.names(STATE, "open"):
                    break
            self.a_run_ends_once()
            assert cloud.names(STATE, "open") == []
            for upload in self.uploads:
                self.check(upload)
            self.check_costs()

        def work_off(self, execution: str) -> None:
            worker = SteppedWorker(cloud, services, execution)
            self.all_workers.append(worker)
            waiting = cloud.work_items()
            while waiting:
                job = worker.claim(waiting.pop(0))
                to_assemble = worker.end(job) if job is not None else None
                waiting += [to_assemble] if to_assemble else []
            worker.close()

        def check(self, upload: Upload) -> None:
            """Each run has its outcome, of which message, receipt and ledger say the same."""
            stored = services.jobs.load(upload.job_id)
            assert stored is not None
            entries = {entry.id: entry for entry in services.ledger.entries(month_of(now()))}
            for run in range(1, stored.record.run + 1):
                outcome = services.jobs.outcome(upload.job_id, run)
                assert outcome is not None
                assert self.messages[upload.job_id, run][0] == outcome
                bucket, name = bucket_and_name(outcome.results["receipt.json"])
                receipt = cloud.storage.bucket(bucket).blob(name).download_as_bytes()
                assert Receipt.model_validate_json(receipt).bill == outcome.bill
                entry = entries[billed(outcome).id]
                assert (entry.state, entry.usd) == (EntryState.BILLED, outcome.bill.usd)
                assert outcome.outcome in (Outcome.COMPLETED, Outcome.FAILED)
            last = services.jobs.outcome(upload.job_id, stored.record.run)
            if last is not None and not keeps_parts(last):
                assert cloud.names(STATE, f"jobs/{upload.job_id}/parts/") == []
            if stored.record.shards:
                assert shards_progress(services.jobs, stored.record).left == ()

        def check_costs(self) -> None:
            """Bills and overhead are what the workers cost: of one that was killed, as it last said."""
            executions = {worker.services.task.execution for worker in self.all_workers}
            jobs = {upload.job_id for upload in self.uploads}
            booked = sum(
                entry.usd - (entry.possibly_usd if entry.state is EntryState.OVERHEAD else 0.0)
                for entry in services.ledger.entries(month_of(now()))
                if entry.id.partition(".")[0] in jobs
                or (
                    (entry.execution or "").removeprefix("executions/").partition("/")[0] in executions
                    and entry.state is EntryState.OVERHEAD
                )
            )
            assert booked == pytest.approx(sum(worker.spent_usd for worker in self.all_workers))

    return Jobs


def test_every_run_ends_once_and_its_costs_are_added_once(
    cloud: LoopbackCloud, function: Services, whole: Services, job: JobServices
) -> None:
    run_state_machine_as_test(
        machine(cloud, function, whole, job),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            # Each step is several calls over HTTP: a failure is shown as it was found.
            phases=[Phase.generate],
        ),
    )
