"""Coroutines run to their end, whatever loop runs in this thread: Playwright's does once a browser was opened in it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Its result, or its exception, from an event loop of its own on a thread of its own."""
    with ThreadPoolExecutor(1, thread_name_prefix="event-loop") as thread:
        return thread.submit(asyncio.run, coroutine).result()
