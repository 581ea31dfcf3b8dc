"""A decision over a month of 10,000 jobs: with a ledger that nobody listed yet, and with one that is remembered.

The storage server runs in a process of its own, as Cloud Storage does; what it takes of the time is printed beside.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path

from google.cloud.storage import Client

from benchmarks.report import Measurement
from benchmarks.timing import wall_seconds
from shared.clock import now
from shared.enums import Method
from shared.media import Media, Upload
from shared.options.model import UploadOptions
from shared.state.jobs.record import JobRecord, JobState
from shared.state.ledger import Ledger
from shared.state.ledger_entry import Entry, EntryState
from trigger_function.decide_and_reserve import current_conditions, decide_and_reserve
from trigger_function.routing.limits import UploadFacts
from trigger_function.services import Services, services_from_environment

JOBS, RUNS, WARM_RUNS = 10_000, 5, 50
STATE = "state"
_SERVER = """
import sys, tempfile
from pathlib import Path
from infra.emulators.storage.server import StorageServer
with tempfile.TemporaryDirectory() as folder, StorageServer(Path(folder)) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""
MEDIA = Media(
    container="mp3", codec="mp3", duration_seconds=1800, sample_rate_hz=16000, channels=1, size_bytes=14_400_000
)


def decision() -> Iterator[Measurement]:
    """The whole decision with a cold ledger; with a warm one, what is computed and what storage is asked."""
    with _state_bucket() as server:
        _fill(Ledger(Client(project="bench").bucket(STATE)))
        served, own = _cpu_seconds(server), time.process_time()
        cold = statistics.median(_cold() for _ in range(RUNS))
        served, own = (_cpu_seconds(server) - served) / RUNS, (time.process_time() - own) / RUNS
        peer = f"CPU: {own:.2f} s here, {served:.2f} s in the storage server"
        yield Measurement(f"decision: cold ledger of {JOBS:,} jobs", cold, "s", peer, "< 0.5 s", cold < 0.5)
        services = _fresh_services()
        computed, whole = _warm(services)
    peer = f"with health, lease and reservation in storage: {whole * 1000:.0f} ms"
    yield Measurement("decision: warm ledger", computed * 1000, "ms", peer, "< 5 ms", computed < 0.005)


def _cold() -> float:
    """A new instance's first decision, from settings that are read to a reservation that stands."""
    services = _fresh_services()
    return wall_seconds(lambda: decide_and_reserve(services, *_upload(0)))


def _warm(services: Services) -> tuple[float, float]:
    """Seconds of the budget and the decision as computed, and of everything a decision does, storage included."""
    record, upload = _upload(1)
    conditions = current_conditions(services, record)

    def compute() -> None:
        services.budget.left()
        services.router.decide(upload, conditions)

    computed = [wall_seconds(compute) for _ in range(WARM_RUNS)]
    whole = [wall_seconds(partial(decide_and_reserve, services, *_upload(number))) for number in range(WARM_RUNS)]
    return statistics.median(computed), statistics.median(whole)


def _upload(number: int) -> tuple[JobRecord, UploadFacts]:
    upload, at = Upload(bucket="uploads", name=f"calls/{number}.mp3", generation=1), now()
    lease = at + timedelta(minutes=10)
    record = JobRecord(upload=upload, state=JobState.CLAIMED, holder="bench", lease_until=lease, received_at=at)
    return record, UploadFacts(upload.job_id, MEDIA, UploadOptions())


def _fresh_services() -> Services:
    services_from_environment.cache_clear()
    return services_from_environment()


def _fill(ledger: Ledger) -> None:
    figures = {"audio_seconds": 1800, "deepgram_usd": 0.129, "start_up_usd": 0.0012, "waiting_usd": 0.0004}

    def book(number: int) -> None:
        identity = sha256(str(number).encode()).hexdigest()[:24]
        more = {"cpu_usd": 0.0021, "folder": "calls", "method": Method.PARAKEET, "execution": "transcribe-x7k2p"}
        day = now().date()
        ledger.book(Entry(id=identity, state=EntryState.BILLED, day=day, usd=0.0071, **figures, **more))

    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(book, range(JOBS)):
            pass


@contextmanager
def _state_bucket() -> Iterator[int]:
    """A storage server with a state bucket, and the environment that leads to it; the server's process id."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    before = dict(os.environ)
    os.environ |= {
        "STORAGE_EMULATOR_HOST": process.stdout.readline().strip(),
        "PUBSUB_EMULATOR_HOST": "127.0.0.1:9",
        "RUN_ENDPOINT": "http://127.0.0.1:9",
        "GOOGLE_CLOUD_PROJECT": "bench",
        "GPU_JOB": "projects/bench/locations/here/jobs/gpu",
        "RESULTS_BUCKET": "results",
        "STATE_BUCKET": STATE,
        "MONTHLY_BUDGET_USD": "1000",
        "LOG_LEVEL": "ERROR",
    }
    try:
        Client(project="bench").create_bucket(STATE)
        yield process.pid
    finally:
        services_from_environment.cache_clear()
        os.environ.clear()
        os.environ.update(before)
        process.stdin.close()
        process.wait()


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process, from /proc."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
