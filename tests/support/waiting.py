"""Waiting for something to become true."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 300.0
"""Seconds within which whatever is right happens, on a machine that others use, too. Only a failing test takes them."""
POLL_SECONDS = 0.02


def wait_until(look: Callable[[], T | None], what: str, timeout: float = PATIENCE) -> T:
    """The first answer of `look` that is not None or false; TimeoutError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout:g} s")
        time.sleep(POLL_SECONDS)
    return seen
