"""The job: the demo as a newcomer runs it, and memory over many uploads."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Measurement
from benchmarks.resident import megabytes
from dropscribe.outcomes import outcomes
from dropscribe.uploads import drop
from infra.emulators.cloud import PROJECT, RESULTS_TOPIC, UPLOADS, LaptopCloud
from infra.recordings import recording, shipped

ROUNDS, PER_ROUND = 6, 10
DEMO_TARGET_SECONDS = 12


def demo() -> Iterator[Measurement]:
    """`dropscribe run` on the short recordings, set-up not included."""
    files = [str(one.path) for one in shipped() if one.duration < 60]
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        command = [sys.executable, "-m", "infra.cli.main", "run", *files, "--model", "tiny", "--out", folder]
        subprocess.run(command, check=True, capture_output=True)
        seconds = time.perf_counter() - began
    target = f"< {DEMO_TARGET_SECONDS} s"
    yield Measurement("demo: six recordings", seconds, "s", "", target, seconds < DEMO_TARGET_SECONDS)


def memory_over_uploads() -> Iterator[Measurement]:
    """RSS of one worker after 10 and after 60 uploads."""
    sizes = []
    with tempfile.TemporaryDirectory() as folder, LaptopCloud(Path(folder)) as cloud:
        subscriber, bucket = cloud.subscriber(), cloud.storage().bucket(UPLOADS)
        subscription = subscriber.subscription_path(PROJECT, "bench")
        topic = f"projects/{PROJECT}/topics/{RESULTS_TOPIC}"
        subscriber.create_subscription(name=subscription, topic=topic)
        for round_ in range(ROUNDS):
            path = recording("call.opus").path
            jobs = {drop(bucket, path, f"{round_}-{number}.opus").job_id for number in range(PER_ROUND)}
            for _ in outcomes(subscriber, subscription, jobs, timeout=300):
                pass
            sizes.append(_worker_megabytes(cloud))
    growth = sizes[-1] / sizes[0]
    name = f"job: memory after {ROUNDS * PER_ROUND} uploads / after {PER_ROUND}"
    yield Measurement(name, growth, "x", f"{sizes[0]:.0f} MB after {PER_ROUND}", "< 1.1 x", growth < 1.1)


def _worker_megabytes(cloud: LaptopCloud) -> float:
    """RSS of the worker that runs now."""
    pid = cloud.runner.executions()[-1].pid
    assert pid is not None  # it has answered
    return megabytes("VmRSS", pid)
