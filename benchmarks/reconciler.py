"""One tick of the reconciler over many open jobs: its calls to Cloud Storage, and its time.

The storage server runs in this process, so a call takes this machine's time, not a network's: the calls are the figure.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

from benchmarks.counted_storage import Call, CountedStorageServer, by_purpose
from benchmarks.report import Measurement
from infra.process_environment import environment
from shared.clock import now
from shared.enums import JobDevice, Method
from shared.media import Media, Upload
from shared.messages import Decision
from shared.state.jobs.open_markers import QueuedUpload
from shared.state.jobs.record import JobState
from trigger_function.reconciler.open_jobs import reconcile_all
from trigger_function.services import Services, services_from_environment

NEW, QUIET = 10_000, 1_000
AGO = timedelta(hours=1) - timedelta(minutes=1)
"""Longer than QUEUE_PATIENCE_SECONDS, shorter than a queue that is worked on may take."""
MEDIA = Media(container="mp3", codec="mp3", duration_seconds=480, sample_rate_hz=8000, channels=1, size_bytes=3_840_000)
DECISION = Decision(method=Method.PARAKEET, rule="cost", reason="Cheapest.", device=JobDevice.GPU)
STATE = "state"


def reconciler() -> Iterator[Measurement]:
    """All executions are at work; the uploads wait on their queue."""
    for count, ago, what in ((NEW, timedelta(), "queued a moment ago"), (QUIET, AGO, "queued an hour ago")):
        with _services() as (services, server):
            assert services.slots[JobDevice.GPU].hold("execution/0", timedelta(hours=1))
            _queue(services, ago, 0)
            (first,) = services.state.list_blobs(prefix="open/")
            more = partial(_queue, services, ago) if ago else partial(_copy_marker, services, first.metadata)
            with ThreadPoolExecutor(4) as threads:
                list(threads.map(more, range(1, count)))
            before, began = len(server.calls), time.monotonic()
            done = reconcile_all(services)
            seconds, calls = time.monotonic() - began, server.calls[before:]
            yield _row(count, what, done, seconds, calls)


def _row(count: int, what: str, done: dict[str, int], seconds: float, calls: Sequence[Call]) -> Measurement:
    purposes = ", ".join(f"{purpose} {number}" for purpose, number in by_purpose(calls).most_common())
    counts = ", ".join(f"{number} {name}" for name, number in Counter(done).most_common())
    about = f"{purposes}; {seconds:.1f} s; {counts}"
    aim = 0.05 if what.endswith("moment ago") else 4
    each = len(calls) / count
    name = f"reconciler: calls to storage a waiting upload, {count:,} {what}"
    return Measurement(name, each, "", about, f"<= {aim}", each <= aim)


def _queue(services: Services, ago: timedelta, number: int) -> None:
    upload = Upload(bucket="uploads", name=f"{number}.mp3", generation=number + 1)
    job = services.jobs.claim(upload, "bench", timedelta(minutes=10))
    assert job is not None
    # As its lease is where the patience with it has ended.
    services.jobs.save(job, state=JobState.QUEUED, lease_until=now() - ago, media=MEDIA, decision=DECISION)
    queued = QueuedUpload(device=JobDevice.GPU, audio_seconds=MEDIA.duration_seconds, queued_at=now() - ago)
    services.jobs.markers.mark_queued(job.id, queued)


def _copy_marker(services: Services, metadata: dict[str, str], number: int) -> None:
    """One more upload, of which a tick is to read no more than the marker: there is no more of it."""
    blob = services.state.blob(f"open/{number}.json")
    blob.metadata = metadata
    blob.upload_from_string(b"{}", content_type="application/json")


@contextmanager
def _services() -> Iterator[tuple[Services, CountedStorageServer]]:
    with tempfile.TemporaryDirectory() as folder, CountedStorageServer(Path(folder)) as server:
        settings = {
            "STORAGE_EMULATOR_HOST": server.url,
            "PUBSUB_EMULATOR_HOST": "127.0.0.1:9",
            "RUN_ENDPOINT": "http://127.0.0.1:9",
            "GOOGLE_CLOUD_PROJECT": "bench",
            "GPU_JOB": "projects/bench/locations/here/jobs/gpu",
            "RESULTS_BUCKET": "results",
            "STATE_BUCKET": STATE,
            "LOG_LEVEL": "ERROR",
        }
        with environment({**os.environ, **settings}):
            services_from_environment.cache_clear()
            try:
                services = services_from_environment()
                services.storage.create_bucket(STATE)
                yield services, server
            finally:
                services_from_environment.cache_clear()
