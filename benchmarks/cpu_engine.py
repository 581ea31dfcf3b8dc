"""`parakeet-cpu`: the full architecture on ONNX Runtime against NeMo on the same CPU, in turns, a process each.

Takes 16 GB of disk in the temporary folder, 14 GB of memory, and about fifteen minutes. The weights are random: words
mean nothing, times and memory do.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import numpy as np

from benchmarks.report import Measurement
from benchmarks.resident import megabytes

RUNS = 3
CHUNKS, CHUNK_SECONDS = 4, 30
TOKENS_PER_SECOND = 4.0
TARGET = 1.5
"""Times the speed of the faster NeMo path."""
START_SECONDS = 4.0
"""Target for process start to first batch, files in the page cache."""

ENGINES = {
    "ONNX int8": ("onnx", "int8"),
    "ONNX fp32": ("onnx", "fp32"),
    "NeMo bf16": ("nemo", "bf16"),
    "NeMo fp32": ("nemo", "fp32"),
}
"""Folder and precision."""


@dataclass(frozen=True)
class Start:
    """One process from its start to its first batch, in seconds."""

    load: float
    """Imports included."""
    first_batch: float
    """Of one chunk."""
    total: float


@dataclass(frozen=True)
class Round:
    """All chunks once more."""

    wall_seconds: float
    cpu_seconds: float
    tokens: float
    peak_megabytes: float
    """Of the process so far."""


class _Engine:
    """A process with a loaded model, which transcribes when it is told to."""

    def __init__(self, folder: Path, name: str, precision: str, stack: ExitStack) -> None:
        command = [sys.executable, "-m", "benchmarks.cpu_engine", "serve", str(folder), name, precision]
        process = subprocess.Popen(
            [*command, str(time.time())], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        stack.enter_context(process)
        assert process.stdin is not None
        assert process.stdout is not None
        # Closed on the way out, which ends the process.
        self._orders: IO[str] = stack.enter_context(process.stdin)
        self._answers: IO[str] = process.stdout
        self.start = Start(**self._answer())

    def run(self) -> Round:
        """Transcribe everything once."""
        self._orders.write("run\n")
        self._orders.flush()
        return Round(**self._answer())

    def _answer(self) -> dict[str, float]:
        # Libraries write lines of their own.
        for line in self._answers:
            if line.startswith("{"):
                found: dict[str, float] = json.loads(line)
                return found
        raise RuntimeError("an engine's process ended without an answer")


def cpu_engine() -> Iterator[Measurement]:
    """Speed, start and memory of each path; the target is on int8 against the faster of NeMo's."""
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        # In a process of its own: the model would stay in this one's memory.
        subprocess.run([sys.executable, "-m", "benchmarks.cpu_engine", "make", str(folder)], check=True)
        for name, precision in ENGINES.values():
            # Once for the page cache; the second start is measured.
            with ExitStack() as first:
                _Engine(folder, name, precision, first)
        engines = {title: _Engine(folder, *which, stack) for title, which in ENGINES.items()}
        rounds: dict[str, list[Round]] = {title: [] for title in engines}
        for _ in range(RUNS):
            for title, engine in engines.items():
                rounds[title].append(engine.run())
    speeds = {
        title: CHUNKS * CHUNK_SECONDS / statistics.median(each.wall_seconds for each in found)
        for title, found in rounds.items()
    }
    fastest = max(speed for title, speed in speeds.items() if title.startswith("NeMo"))
    for title, engine in engines.items():
        ours = title == "ONNX int8"
        cpu = statistics.median(each.cpu_seconds for each in rounds[title]) / (CHUNKS * CHUNK_SECONDS)
        detail = f"{speeds[title] / fastest:.2f} x NeMo's faster path; {cpu * 60:.1f} CPU s a minute of audio"
        holds = speeds[title] >= TARGET * fastest if ours else None
        target = f">= {TARGET} x NeMo's" if ours else ""
        yield Measurement(f"cpu engine: {title}", speeds[title], "x real time", detail, target, holds)
        start = engine.start
        parts = f"load {start.load:.1f} s, first batch {start.first_batch:.1f} s"
        holds = start.total < START_SECONDS if ours else None
        target = f"< {START_SECONDS:.0f} s" if ours else ""
        yield Measurement(f"cpu engine: {title}, process start to first batch", start.total, "s", parts, target, holds)
        peak = rounds[title][-1].peak_megabytes
        tokens = f"{rounds[title][-1].tokens / (CHUNKS * CHUNK_SECONDS):.1f} tokens a second of audio"
        yield Measurement(f"cpu engine: {title}, peak memory", peak, "MB", tokens, "", None)


def make(folder: Path) -> None:
    """Write the models and the sound that they hear."""
    from benchmarks.full_model import babble, build_full_model
    from gpu_job.asr.nemo.model_export import prepare
    from gpu_job.asr.nemo.model_files import Precision
    from gpu_job.asr.nemo.onnx_export import export, to_int8

    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        model = build_full_model(Path(scratch), TOKENS_PER_SECOND)
        model.save_to(f"{scratch}/full.nemo")
        prepare(f"{scratch}/full.nemo", folder / "nemo", Precision.BF16)
        (folder / "onnx").mkdir()
        export(model, folder / "onnx")
    to_int8(folder / "onnx")
    np.save(folder / "sound.npy", np.stack([babble(CHUNK_SECONDS, seed) for seed in range(CHUNKS)]))


def serve(folder: Path, name: str, precision: str, began: float) -> None:
    """Load a model, hear one chunk, then all of them for each line that comes."""
    from gpu_job.asr.load_recognizer import RecognizerOptions, load_recognizer
    from shared.enums import Engine

    options = RecognizerOptions(precision=precision)  # type: ignore[arg-type]  # one of ENGINES
    model = load_recognizer(str(folder / name), Engine.PARAKEET_CPU, options)
    loaded = time.time()
    sound = list(np.load(folder / "sound.npy"))
    model.finish(model.run(model.prepare(sound[:1])))
    ended = time.time()
    print(json.dumps(asdict(Start(loaded - began, ended - loaded, ended - began))), flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        tokens = model.finish(model.run(model.prepare(sound)))
        found = Round(time.perf_counter() - wall, time.process_time() - cpu, sum(map(len, tokens)), megabytes("VmHWM"))
        print(json.dumps(asdict(found)), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]))
    else:
        serve(Path(sys.argv[2]), sys.argv[3], sys.argv[4], float(sys.argv[5]))
