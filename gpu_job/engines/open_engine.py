"""An engine for programs without a deployment: one model, opened once for many files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec

from gpu_job.asr.load_recognizer import RecognizerOptions, load_recognizer
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.chunk_queue import BUFFERED_AUDIO_SECONDS
from gpu_job.engines.local import LocalEngine
from shared.enums import Engine
from shared.languages.models import PUBLISHED_MODEL


@contextmanager
def open_engine(
    model: str = PUBLISHED_MODEL, *, engine: Engine | None = None, options: RecognizerOptions | None = None
) -> Iterator[EngineChain]:
    """`with open_engine() as engine:` transcribe any number of files with it.

    The model is loaded in the background; what goes wrong there is raised by whoever submits audio. `engine`: the GPU
    or the CPU; None: the GPU where there is one.
    """
    engine = engine or _best_engine()
    chain = EngineChain()
    load = partial(load_recognizer, model, engine, options or RecognizerOptions())
    chain.add(LocalEngine(engine, model, load, BUFFERED_AUDIO_SECONDS, chain))
    chain.start()
    try:
        yield chain
    finally:
        chain.stop()


def _best_engine() -> Engine:
    """The GPU where there is one that torch can use; without torch there is none."""
    if find_spec("torch") is None:
        return Engine.PARAKEET_CPU
    from gpu_job.asr.device import accelerator

    return Engine.PARAKEET_GPU if accelerator() == "cuda" else Engine.PARAKEET_CPU
