"""How long something takes."""

from __future__ import annotations

import time
from collections.abc import Callable


def wall_seconds(action: Callable[[], object]) -> float:
    """Of one call."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began
