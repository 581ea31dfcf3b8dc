"""A chain of engines with one in it: a recognizer that the test has already."""

from __future__ import annotations

from gpu_job.asr.recognizer import Recognizer
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.local import LocalEngine

MAX_QUEUED_SECONDS = 1000.0
"""More audio than any test's recording has: feeding waits for nothing."""


def chain_of(recognizer: Recognizer, *, starts: bool = True) -> EngineChain:
    """The caller stops it. `starts`: whether its threads run; else what is submitted waits."""
    chain = EngineChain()
    chain.add(LocalEngine(recognizer.engine, recognizer.name, lambda: recognizer, MAX_QUEUED_SECONDS, chain))
    if starts:
        chain.start()
    return chain
