"""Waiting for something to become true."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 600.0
"""Seconds within which whatever is right happens, on a machine that others use, too. Only a failing test takes them."""
POLL_SECONDS, LONGEST_POLL_SECONDS = 0.02, 0.2


def wait_until(look: Callable[[], T | None], what: str, timeout: float = PATIENCE) -> T:
    """The first answer of `look` that is not None or false; TimeoutError after `timeout` seconds."""
    deadline, pause = time.monotonic() + timeout, POLL_SECONDS
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout:g} s")
        time.sleep(pause)
        pause = min(1.1 * pause, LONGEST_POLL_SECONDS)  # to look must not keep what is waited for from its CPU
    return seen
