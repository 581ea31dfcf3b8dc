"""A long upload in shards on five executions against one: the whole laptop cloud with real worker processes, and an
engine of a stated speed.

The engine waits instead of computing, so that a few cores do for five of them. Both run at the same time, so that what
else the machine does weighs on both. It counts from the first worker's claim: the starts of the others are in it.
"""

from __future__ import annotations

import sys
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import Measurement
from benchmarks.runs import looped, options
from dropscribe.outcomes import outcomes
from dropscribe.uploads import drop
from infra.emulators.cloud import PROJECT, RESULTS_TOPIC, UPLOADS, LaptopCloud
from shared.enums import Outcome
from shared.messages import TerminalMessage

HOURS = 0.5
X_REAL_TIME = 5.0
"""Of the engine: a sixteenth of what two cores that others use decode, as an L4 is of four cores' decoding."""
EXECUTIONS = 5
TIMEOUT_SECONDS = 1_800.0
TARGET = 0.25
"""Of one execution's time: a fifth is the least there can be."""


@dataclass(frozen=True)
class Run:
    """One upload, on so many executions at most."""

    executions: int
    started: int
    """Executions that took part."""
    work_seconds: float
    """From the first worker's claim to the outcome."""
    words: int
    engine_seconds: float
    """What the engine alone takes."""


class _Cloud(LaptopCloud):
    job_command = (sys.executable, "-m", "benchmarks.null_job", "--words", f"--x-real-time={X_REAL_TIME:g}")


def executions() -> Iterator[Measurement]:
    """HOURS of audio, in one piece on one execution and in as many shards as executions on EXECUTIONS."""
    with tempfile.TemporaryDirectory() as name:
        path = looped(HOURS * 3600, Path(name))
        with ThreadPoolExecutor(2) as threads:
            one, several = threads.map(lambda count: run(path, Path(name) / str(count), count), (1, EXECUTIONS))
    yield from rows(one, several)


def run(path: Path, root: Path, count: int) -> Run:
    """The upload on a cloud of its own."""
    settings = {
        "CPU_MAX_PARALLEL_TASKS": str(count),
        "SHARD_HOURS": "0" if count == 1 else str(HOURS / count),
        "CPU_X_REAL_TIME": f"{X_REAL_TIME:g}",
        "CPU_STARTUP_SECONDS": "1",
        "TARGET_DRAIN_MINUTES": "0.5",
        "HEARTBEAT_SECONDS": "15",
        "LEASE_SECONDS": "90",
    }
    with _Cloud(root, options(**settings)) as cloud:
        subscriber, bucket = cloud.subscriber(), cloud.storage().bucket(UPLOADS)
        subscription = subscriber.subscription_path(PROJECT, f"run-{uuid.uuid4().hex}")
        topic = f"projects/{PROJECT}/topics/{RESULTS_TOPIC}"
        subscriber.create_subscription(name=subscription, topic=topic)
        job = drop(bucket, path, path.name).job_id
        ended = [one for one in outcomes(subscriber, subscription, {job}, TIMEOUT_SECONDS) if one is not None]
        return _run(count, len(cloud.runner.executions()), ended[0])


def _run(count: int, started: int, message: TerminalMessage) -> Run:
    if message.outcome is not Outcome.COMPLETED:
        raise RuntimeError(f"the upload ended as {message.outcome}: {message.reason}")
    return Run(count, started, message.work_seconds, message.word_count, HOURS * 3600 / X_REAL_TIME)


def rows(one: Run, several: Run) -> Iterator[Measurement]:
    """Their ratio, and whether they say the same."""
    share = several.work_seconds / one.work_seconds
    yield Measurement(
        f"executions: {HOURS:g} h on {several.executions} of them, measured",
        share,
        "x one execution",
        f"{several.work_seconds:.0f} s against {one.work_seconds:.0f} s; an engine of {X_REAL_TIME:g} x real time alone"
        f" {several.engine_seconds / several.executions:.0f} and {one.engine_seconds:.0f} s; {several.started} started",
        f"<= {TARGET}",
        share <= TARGET,
    )
    differ = abs(one.words - several.words)
    yield Measurement("executions: words more or fewer", differ, "words", f"of {one.words}", "0", differ == 0)
