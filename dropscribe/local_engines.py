"""Engines of this process, opened with the first recording that takes one and shared by all that follow."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from shared.settings.deepgram import DeepgramSettings
from shared.settings.deployment import DeploymentSettings

if TYPE_CHECKING:  # numpy, ONNX Runtime and ffmpeg's libraries are for those who transcribe on this machine
    from gpu_job.engines.chain import EngineChain


class LocalEngines:
    """A model takes seconds to load and gigabytes to hold: two recordings at once share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, tuple[EngineChain, ExitStack]] = {}

    def parakeet(self, model: str) -> EngineChain:
        """The model's, opened anew where the last one broke."""
        from gpu_job.engines.open_engine import open_engine

        with self._lock:
            if (known := self._open.get(model)) is not None:
                engine, stack = known
                if engine.is_available:
                    return engine
                stack.close()
            stack = ExitStack()
            engine = stack.enter_context(open_engine(model))
            self._open[model] = engine, stack
            return engine

    def close(self) -> None:
        """End all; who still transcribes gets an EngineFailed."""
        with self._lock:
            closing, self._open = self._open, {}
        for _, stack in closing.values():
            stack.close()


LOCAL_ENGINES = LocalEngines()
atexit.register(LOCAL_ENGINES.close)


@contextmanager
def deepgram_engine(settings: DeepgramSettings, language: str) -> Iterator[EngineChain]:
    """Deepgram, called from this machine for one recording."""
    from gpu_job.engines.chain import EngineChain
    from gpu_job.engines.deepgram import DeepgramEngine
    from shared.deepgram import Deepgram

    model = os.environ.get("DEEPGRAM_MODEL") or str(DeploymentSettings.model_fields["deepgram_model"].default)
    chain, seconds = EngineChain(), settings.deepgram_timeout_seconds
    connect = partial(Deepgram, settings, model)
    chain.add(DeepgramEngine(connect, model, language, chain, timeout_seconds=seconds))
    chain.start()
    try:
        yield chain
    finally:
        chain.stop()
