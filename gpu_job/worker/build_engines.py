"""The engines of this deployment's job, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from gpu_job.engines.chain import EngineChain
from gpu_job.engines.deepgram import DeepgramEngine
from gpu_job.engines.listener import EngineListener
from gpu_job.engines.local import LocalEngine
from gpu_job.worker.services import JobServices
from shared.deepgram import Deepgram
from shared.enums import Engine


@dataclass(frozen=True)
class Engines:
    """What a worker transcribes with."""

    chain: EngineChain
    local: Sequence[LocalEngine]
    """Parakeet on every device that the instance has."""
    deepgram: DeepgramEngine | None


def build_engines(services: JobServices, listener: EngineListener) -> Engines:
    """Parakeet on the GPU that the instance has, on its CPU, then Deepgram; only the first where fallback is off."""
    settings = services.settings
    chain = EngineChain(fallback=settings.enable_fallback, listener=listener)
    local = [
        LocalEngine(
            engine,
            settings.parakeet_model_name,
            partial(services.load_model, engine),
            settings.buffered_audio_seconds,
            chain,
            listener,
            settings.time_limits,
            load_other=partial(services.load_other_model, engine),
            loaded_models=settings.loaded_models,
            loaded_models_gib=settings.loaded_models_gib,
        )
        for engine in [Engine.PARAKEET_GPU] * (settings.shape.gpu is not None) + [Engine.PARAKEET_CPU]
    ]
    deepgram = None
    if settings.deepgram_api_key is not None:
        connect = partial(Deepgram, settings, settings.deepgram_model)
        deepgram = DeepgramEngine(
            connect,
            settings.deepgram_model,
            settings.language,
            chain,
            listener,
            timeout_seconds=settings.deepgram_timeout_seconds,
        )
    for engine in local:
        chain.add(engine)
    if deepgram is not None:
        chain.add(deepgram)
    return Engines(chain, local, deepgram)
