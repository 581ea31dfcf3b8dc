"""Model load: a prepared directory against NeMo's `restore_from`, full size, fresh processes, files in page cache.

Takes 8 GB of disk in the temporary folder, 6 GB of memory, and about four minutes.
"""

from __future__ import annotations

import json
import logging
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.report import Measurement
from benchmarks.resident import megabytes
from gpu_job.asr.nemo.model_files import Precision

RUNS = 3
DISK_BYTES = 8e9
TOKENS_PER_SECOND = 3.5
"""People say 3 to 4."""
CHUNK_SECONDS = 20


@dataclass(frozen=True)
class Start:
    """One process from its start to its first batch. Seconds, and bytes above what the process had after imports."""

    imports: float
    load: float
    """Until every page of the weights has been read."""
    peak: int
    first_batch: float
    """Of one chunk, with all that happens once: the precision of this machine, the decoder, allocations."""
    total: float


def model_load() -> Iterator[Measurement]:
    """Time, memory, and process start to first batch."""
    if shutil.disk_usage(tempfile.gettempdir()).free < DISK_BYTES:
        print(f"model load: skipped, {DISK_BYTES / 1e9:.0f} GB of disk are not free in {tempfile.gettempdir()}")
        return
    with tempfile.TemporaryDirectory() as folder:
        nemo, prepared = Path(folder) / "full.nemo", Path(folder) / "full"
        # In a process of its own: the model would stay in this one's memory.
        _python("make", str(nemo), str(prepared))
        weights = sum(path.stat().st_size for path in prepared.glob("*.safetensors"))
        starts = [(_start(prepared), _start(nemo)) for _ in range(RUNS)]
    ours, theirs = ([pair[side] for pair in starts] for side in (0, 1))
    faster = _median(theirs, "load") / _median(ours, "load")
    imports = f"importing NeMo, {_median(ours, 'imports'):.1f} s, not counted"
    times = f"restore_from {_median(theirs, 'load'):.1f} s, prepared {_median(ours, 'load'):.2f} s; {imports}"
    yield Measurement("model load: times as fast as restore_from", faster, "x", times, ">= 4 x", faster >= 4)
    peak, peak_of_theirs = (_median(each, "peak") / weights for each in (ours, theirs))
    memory = f"restore_from {peak_of_theirs:.2f} x; weights {weights / 1e9:.2f} GB"
    yield Measurement("model load: peak memory / weights", peak, "x", memory, "< 1.3 x", peak < 1.3)
    parts = ", ".join(f"{part} {_median(ours, part):.1f} s" for part in ("imports", "load", "first_batch"))
    first = f"from the .nemo file {_median(theirs, 'total'):.1f} s; of ours {parts}"
    yield Measurement("model load: process start to first batch", _median(ours, "total"), "s", first, "", None)


def _median(starts: Sequence[Start], field: str) -> float:
    return statistics.median(float(getattr(start, field)) for start in starts)


def _start(model: Path) -> Start:
    return Start(**json.loads(_python("start", str(model), str(time.time()))))


def _python(*arguments: str) -> str:
    """The last line of this module's answer as a program."""
    command = [sys.executable, "-m", "benchmarks.model_load", *arguments]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return answer.stdout.splitlines()[-1] if answer.stdout else ""


def make(nemo: Path, prepared: Path) -> None:
    """Write the full-size model as a `.nemo` file, and prepare it."""
    from benchmarks.full_model import build_full_model
    from gpu_job.asr.nemo.model_export import prepare

    with tempfile.TemporaryDirectory() as tokenizer:
        build_full_model(Path(tokenizer), TOKENS_PER_SECOND).save_to(str(nemo))
    prepare(str(nemo), prepared, Precision.BF16)


def start(name: str, began: float) -> Start:
    """Load the model and run one batch in this process, which began at this time of the clock."""
    at = time.perf_counter()
    import torch
    from nemo.utils import logging as nemo_logging

    from benchmarks.full_model import babble
    from gpu_job.asr.device import best_device
    from gpu_job.asr.nemo.model_loading import load
    from gpu_job.asr.nemo.parakeet import Parakeet, ParakeetLimits

    nemo_logging.setLevel(logging.ERROR)
    imported = time.perf_counter()
    before = megabytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    model, called = load(name, "cpu")
    for tensor in model.state_dict().values():
        tensor.flatten().view(torch.uint8)[::4096].sum()
    loaded = time.perf_counter()
    peak = int((megabytes("VmHWM") - before) * 2**20)
    Parakeet(model, called, best_device(), ParakeetLimits(1, 600, 600)).transcribe([babble(CHUNK_SECONDS, 0)])
    ended = time.perf_counter()
    return Start(imported - at, loaded - imported, peak, ended - loaded, time.time() - began)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        print(json.dumps(asdict(start(sys.argv[2], float(sys.argv[3])))))
