"""A thousand uploads dropped within a minute on the laptop cloud: the function on the real functions-framework, the
job's real processes, with an engine that hears nothing and waits as long as one of a stated speed would take, so that
several executions are worth it.

What a laptop cannot show is Google's capacity. It shows what the code makes of the burst: how many items and messages
there are for so many uploads, which calls to Cloud Storage, and whether waiting fails anything.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from google.api_core.exceptions import DeadlineExceeded
from google.cloud.pubsub_v1 import SubscriberClient

from benchmarks.counted_storage import Call, CountedStorageServer, by_purpose, most_writes_of_one_object
from benchmarks.report import Measurement
from infra.emulators.cloud import PROJECT, RESULTS_TOPIC, STATE, UPLOADS, WORK_TOPIC, CloudOptions, LaptopCloud
from infra.recordings import recording
from shared.enums import Outcome
from shared.messages import TerminalMessage, WorkItem
from shared.state.jobs.store import JobStore

COUNT = 1_000
DROP_SECONDS = 60.0
PATIENCE_SECONDS = 3_600.0
"""For the last outcome on a busy machine."""
AIM_FUNCTION, AIM_WORKER = 10, 12
"""Calls to Cloud Storage for an upload."""
DROPPERS = 4
"""Uploads that are written at once."""
X_REAL_TIME = 20.0
"""Of the engine: the thousand take one execution 400 s."""
EXECUTIONS = 5
SETTINGS = {
    # As in a deployment, not as on a laptop that watches one file.
    "HEARTBEAT_SECONDS": "15",
    "LEASE_SECONDS": "90",
    "CPU_MAX_PARALLEL_TASKS": f"{EXECUTIONS}",
    "CPU_X_REAL_TIME": f"{X_REAL_TIME:g}",
    "TARGET_DRAIN_MINUTES": "1.5",
    # Far shorter than the wait of the last ones: whoever takes waiting for a fault shows.
    "QUEUE_PATIENCE_SECONDS": "30",
    # A reservation for each upload, and a sum of the ledger a minute.
    "MONTHLY_BUDGET_USD": "1000",
}
BY_UPLOAD = frozenset(
    {"read the upload", "store results", "open marker", "job record", "outcome", "ledger entry"}
    | {"parts for the next attempt"}
)
"""Purposes whose calls grow with the uploads; the others' with time, executions and instances."""


class _Cloud(LaptopCloud):
    storage_server_type = CountedStorageServer
    job_command = (sys.executable, "-m", "benchmarks.null_job", f"--x-real-time={X_REAL_TIME:g}")

    def __init__(self, root: Path, options: CloudOptions) -> None:
        super().__init__(root, options)
        self.ticks = Counter[str]()
        """What the reconciler's ticks did."""

    def reconcile(self) -> dict[str, int]:
        """A tick whose counts are kept."""
        counts = super().reconcile()
        self.ticks.update(counts)
        return counts


@dataclass(frozen=True)
class Burst:
    """What came of the uploads."""

    uploads: int
    dropped_seconds: float
    """In which they were written."""
    drained_seconds: float
    """From the first one's beginning to the last outcome."""
    messages: Sequence[TerminalMessage]
    items: Sequence[WorkItem]
    waits: Sequence[float]
    """Seconds from each upload's record to its item."""
    attempts: Counter[int]
    """How often workers began an upload -> uploads."""
    events_retried: int
    executions: int
    ticks: Counter[str]
    calls: Sequence[Call]
    still_open: int
    load: float
    """Of the machine, mean of the minute before the end."""

    @property
    def outcomes(self) -> Counter[Outcome]:
        return Counter({message.job_id: message.outcome for message in self.messages}.values())


def many_uploads() -> Iterator[Measurement]:
    """The burst, and how many of what there was for it."""
    with tempfile.TemporaryDirectory() as folder:
        yield from rows(run(Path(folder), COUNT, DROP_SECONDS))


def run(root: Path, count: int, drop_seconds: float) -> Burst:
    """Drop them, and wait until every one has ended and no execution runs."""
    options = CloudOptions(deepgram=False, settings=SETTINGS)
    with _Cloud(root, options) as cloud:
        subscriber = cloud.subscriber()
        with _Listener(subscriber, WORK_TOPIC) as items, _Listener(subscriber, RESULTS_TOPIC) as messages:
            began = time.monotonic()
            _drop(cloud, count, drop_seconds)
            dropped = time.monotonic() - began
            cloud.eventarc.wait_idle(PATIENCE_SECONDS)
            ended = messages.wait(count, PATIENCE_SECONDS)
            cloud.runner.wait_idle(PATIENCE_SECONDS)
            still_open = sum(1 for _ in cloud.storage().list_blobs(STATE, prefix="open/"))
            published = [(WorkItem.model_validate_json(data), at) for data, at in items.received]
            storage = cloud.storage_server
            assert isinstance(storage, CountedStorageServer)
            calls = storage.calls
            return Burst(
                uploads=count,
                dropped_seconds=dropped,
                drained_seconds=ended - began,
                messages=[TerminalMessage.model_validate_json(data) for data, _ in messages.received],
                items=[item for item, _ in published],
                waits=[at - item.upload.generation / 1e6 for item, at in published],
                attempts=_attempts(cloud, messages.received),
                events_retried=cloud.eventarc.retried,
                executions=len(cloud.runner.executions()),
                ticks=cloud.ticks,
                calls=calls,
                still_open=still_open,
                load=os.getloadavg()[0],
            )


