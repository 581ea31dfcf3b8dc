"""What the GPU benchmark's figures are held against. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from benchmarks.engine_runs import EngineRun
from benchmarks.gpu.points import Point, Stopped
from benchmarks.job_run import JobRun
from benchmarks.report import Measurement
from gpu_job.asr.memory import MemoryModel
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.settings import JobSettings
from shared.costs.bill import instance_second_usd
from shared.costs.prices import JobShape, PriceBook

TERAFLOPS = {"L4": 121, "A100": 312, "H100": 989, "H200": 989}
"""Dense bf16 peaks of NVIDIA's data sheets; of the H100 the SXM board's."""

ENGINE_TARGET, ENGINE_TARGET_CARD = 12_400, "H200"
ENGINE_PEER = "TensorRT fp16 on an H200: 12,353 x (fast-gpu-asr 0.2.0)"
JOB_TARGET, JOB_TARGET_CARD = 1_000, "L4"
JOB_PEER = "on an L4: 123 to 250 x (AWS blog, April 2026; NeMo issue 13990)"
USD_TARGET = 0.0015
USD_PEER = "AWS, Parakeet on demand: $0.0065"
SHARE_OF_SLOWER_TARGET = 0.8
DEFAULT_SETTINGS, LARGE_BATCHES, WITHOUT_MODEL = "default settings", "large batches", "everything but the model"
"""Of the whole job's runs."""


def peak_teraflops(name: str) -> int | None:
    """A device's name as CUDA has it -> its bf16 peak; None for a card that the table lacks, such as the L40."""
    words = re.split(r"[\s-]+", name)
    return next((peak for card, peak in TERAFLOPS.items() if card in words), None)


def is_card(name: str, card: str) -> bool:
    """Whether a device's name as CUDA has it is that of a card."""
    return card in re.split(r"[\s-]+", name)


def fastest(points: Iterable[Point], chunk_seconds: int) -> Point | None:
    """The batch of this chunk length with the fastest encoder."""
    return max(
        (one for one in points if one.chunk_seconds == chunk_seconds), key=lambda one: one.encoder_factor, default=None
    )


def largest(points: Iterable[Point], chunk_seconds: int) -> Point | None:
    """The largest batch of this chunk length that fitted."""
    return max((one for one in points if one.chunk_seconds == chunk_seconds), key=lambda one: one.chunks, default=None)


def encoder_rows(
    point: Point, measured: Sequence[Point | Stopped], flops_per_second: float, name: str
) -> list[Measurement]:
    """The fastest encoder of one chunk length: its speed, and how much of the card that is."""
    row = [one for one in measured if one.chunk_seconds == point.chunk_seconds]
    tried = ", ".join(f"{one.chunks}: {one.encoder_factor:,.0f}" for one in row if isinstance(one, Point))
    stopped = "".join(f"; {one.chunks}: {one.reason}" for one in row if isinstance(one, Stopped))
    what = f"{point.chunks} chunks of {point.chunk_seconds} s"
    done = flops_per_second * point.encoder_factor / 1e12
    rows = [
        Measurement(f"gpu: encoder, {what}", point.encoder_factor, "x", f"by batch: {tried}{stopped}", "-", None),
        Measurement(f"gpu: encoder, arithmetic, {what}", done, "TFLOP/s", _per_second(flops_per_second), "-", None),
    ]
    if peak := peak_teraflops(name):
        rows.append(
            Measurement(f"gpu: encoder, share of peak, {what}", 100 * done / peak, "%", f"{peak} TFLOP/s", "-", None)
        )
    return rows


def _per_second(flops: float) -> str:
    return f"{flops / 1e9:.3g} GFLOP per second of audio"


def memory_row(point: Point, model: MemoryModel) -> Measurement:
    """Measured memory over what the memory model says; a model that promises too little runs out."""
    predicted_bytes = model.weights + model.activations(point.chunks, point.chunk_seconds * SAMPLE_RATE)
    ratio = point.peak_bytes / predicted_bytes
    what = f"{point.chunks} chunks of {point.chunk_seconds} s"
    peer = f"{point.peak_bytes / 1e9:.2f} GB, predicted {predicted_bytes / 1e9:.2f} GB"
    return Measurement(f"gpu: memory / the model's, {what}", ratio, "x", peer, "0.85 to 1.15", 0.85 <= ratio <= 1.15)


