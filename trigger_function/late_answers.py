"""Answers that are still waited for after another engine took over. The function may not return before they are there:
Cloud Run gives it no CPU afterwards."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import TypeVar

from shared.errors import EngineFailed

_log = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class LateAnswers:
    """Those of one instance. Used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: set[threading.Thread] = set()

    def expect(
        self, answer: Future[Answer], *, use: Callable[[Answer], None], failed: Callable[[EngineFailed], None]
    ) -> None:
        """Have the answer used when it comes, on a thread of its own. Its call gives up by itself: then `failed`."""
        arguments = (self._await, answer, use, failed)
        thread = threading.Thread(target=copy_context().run, args=arguments, name="late-answer")
        with self._lock:
            self._waiting.add(thread)
        thread.start()

    def wait(self) -> None:
        """Until none is expected any more."""
        while self._waiting:
            with self._lock:
                threads = list(self._waiting)
            for thread in threads:
                thread.join()

    def _await(
        self, answer: Future[Answer], use: Callable[[Answer], None], failed: Callable[[EngineFailed], None]
    ) -> None:
        try:
            try:
                taken = answer.result()
            except EngineFailed as error:
                failed(error)
            else:
                use(taken)
        except Exception:
            # The job has another engine; what of the answer was stored is the next finisher's to publish.
            _log.exception("a late answer was not used")
        finally:
            with self._lock:
                self._waiting.discard(threading.current_thread())