def _attempts(cloud: LaptopCloud, messages: Sequence[tuple[bytes, float]]) -> Counter[int]:
    jobs = JobStore(cloud.storage().bucket(STATE))
    ended = {TerminalMessage.model_validate_json(data).job_id for data, _ in messages}
    records = (jobs.load(job_id) for job_id in ended)
    return Counter(job.record.attempts for job in records if job is not None)


def _drop(cloud: LaptopCloud, count: int, seconds: float) -> None:
    """Evenly over the time, or as fast as this machine can."""
    bucket, audio, began = cloud.storage().bucket(UPLOADS), recording("memo.wav").path.read_bytes(), time.monotonic()

    def drop(number: int) -> None:
        time.sleep(max(0.0, began + seconds * number / count - time.monotonic()))
        bucket.blob(f"burst/{number:04}.wav").upload_from_string(audio, content_type="audio/wav")

    with ThreadPoolExecutor(DROPPERS, thread_name_prefix="drop") as threads:
        list(threads.map(drop, range(count)))


class _Listener:
    """Everything that a topic gets while it is entered."""

    def __init__(self, subscriber: SubscriberClient, topic: str) -> None:
        self._subscriber = subscriber
        self._subscription = subscriber.subscription_path(PROJECT, f"bench-{topic}")
        subscriber.create_subscription(name=self._subscription, topic=f"projects/{PROJECT}/topics/{topic}")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._listen, name=f"listen-{topic}")
        self.received: list[tuple[bytes, float]] = []
        """Content, and when it was published, in seconds since 1970."""

    def __enter__(self) -> _Listener:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def wait(self, count: int, seconds: float) -> float:
        """Until there is a message of so many jobs; the time on the monotonic clock. Raises TimeoutError."""
        ends = time.monotonic() + seconds
        while len({TerminalMessage.model_validate_json(data).job_id for data, _ in list(self.received)}) < count:
            if time.monotonic() > ends:
                raise TimeoutError(f"{len(self.received)} messages of {count} uploads within {seconds:g} s")
            time.sleep(1.0)
        return time.monotonic()

    def _listen(self) -> None:
        while not self._stopping.is_set():
            try:
                pulled = self._subscriber.pull(subscription=self._subscription, max_messages=1000, timeout=2)
            except DeadlineExceeded:
                continue
            ids = [one.ack_id for one in pulled.received_messages]
            self.received += [
                (one.message.data, one.message.publish_time.timestamp()) for one in pulled.received_messages
            ]
            if ids:
                self._subscriber.acknowledge(subscription=self._subscription, ack_ids=ids)


def rows(burst: Burst) -> Iterator[Measurement]:
    """What is reported of a burst."""
    name, count = f"{burst.uploads} uploads in {burst.dropped_seconds:.0f} s", burst.uploads
    outcomes = ", ".join(f"{number} {outcome}" for outcome, number in burst.outcomes.most_common())
    completed = burst.outcomes[Outcome.COMPLETED]
    about = f"{outcomes}; {len(burst.messages)} messages; {burst.still_open} still open"
    yield Measurement(f"{name}: completed", completed, "", about, "all", completed == count and not burst.still_open)
    ticks = ", ".join(f"{number} {what}" for what, number in sorted(burst.ticks.items()))
    requeued = burst.ticks["queued again"] + burst.ticks["failed"] + burst.ticks["restarted"]
    about = f"reconciler: {ticks}; {burst.events_retried} events delivered again"
    yield Measurement(f"{name}: queued again, restarted or failed by waiting", requeued, "", about, "0", not requeued)
    began = sum(attempts * uploads for attempts, uploads in burst.attempts.items())
    yield Measurement(f"{name}: begun by workers", began, "", "each once", f"{count}", burst.attempts == {1: count})
    items = len(burst.items)
    about = f"of {len({item.job_id for item in burst.items})} uploads"
    yield Measurement(f"{name}: work items", items, "", about, f"{count}", items == count)
    waits = sorted(burst.waits)
    about = f"p50 {waits[len(waits) // 2]:.1f} s, longest {waits[-1]:.1f} s"
    yield Measurement(f"{name}: upload to work item, p95", waits[int(len(waits) * 0.95)], "s", about, "-", None)
    about = f"{burst.executions} executions; load {burst.load:.0f} on {os.cpu_count()} cores"
    yield Measurement(f"{name}: drained after", burst.drained_seconds, "s", about, "-", None)
    yield from _calls(name, burst)


def _calls(name: str, burst: Burst) -> Iterator[Measurement]:
    purposes = by_purpose(burst.calls)
    each = {purpose: number / burst.uploads for purpose, number in purposes.items() if purpose in BY_UPLOAD}
    about = ", ".join(f"{purpose} {number:.2f}" for purpose, number in sorted(each.items(), key=lambda one: -one[1]))
    total, aim = sum(each.values()), AIM_FUNCTION + AIM_WORKER
    yield Measurement(f"{name}: calls to storage by the upload", total, "", about, f"<= {aim}", total <= aim)
    others = {purpose: number for purpose, number in purposes.most_common() if purpose not in BY_UPLOAD}
    about = ", ".join(f"{purpose} {number}" for purpose, number in others.items())
    yield Measurement(f"{name}: other calls to storage", sum(others.values()), "", about, "-", None)
    shared = [call for call in burst.calls if call.purpose not in BY_UPLOAD]
    written, most = most_writes_of_one_object(shared, 10.0)
    yield Measurement(f"{name}: writes of one shared object in 10 s", most, "", written, "<= 10", most <= 10)
