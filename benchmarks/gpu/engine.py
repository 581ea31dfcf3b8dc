"""The full-size engine: where a batch's time goes, its speed by batch and chunk length, its memory, and its peers'."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil
from typing import Any, TypeVar

import torch

from benchmarks.engine_runs import EngineRun, through_local_engine
from benchmarks.gpu import rows
from benchmarks.gpu.points import Point, Stopped, Sweep
from benchmarks.gpu.subject import Part, Subject, figure
from benchmarks.gpu.sweep import flops_per_audio_second, sweep
from benchmarks.report import Measurement
from gpu_job.asr.gpu_faults import inference
from gpu_job.asr.nemo.parakeet import memory_of
from gpu_job.audio.chunker import Chunk, chunks
from gpu_job.audio.cuts import CutRules
from gpu_job.audio.samples import SAMPLE_RATE, Samples

Value = TypeVar("Value")
CHUNK_SECONDS = int(rows.default("chunk_seconds"))
"""As the job has it by default."""
MIN_BATCHES, MAX_BATCHES = 4, 200
RUN_SECONDS = 3.0
"""About so long an engine runs for each figure."""


def engine(subject: Subject) -> Iterator[Part]:
    """Stages first, then the sweep by batch; the other chunk lengths at the batch that was fastest."""
    model = subject.model()
    seconds = subject.amount(CHUNK_SECONDS, 2)
    points: list[Point | Stopped] = []
    for audio in subject.amount((1200, 4800), (4,)):
        yield Part(f"stages of {audio} s", lambda audio=audio: stages(subject, model, audio, seconds), 10)  # type: ignore[misc]
    plan = subject.amount(
        Sweep([CHUNK_SECONDS], growth=4, max_audio_seconds=20_000.0), Sweep([seconds], max_audio_seconds=4.0, runs=1)
    )

    def encoder() -> Iterator[Measurement]:
        for point in sweep(subject, model, plan):
            points.append(point)
            print(point, flush=True)
        yield from encoder_rows(subject, model, points)

    yield Part("encoder", encoder, 20)

    def by_batch() -> Iterator[Measurement]:
        for point in measured(points):
            run, size = runs(subject, model, point, distinct=True)
            yield rows.engine_row(point, size, run, subject.card)
        best = rows.fastest(measured(points), seconds)
        assert best is not None  # else the part before failed
        run, size = runs(subject, model, best, distinct=False)
        equal = f"{run.tokens_per_second:.1f} tokens/s; decoded in step, so it looks faster than it is"
        yield figure(f"engine, {size} equal chunks of {best.chunk_seconds} s", run.real_time_factor, "x", equal)

    yield Part("engine by batch", by_batch, 20)
    yield Part("engine by chunk length", lambda: by_length(subject, model, points), 20)
    yield Part("mixed lengths as the job cuts them", lambda: mixed(subject, model, points), 15)
    yield Part("kernels", lambda: kernels(subject, model, seconds), 20)


def measured(points: list[Point | Stopped]) -> list[Point]:
    """Those that fitted."""
    return [point for point in points if isinstance(point, Point)]


def encoder_rows(subject: Subject, model: Any, points: list[Point | Stopped]) -> Iterator[Measurement]:
    """Speed and arithmetic of the fastest batch, and memory of each against the memory model."""
    best = max(measured(points), key=lambda point: point.encoder_factor)
    flops = flops_per_audio_second(subject, model, best.chunk_seconds)
    yield from rows.encoder_rows(best, points, flops, subject.card)
    for point in measured(points):
        if point.peak_bytes:
            yield rows.memory_row(point, memory_of(model, subject.device))


def runs(subject: Subject, model: Any, point: Point, *, distinct: bool) -> tuple[EngineRun, int]:
    """The engine at a point, and the chunks of its batches: it keeps a reserve of memory that the sweep did not."""
    ours = subject.engine(model, point.chunks, point.audio_seconds)
    length = point.chunk_seconds * SAMPLE_RATE
    size = ours.batch_limits.largest(length)
    batches = ceil(subject.amount(RUN_SECONDS, 0.0) * point.encoder_factor / (size * point.chunk_seconds))
    count = size * min(max(batches, subject.amount(MIN_BATCHES, 1)), MAX_BATCHES)
    sounds = subject.sounds(point.chunk_seconds, count) if distinct else subject.sounds(point.chunk_seconds, 1) * count
    ours.transcribe(sounds[:size])  # captures the decoder's graphs
    return through_local_engine(ours, [Chunk(index * length, one) for index, one in enumerate(sounds)]), size


def by_length(subject: Subject, model: Any, points: list[Point | Stopped]) -> Iterator[Measurement]:
    """Chunks of other lengths, as much audio a batch as was fastest."""
    best = max(measured(points), key=lambda point: point.encoder_factor)
    for seconds in subject.amount((10, 20, 60, 120), (3,)):
        point = Point(seconds, max(1, best.audio_seconds // seconds), best.encoder_factor, 0)
        run, size = runs(subject, model, point, distinct=True)
        detail = f"{run.tokens_per_second:.1f} tokens/s"
        yield figure(f"engine, {size} chunks of {seconds} s", run.real_time_factor, "x", detail)


def mixed(subject: Subject, model: Any, points: list[Point | Stopped]) -> Iterator[Measurement]:
    """Speech as the job cuts it, so that batches differ in chunks and length all the time."""
    best = max(measured(points), key=lambda point: point.encoder_factor)
    (sound,) = subject.sounds(subject.amount(1190, 8), 1)
    cut = [one.samples for one in chunks([sound], CutRules(max_seconds=float(max(5, best.chunk_seconds))))]
    ours = subject.engine(model, best.chunks, best.audio_seconds)
    placed = [Chunk(index * 60 * SAMPLE_RATE, one) for index, one in enumerate(cut * subject.amount(24, 1))]
    first, second = (through_local_engine(ours, placed).real_time_factor for _ in range(2))
    yield figure("engine, mixed lengths", second, "x", f"{len(placed)} chunks; first run {first:,.0f} x, with captures")


def stages(subject: Subject, model: Any, audio: int, seconds: int) -> Iterator[Measurement]:
    """Milliseconds of each stage, one after the other, and for how much of them the process itself was busy."""
    count = max(1, audio // seconds)
    ours = subject.engine(model, count, float(audio))
    batch: list[Samples] = subject.sounds(seconds, count)
    ours.transcribe(batch)  # captures, allocates, chooses algorithms
    times: dict[str, list[float]] = {}

    def step(name: str, action: Callable[[], Value]) -> Value:
        found: list[Value] = []
        times.setdefault(name, []).append(1000 * subject.once(lambda: found.append(action())))
        return found[0]

    def once() -> int:
        with inference():
            prepared = step("prepare", lambda: ours.prepare(batch))
            part = prepared.slices[0]
            features, frames = step(
                "preprocessor", lambda: model.preprocessor(input_signal=part.signal, length=part.lengths)
            )
            cast = features.to(subject.device.dtype)
            encoded, lengths = step("encoder", lambda: model.encoder(audio_signal=cast, length=frames))
            turned = encoded.transpose(1, 2)
            step("decoder", lambda: ours.decoder(turned, lengths))
        output = ours.run(ours.prepare(batch))
        return sum(map(len, step("finish", lambda: ours.finish(output))))

    tokens = [once() for _ in range(subject.amount(4, 1))][-1]
    rate = f"{count} chunks of {seconds} s, {tokens / (count * seconds):.1f} tokens/s"
    for name, taken in times.items():
        yield figure(f"stage {name} of a batch of {audio} s", sorted(taken)[len(taken) // 2], "ms", rate)


def kernels(subject: Subject, model: Any, seconds: int) -> Iterator[Measurement]:
    """The kernels that take most of preprocessor and encoder, by torch's profiler.

    Without the decoder, whose graphs have conditional nodes: what a profiler makes of those is its own affair.
    """
    count = subject.amount(40, 1)
    ours = subject.engine(model, count, float(count * seconds))
    prepared = ours.prepare(subject.sounds(seconds, count))
    subject.wait()
    part = prepared.slices[0]

    def encode() -> None:
        with inference():
            features, frames = model.preprocessor(input_signal=part.signal, length=part.lengths)
            model.encoder(audio_signal=features.to(subject.device.dtype), length=frames)

    encode()
    kinds = [torch.profiler.ProfilerActivity.CPU]
    kinds += [torch.profiler.ProfilerActivity.CUDA] if subject.device.is_gpu else []
    with torch.profiler.profile(activities=kinds) as recorded:
        encode()
        subject.wait()
    field = "self_device_time_total" if subject.device.is_gpu else "self_cpu_time_total"
    found = sorted(recorded.key_averages(), key=lambda one: -float(getattr(one, field)))
    whole = sum(float(getattr(one, field)) for one in found) or 1.0
    for one in found[: subject.amount(15, 3)]:
        share = 100 * float(getattr(one, field)) / whole
        yield figure(f"kernel {one.key[:70]}", share, "%", f"{one.count} calls; of {whole / 1000:.1f} ms")
