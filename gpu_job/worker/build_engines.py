"""The engines of this deployment's job, in the order in which they are asked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from gpu_job.asr.recognizer import Recognizer
from gpu_job.engines.chain import ChainedEngine, EngineChain
from gpu_job.engines.chunk_queue import Task
from gpu_job.engines.deepgram import DeepgramEngine
from gpu_job.engines.local import LocalEngine
from gpu_job.worker.billing import Billing
from gpu_job.worker.services import JobServices
from gpu_job.worker.spans import BatchSpans
from shared.deepgram import Deepgram
from shared.enums import Engine
from shared.errors import EngineFailed
from shared.telemetry.logs import log_telemetry_errors, remove_library_handlers


@dataclass(frozen=True)
class Engines:
    """What a worker transcribes with."""

    chain: EngineChain
    local: Sequence[LocalEngine]
    """Parakeet on every device that the instance has."""
    deepgram: DeepgramEngine | None


def engines_of(services: JobServices, billing: Billing, on_delivered: Callable[[Sequence[Task]], None]) -> Engines:
    """Parakeet on the GPU that the instance has, on its CPU, then Deepgram; only the first where fallback is off."""
    settings = services.settings
    local = [Engine.PARAKEET_GPU] * (settings.shape.gpu is not None) + [Engine.PARAKEET_CPU]
    rooms = [_room(engine, services, billing, on_delivered) for engine in local]
    deepgram = None
    if settings.deepgram_api_key is not None:
        connect = partial(Deepgram, settings, settings.deepgram_model)

        def answered(tasks: Sequence[Task]) -> None:
            billing.answered_elsewhere()
            on_delivered(tasks)

        deepgram = DeepgramEngine(connect, settings.deepgram_model, settings.language, answered)
    asked: list[ChainedEngine] = [*rooms, deepgram] if deepgram else [*rooms]

    def gone(engine: Engine, error: EngineFailed, jobs: Sequence[str]) -> None:
        if engine is Engine.PARAKEET_GPU:
            # With chunks of several uploads nobody knows whose fault it was.
            services.gpu_failed(error.kind, jobs[0] if len(jobs) == 1 else None)

    chain = EngineChain(asked, fallback=settings.enable_fallback, on_delivered=on_delivered, on_gone=gone)
    return Engines(chain, rooms, deepgram)


def _room(
    engine: Engine,
    services: JobServices,
    billing: Billing,
    on_delivered: Callable[[Sequence[Task]], None],
) -> LocalEngine:
    spans = BatchSpans(engine)

    def load() -> Recognizer:
        # NeMo's own telemetry is off, and would say so in two warnings.
        logging.getLogger("nv_one_logger").setLevel(logging.ERROR)
        recognizer = services.load_model(engine)
        # NeMo and Lightning came with it, and with them handlers of their own.
        remove_library_handlers()
        return recognizer

    def begins() -> None:
        billing.batch_begins(engine)
        spans.begins()

    def done(tasks: Sequence[Task]) -> None:
        billing.batch_done(engine, tasks)
        with log_telemetry_errors():
            spans.done(tasks)

    return LocalEngine(
        engine,
        services.settings.parakeet_model_name,
        load,
        services.settings.buffered_audio_seconds,
        on_begin=begins,
        on_batch=done,
        on_delivered=on_delivered,
        on_smaller=services.remember_sizes,
    )
