"""Runs of the whole job on the laptop cloud: looped recordings in, terminal messages out."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import imageio_ffmpeg

from gpu_job.worker.meter import PhaseSeconds
from infra.emulators.cloud import PROJECT, RESULTS_TOPIC, UPLOADS, CloudOptions, LaptopCloud
from infra.recordings import recording
from infra.tiny_parakeet import MODEL_PATH
from shared.client import drop, outcomes
from shared.costs.bill import Bill, LineItemKind, Phase
from shared.enums import Outcome
from shared.messages import TerminalMessage

HOUR = 3600
"""Seconds of audio in `hour`."""
LEAVE_SECONDS = 120.0
"""Longest wait for a worker that has nothing left to do."""


@dataclass(frozen=True)
class JobRun:
    """One execution of the job, from its process's start to its last message."""

    audio_seconds: float
    wall_seconds: float
    spent: PhaseSeconds
    """Seconds of the instance on the bills, by what they went to."""

    @property
    def start_up_seconds(self) -> float:
        """Until the first batch."""
        return self.spent.get(Phase.START_UP, 0.0)

    @property
    def waited(self) -> float:
        """Share of the time after the start-up in which no batch ran."""
        running = self.spent.get(Phase.TRANSCRIPTION, 0.0)
        idle = self.spent.get(Phase.WAITING, 0.0)
        return idle / (running + idle)


def options(model: str = str(MODEL_PATH), **settings: str) -> CloudOptions:
    """A laptop cloud in which every upload goes to the job, and nothing else takes time meanwhile."""
    always = {
        "PARAKEET_MODEL_NAME": model,
        "TRANSCRIPTION_METHOD": "parakeet",
        "INSTANCE_START_SECONDS": "0",
        "JOB_MEMORY_GIB": "1",  # so that a bill's GiB-seconds are seconds
    }
    return CloudOptions(reconcile_seconds=3600.0, deepgram=False, settings={**always, **settings})


def looped(seconds: float, folder: Path) -> Path:
    """Ten minutes of speech over and over, in Ogg Opus. Packets are copied: a day takes seconds."""
    path = folder / f"{seconds:.0f}-seconds.opus"
    source = ["-stream_loop", "-1", "-i", str(recording("long_seen.opus").path)]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *source, "-c", "copy", "-t", f"{seconds:g}", path]
    subprocess.run(command, check=True)
    return path


def hour(folder: Path, suffix: str) -> Path:
    """The same speech, HOUR of it, encoded anew at 128 kbit/s in 44.1 kHz stereo: as `mp3` or `m4a`."""
    path = folder / f"hour.{suffix}"
    source = ["-stream_loop", "-1", "-i", str(recording("long_seen.opus").path), "-t", str(HOUR)]
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        *source,
        "-ar",
        "44100",
        "-ac",
        "2",
        "-b:a",
        "128k",
        path,
    ]
    subprocess.run(command, check=True)
    return path


def run(cloud: LaptopCloud, path: Path, copies: int = 1, timeout: float = 600.0) -> JobRun:
    """Drop a file so many times at once; the worker has left when this returns. Raises where one is not transcribed."""
    subscriber, bucket = cloud.subscriber(), cloud.storage().bucket(UPLOADS)
    name = uuid.uuid4().hex
    subscription = subscriber.subscription_path(PROJECT, f"run-{name}")
    topic = f"projects/{PROJECT}/topics/{RESULTS_TOPIC}"
    subscriber.create_subscription(name=subscription, topic=topic)
    jobs = {drop(bucket, path, f"{name}/{number}{path.suffix}").job_id for number in range(copies)}
    ended = [message for message in outcomes(subscriber, subscription, jobs, timeout) if message is not None]
    wall_seconds = (datetime.now(UTC) - cloud.runner.executions()[-1].started).total_seconds()
    cloud.runner.wait_idle(LEAVE_SECONDS)
    return JobRun(_transcribed_seconds(ended), wall_seconds, spent([message.bill for message in ended]))


def worker_pid(cloud: LaptopCloud) -> int | None:
    """The worker's process, which leads a group of its own; None before the first one."""
    executions = cloud.runner.executions()
    return executions[-1].pid if executions else None


def _transcribed_seconds(ended: Sequence[TerminalMessage]) -> float:
    whole = 0.0
    for message in ended:
        if message.outcome not in (Outcome.COMPLETED, Outcome.COMPLETED_WITH_GAPS) or message.media is None:
            raise RuntimeError(f"{message.upload.name} ended as {message.outcome}: {message.reason}")
        whole += message.media.duration_seconds
    return whole


def spent(bills: Sequence[Bill]) -> PhaseSeconds:
    """Seconds by phase, from bills of instances with 1 GiB of memory."""
    lines = [item for bill in bills for item in bill.items]
    memory = [item for item in lines if item.kind is LineItemKind.MEMORY]
    return {phase: sum(item.quantity for item in memory if item.phase is phase) for phase in Phase}