def engine_row(point: Point, chunks: int, run: EngineRun, name: str) -> Measurement:
    """The engine's speed in batches of so many chunks, beside the encoder's; the target is for one card only."""
    factor = run.real_time_factor
    holds = factor >= ENGINE_TARGET if is_card(name, ENGINE_TARGET_CARD) else None
    what = f"gpu: engine, {chunks} chunks of {point.chunk_seconds} s, {run.tokens_per_second:.1f} tokens/s"
    target = f">= {ENGINE_TARGET:,} x on an {ENGINE_TARGET_CARD}"
    return Measurement(what, factor, "x", f"encoder alone {point.encoder_factor:,.0f} x; {ENGINE_PEER}", target, holds)


def peer_row(ours: float, theirs: float, batch: int, *, timestamps: bool) -> Measurement:
    """Our engine over NeMo's transcribe()."""
    form = "with word times" if timestamps else "text only"
    peer = f"ours {ours:,.0f} x, with tokens' times; NeMo's {theirs:,.0f} x"
    name = f"gpu: engine / NeMo's transcribe(arrays), batches of {batch}, {form}"
    return Measurement(name, ours / theirs, "x", peer, "> 1 x", ours > theirs)


def job_rows(run: JobRun, card: str, what: str) -> list[Measurement]:
    """The whole job's speed, and what an hour of audio costs on an L4. `what`: the settings it had."""
    is_target = is_card(card, JOB_TARGET_CARD)
    factor = run.audio_seconds / run.wall_seconds
    usd = usd_per_audio_hour(run, default_shape(), PriceBook.load())
    start = (
        f"start-up {run.start_up_seconds:.1f} of {run.wall_seconds:.1f} s, {run.audio_seconds / 3600:.1f} h of audio"
    )
    return [
        Measurement(
            f"gpu: whole job, {what}, process start to last message",
            factor,
            "x",
            f"{start}; {JOB_PEER}",
            f">= {JOB_TARGET:,} x on an {JOB_TARGET_CARD}",
            factor >= JOB_TARGET if is_target else None,
        ),
        Measurement(f"gpu: share of time without a batch, {what}", 100 * run.waited, "%", "after start-up", "-", None),
        Measurement(
            f"gpu: price of an audio hour at L4 prices, {what}",
            usd,
            "$",
            f"this run's time on {card}; {USD_PEER}",
            f"< ${USD_TARGET} on an {JOB_TARGET_CARD}",
            usd < USD_TARGET if is_target else None,
        ),
    ]


def after_start_up(what: str) -> str:
    """The name of the figure of a whole job's speed without its start. `what`: the settings it had."""
    return f"whole job, {what}, after start-up"


def job_against_parts(found: Sequence[Measurement]) -> list[Measurement]:
    """Of all steps' figures: the whole job in large batches against the slower of the engine and of all the rest; none
    where one of them was not measured."""
    values = {row.name: row.value for row in found}
    job, rest = (values.get(f"gpu: {after_start_up(what)}") for what in (LARGE_BATCHES, WITHOUT_MODEL))
    engines = [row.value for row in found if re.match(r"gpu: engine, \d+ chunks of ", row.name)]
    if job is None or rest is None or not engines:
        return []
    slower = min(max(engines), rest)
    share = job / slower if slower else 0.0
    return [
        Measurement(
            "gpu: whole job after start-up / the slower of engine and all the rest",
            share,
            "x",
            f"{job:,.0f} x; engine {max(engines):,.0f} x, decoders and Python {rest:,.0f} x",
            f">= {SHARE_OF_SLOWER_TARGET} x",
            share >= SHARE_OF_SLOWER_TARGET,
        )
    ]


def usd_per_audio_hour(run: JobRun, shape: JobShape, prices: PriceBook) -> float:
    """The instance's whole life, its start before the process included."""
    seconds = run.wall_seconds + float(default("instance_start_seconds"))
    return seconds * instance_second_usd(shape, prices) / (run.audio_seconds / 3600)


def default_shape() -> JobShape:
    """The hardware that the job's settings name where nothing else is set."""
    gpu, vcpu, memory = (default(name) for name in ("job_gpu", "job_vcpu", "job_memory_gib"))
    return JobShape(gpu=str(gpu), vcpu=float(vcpu), memory_gib=float(memory))


def default(setting: str) -> str | float:
    """The default of one of the job's settings."""
    value: str | float = JobSettings.model_fields[setting].default
    return value
