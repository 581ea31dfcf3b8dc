"""Waiting for one file: until it is complete, an error comes, the engines are gone, or the time is over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gpu_job.engines.chain import EngineChain
from gpu_job.engines.deepgram import DeepgramEngine
from gpu_job.transcription.listener import BlockingListener
from shared.deepgram import Deepgram
from shared.errors import EngineFailed, FailureKind


def no_call() -> Deepgram:
    raise EngineFailed("Nobody calls Deepgram here.")


@pytest.fixture
def chain() -> Iterator[EngineChain]:
    """Of one engine that has nothing to do."""
    engines = EngineChain()
    engines.add(DeepgramEngine(no_call, "nova-3", "en", engines, timeout_seconds=1.0))
    engines.start()
    yield engines
    engines.stop()


def test_a_complete_file_ends_the_wait(chain: EngineChain) -> None:
    listener = BlockingListener()
    listener.complete()
    listener.wait(chain)


def test_what_broke_is_raised(chain: EngineChain) -> None:
    listener = BlockingListener()
    listener.broke(ValueError("no tokens"))
    with pytest.raises(ValueError, match="no tokens"):
        listener.wait(chain)


def test_engines_that_are_gone_end_the_wait() -> None:
    chain = EngineChain()
    engine = DeepgramEngine(no_call, "nova-3", "en", chain, timeout_seconds=1.0)
    engine.failure = EngineFailed("Deepgram answered 402.", FailureKind.QUOTA)
    chain.add(engine)
    with pytest.raises(EngineFailed, match="Deepgram answered 402"):
        BlockingListener().wait(chain)


def test_stopped_engines_end_the_wait(chain: EngineChain) -> None:
    chain.stop()
    with pytest.raises(EngineFailed, match="stopped"):
        BlockingListener().wait(chain)


def test_a_time_limit_ends_the_wait(chain: EngineChain) -> None:
    with pytest.raises(TimeoutError, match=r"within 0\.1 s"):
        BlockingListener().wait(chain, timeout_seconds=0.1)
