"""The whole job from files: everything but the model, then with the model, by default settings and in large batches."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.gpu import rows
from benchmarks.gpu.subject import Part, Subject, figure
from benchmarks.job_run import JobRun
from benchmarks.null_job import FLAG
from benchmarks.report import Measurement
from benchmarks.runs import JobCloud, looped, run
from gpu_job.asr.onnx.model_folder import is_onnx_folder
from infra.tiny_parakeet import MODEL_PATH, ONNX_PATH
from shared.enums import Engine

HOURS = 6.0
"""Of audio in each run, whatever the engine's speed: what an engine that is too slow takes, too."""
UPLOAD_SECONDS = 3600.0
LARGE_BATCH_SECONDS = 4800.0
BUFFERED_BATCHES = 3
"""Audio that may wait for the model: a batch being gathered, and as much as two more decoders finish meanwhile."""

NULL_COMMAND = (sys.executable, "-m", "benchmarks.null_job", FLAG)


def job(subject: Subject) -> Iterator[Part]:
    """What decoders and Python can feed first: the others cannot be faster."""
    settings = _on_card() if subject.device.is_gpu else {}
    large = {
        **settings,
        "GPU_BATCH_SIZE": "512",
        "BATCH_AUDIO_SECONDS": f"{LARGE_BATCH_SECONDS:g}",
        "BUFFERED_AUDIO_SECONDS": f"{BUFFERED_BATCHES * LARGE_BATCH_SECONDS:g}",
        "GPU_MEMORY_LIMIT_GB": f"{subject.memory_gib:g}",
    }
    if subject.device.is_gpu:  # a dry run has one job: each takes seconds to start
        yield Part("job: everything but the model", lambda: null_rows(subject), 30)
    yield Part("job: default settings", lambda: model_rows(subject, rows.DEFAULT_SETTINGS, settings), 40)
    if subject.device.is_gpu:
        yield Part("job: large batches", lambda: model_rows(subject, rows.LARGE_BATCHES, large), 40)


def _on_card() -> dict[str, str]:
    """The laptop cloud's job has no GPU; with one, the worker loads the model onto it."""
    return {"JOB_GPU": str(rows.default("job_gpu"))}


def null_rows(subject: Subject) -> Iterator[Measurement]:
    """With an engine that answers at once."""
    done = run_job(subject, small_model(), {}, NULL_COMMAND, Engine.PARAKEET_CPU)
    yield figure(rows.after_start_up(rows.WITHOUT_MODEL), _factor(done), "x", _detail(done))


def model_rows(subject: Subject, name: str, settings: Mapping[str, str]) -> Iterator[Measurement]:
    """With the full-size model; a dry run has the tiny one."""
    model = small_model() if subject.is_dry else str(subject.full_model)
    engine = Engine.PARAKEET_GPU if subject.device.is_gpu else Engine.PARAKEET_CPU
    done = run_job(subject, model, settings, None, engine)
    yield figure(rows.after_start_up(name), _factor(done), "x", _detail(done))
    yield from rows.job_rows(done, subject.card, name)


def small_model() -> str:
    """The tiny model: on ONNX Runtime, which starts faster, where its networks are; a bundle for a GPU machine leaves
    them out (`bundle.UNREAD_TREE`)."""
    return str(ONNX_PATH if is_onnx_folder(ONNX_PATH) else MODEL_PATH)


def run_job(
    subject: Subject, model: str, settings: Mapping[str, str], command: tuple[str, ...] | None, engine: Engine
) -> JobRun:
    """Uploads that are dropped together, through the real worker. Raises where another engine did any of it."""
    length = subject.amount(UPLOAD_SECONDS, 20.0)
    copies = round(subject.amount(HOURS * 3600, 20.0) / length)
    with tempfile.TemporaryDirectory() as name:
        path = looped(length, Path(name))
        with JobCloud(Path(name) / "cloud", model, command, **settings) as cloud:
            return run(cloud, path, copies=copies, engine=engine)


def _factor(done: JobRun) -> float:
    return done.audio_seconds / max(1e-9, done.wall_seconds - done.start_up_seconds)


def _detail(done: JobRun) -> str:
    hours = done.audio_seconds / 3600
    share = f"{100 * done.waited:.0f} % of the time without a batch"
    return f"{hours:.1f} h; start-up {done.start_up_seconds:.1f} of {done.wall_seconds:.1f} s; {share}"
