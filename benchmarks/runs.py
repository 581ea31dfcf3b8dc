"""Runs of the whole job on the laptop cloud: looped recordings in, terminal messages out."""

from __future__ import annotations

import subprocess
import sys
import uuid
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import av
from av.audio.stream import AudioStream

from benchmarks.job_run import JobRun, spent
from dropscribe.outcomes import outcomes
from dropscribe.uploads import drop
from infra.emulators.cloud import JOB, PROJECT, RESULTS_TOPIC, UPLOADS, CloudOptions, LaptopCloud
from infra.emulators.executions import LocalJob, Phase
from infra.emulators.run_server import RunServer
from infra.recordings import recording
from infra.tiny_parakeet import MODEL_PATH
from shared.enums import Engine, Outcome
from shared.messages import TerminalMessage

HOUR = 3600
"""Seconds of audio in `hour`."""
LEAVE_SECONDS = 120.0
"""Longest wait for a worker that has nothing left to do."""
LAUNCH_SECONDS = 60
"""So long after a worker left another one may be started for what came meanwhile, on a busy machine, too."""
LOG_CHARACTERS = 1500
"""Of a worker's log, told where it failed."""


class JobCloud(LaptopCloud):
    """A laptop cloud whose job is some command, for measuring; its worker is started once and not again."""

    def __init__(
        self, root: Path, model: str = str(MODEL_PATH), command: tuple[str, ...] | None = None, **settings: str
    ) -> None:
        """`command`: instead of the job's own."""
        super().__init__(root, options(model, **settings))
        job = LocalJob(JOB, command or (sys.executable, "-m", "gpu_job"), self.environment, max_retries=0)
        self.runner = RunServer([job], self.logs)
        self.environment["RUN_ENDPOINT"] = self.runner.url


def options(model: str = str(MODEL_PATH), **settings: str) -> CloudOptions:
    """A laptop cloud in which every upload goes to the job, and nothing else takes time meanwhile."""
    always = {
        "PARAKEET_MODEL_NAME": model,
        "TRANSCRIPTION_METHOD": "parakeet",
        "INSTANCE_START_SECONDS": "0",
        "ENABLE_FALLBACK": "false",  # a GPU that fails must not be measured as a CPU
        "JOB_MEMORY_GIB": "1",  # so that a bill's GiB-seconds are seconds
    }
    return CloudOptions(reconcile_seconds=3600.0, deepgram=False, settings={**always, **settings})


def looped(seconds: float, folder: Path) -> Path:
    """Ten minutes of speech over and over, in Ogg Opus. Packets are copied: a day takes 15 s. Their times go on without
    a jump, as a recorder's do: decoders that are begun behind one would place what they read elsewhere."""
    path = folder / f"{seconds:.0f}-seconds.opus"
    with av.open(path, "w", format="ogg") as target, ExitStack() as stack:
        output: AudioStream | None = None
        end = longest = 0  # of the last packet, in ticks; and of all packets
        while True:
            source = stack.enter_context(av.open(recording("long_seen.opus").path))
            stream = source.streams.audio[0]
            output = output or target.add_stream_from_template(stream)
            first, tick = end, float(stream.time_base or 0)
            for packet in source.demux(stream):
                if packet.pts is None or packet.duration is None or packet.pts < 0 < first:
                    continue  # the end of the stream; what a decoder needs at its start only
                if packet.duration < (longest := max(longest, packet.duration)):
                    continue  # the last one, of which a player drops what is behind the recording's end
                packet.pts = packet.dts = end if first else packet.pts
                end = packet.pts + packet.duration
                packet.stream = output
                target.mux(packet)
                if end * tick >= seconds:
                    return path


def hour(folder: Path, suffix: str) -> Path:
    """The same speech, HOUR of it, encoded anew at 128 kbit/s in 44.1 kHz stereo: as `mp3` or `m4a`."""
    # Here, for a GPU machine has no ffmpeg, and hears other recordings.
    import imageio_ffmpeg

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


def run(
    cloud: LaptopCloud, path: Path, copies: int = 1, timeout: float = 600.0, engine: Engine = Engine.PARAKEET_CPU
) -> JobRun:
    """Drop a file so many times at once; the worker has left when this returns.

    `engine`: what has to transcribe all of it. Raises RuntimeError where one is not transcribed, or by another engine,
    and at once where the worker ended without having done it; TimeoutError after `timeout` seconds.
    """
    ended = transcribed(cloud, path, copies, timeout, engine)
    wall_seconds = (datetime.now(UTC) - cloud.runner.executions()[-1].started).total_seconds()
    cloud.runner.wait_idle(LEAVE_SECONDS)
    audio_seconds = sum(message.media.duration_seconds for message in ended if message.media is not None)
    return JobRun(audio_seconds, wall_seconds, spent([message.bill for message in ended]))


def transcribed(
    cloud: LaptopCloud, path: Path, copies: int, timeout: float, engine: Engine = Engine.PARAKEET_CPU
) -> list[TerminalMessage]:
    """As `run`, but the worker may still be there."""
    watch = _Watch(cloud)
    subscriber, bucket = cloud.subscriber(), cloud.storage().bucket(UPLOADS)
    name = uuid.uuid4().hex
    subscription = subscriber.subscription_path(PROJECT, f"run-{name}")
    topic = f"projects/{PROJECT}/topics/{RESULTS_TOPIC}"
    subscriber.create_subscription(name=subscription, topic=topic)
    jobs = {drop(bucket, path, f"{name}/{number}{path.suffix}").job_id for number in range(copies)}
    ended: list[TerminalMessage] = []
    for message in outcomes(subscriber, subscription, jobs, timeout):
        if message is None:
            watch.check()
        else:
            ended.append(_checked(message, engine))
    return ended


def _checked(message: TerminalMessage, engine: Engine) -> TerminalMessage:
    if message.outcome not in (Outcome.COMPLETED, Outcome.COMPLETED_WITH_GAPS) or message.media is None:
        raise RuntimeError(f"{message.upload.name} ended as {message.outcome}: {message.reason}")
    if others := set(message.engines) - {engine}:
        raise RuntimeError(f"{message.upload.name} was transcribed by {', '.join(sorted(others))}, not by {engine}")
    return message


class _Watch:
    """Looks whether a worker that may have begun with what is dropped from now on has left."""

    def __init__(self, cloud: LaptopCloud) -> None:
        self._cloud = cloud
        self._ended_before = sum(one.phase is not Phase.RUNNING for one in cloud.runner.executions())
        self._without_worker = 0

    def check(self) -> None:
        """To be called about once a second. Raises RuntimeError where no worker is left."""
        executions = self._cloud.runner.executions()[self._ended_before :]
        if failed := [one for one in executions if one.phase is Phase.FAILED or one.attempt > 0]:
            raise RuntimeError(f"the worker failed ({failed[-1].failure}): {_last_lines(failed[-1].log)}")
        is_left = any(one.phase is Phase.RUNNING for one in executions)
        self._without_worker = 0 if is_left or not executions else self._without_worker + 1
        if self._without_worker > LAUNCH_SECONDS:
            raise RuntimeError(f"the worker left before all was done: {_last_lines(executions[-1].log)}")


def _last_lines(log: Path) -> str:
    return log.read_text(errors="replace")[-LOG_CHARACTERS:] if log.exists() else "it wrote no log"


def worker_pid(cloud: LaptopCloud) -> int | None:
    """The worker's process, which leads a group of its own; None before the first one."""
    executions = cloud.runner.executions()
    return executions[-1].pid if executions else None
