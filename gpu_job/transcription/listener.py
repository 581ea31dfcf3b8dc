"""Who waits for a file's transcript: a listener of its own, or a thread that blocks until it is there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from gpu_job.assembly.assemble import ChunkResult
from gpu_job.engines.chain import EngineChain
from shared.errors import EngineFailed

POLL_SECONDS = 0.5
"""How often a waiting thread looks whether its engines are still there."""


class TranscriptionListener:
    """Called on any thread, the engines' too, so it must be quick.

    Override what is of interest; the rest does nothing.
    """

    def chunk_transcribed(self, result: ChunkResult) -> None:
        """An engine transcribed a chunk."""

    def complete(self) -> None:
        """Every chunk has its result and the audit is done. May be called more than once."""

    def broke(self, error: Exception) -> None:
        """The transcription will not become complete: a result could not be taken, the audit ended, or only engines of
        another process may do the rest (EngineFailed). May be called more than once."""


class BlockingListener(TranscriptionListener):
    """Blocks a thread until one file's transcription is complete."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._error: Exception | None = None

    def complete(self) -> None:
        """Let `wait` return."""
        self._ended.set()

    def broke(self, error: Exception) -> None:
        """Let `wait` raise."""
        self._error = error
        self._ended.set()

    def wait(
        self,
        engines: EngineChain,
        timeout_seconds: float | None = None,
        *,
        on_poll: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_poll` is called every POLL_SECONDS.

        Raises EngineFailed where no engine is left, TimeoutError after `timeout_seconds`, and what broke."""
        began = time.monotonic()
        while not self._ended.wait(POLL_SECONDS):
            if not engines.is_available:
                raise engines.failure or EngineFailed("The engine was stopped.")
            on_poll()
            if timeout_seconds is not None and time.monotonic() - began > timeout_seconds:
                raise TimeoutError(f"The file was not transcribed within {timeout_seconds:g} s.")
        if self._error is not None:
            raise self._error
