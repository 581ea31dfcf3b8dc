"""The function: its cold import, inspection of large uploads, and the time from an event to its work item."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from benchmarks.report import Measurement
from infra.emulators.cloud import PROJECT, UPLOADS, WORK_TOPIC, LaptopCloud
from infra.recordings import recording
from trigger_function.inspection.inspector import inspect

RUNS = 5
LARGE = 400_000_000
_PROBE = """
import resource, sys, time
began = time.perf_counter()
import {modules}
took = time.perf_counter() - began
print(took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
_CLIENTS = (
    "functions_framework, google.cloud.storage, google.cloud.pubsub_v1, google.cloud.run_v2, pydantic_settings, av"
)


def cold_import() -> Iterator[Measurement]:
    """A fresh process imports the function; beside it, the libraries it cannot do without."""
    seconds, megabytes = _imported("trigger_function.main")
    peer_seconds, peer_megabytes = _imported(_CLIENTS)
    peer = f"its libraries alone: {peer_seconds:.2f} s"
    yield Measurement("function: cold import", seconds, "s", peer, "< 0.6 s", seconds < 0.6)
    peer = f"its libraries alone: {peer_megabytes:.0f} MB"
    yield Measurement("function: memory after import", megabytes, "MB", peer, "< 130 MB", megabytes < 130)


def _imported(modules: str) -> tuple[float, float]:
    """Medians of seconds and MB of RSS."""
    code = _PROBE.format(modules=modules)
    answers = [
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
        for _ in range(RUNS + 1)
    ][1:]  # the first one warms the page cache
    return statistics.median(float(a) for a, _ in answers), statistics.median(float(b) for _, b in answers)


def inspection() -> Iterator[Measurement]:
    """Uploads of 400 MB: what inspection reads of them, and how long it takes on top of the network."""
    with tempfile.TemporaryDirectory() as folder:
        for name, path in (("wav", _large_wav(Path(folder))), ("mp3", _large_mp3(Path(folder)))):
            with path.open("rb") as file:
                moved, times = 0, []
                for _ in range(RUNS):
                    fetch = _CountingFetch(file)
                    began = time.perf_counter()
                    inspect(fetch, path.stat().st_size)
                    times.append(time.perf_counter() - began)
                    moved = fetch.bytes
            seconds, read = statistics.median(times), moved / 2**20
            peer = "the whole file: 381 MiB"
            yield Measurement(f"inspection: read of a 400 MB {name}", read, "MiB", peer, "< 1 MiB", read < 1)
            yield Measurement(f"inspection: time for a 400 MB {name}", seconds, "s", "-", "< 0.3 s", seconds < 0.3)


class _CountingFetch:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.bytes = 0

    def __call__(self, start: int, end: int) -> bytes:
        self._file.seek(start)
        data = self._file.read(end - start)
        self.bytes += len(data)
        return data


def _large_wav(folder: Path) -> Path:
    """A real header before a sparse body."""
    path = folder / "large.wav"
    size = LARGE.to_bytes(4, "little")
    head = recording("memo.wav").path.read_bytes()[:44]
    path.write_bytes(b"RIFF" + size + head[8:36] + b"data" + size)
    with path.open("r+b") as file:
        file.truncate(LARGE)
    return path


def _large_mp3(folder: Path) -> Path:
    """A short recording's frames, over and over."""
    path = folder / "large.mp3"
    frames = recording("podcast.mp3").path.read_bytes()
    with path.open("wb") as file:
        for _ in range(LARGE // len(frames)):
            file.write(frames)
    return path


def event_to_work_item() -> Iterator[Measurement]:
    """From the end of an upload to its work item on Pub/Sub, on the laptop cloud; the first one warms the function."""
    times = []
    with tempfile.TemporaryDirectory() as folder, LaptopCloud(Path(folder)) as cloud:
        publisher, subscriber = cloud.publisher(), cloud.subscriber()
        subscription = subscriber.subscription_path(PROJECT, "bench")
        subscriber.create_subscription(name=subscription, topic=publisher.topic_path(PROJECT, WORK_TOPIC))
        bucket = cloud.storage().bucket(UPLOADS)
        for number in range(RUNS + 1):
            bucket.blob(f"{number}.wav").upload_from_filename(str(recording("memo.wav").path))
            began = time.time()
            pulled = subscriber.pull(subscription=subscription, max_messages=1, timeout=30)
            message = pulled.received_messages[0]
            times.append(message.message.publish_time.timestamp() - began)
            subscriber.acknowledge(subscription=subscription, ack_ids=[message.ack_id])
    seconds = statistics.median(times[1:])
    yield Measurement("function: event to work item", seconds, "s", f"cold: {times[0]:.2f} s", "< 0.5 s", seconds < 0.5)
