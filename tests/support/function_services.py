"""The Cloud Function's services over a loopback cloud, with settings of the test's own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from trigger_function.services import Services, services_from_environment

MakeServices = Callable[..., Services]
"""`make_services(ENABLE_FALLBACK="false")`: the function's services with these settings."""


@contextmanager
def function_services(setenv: Callable[[str, str], None]) -> Iterator[MakeServices]:
    """A maker of services; those it made are stopped at the end, and logging is as it was before."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    made: list[Services] = []

    def make(**environment: str) -> Services:
        for name, value in environment.items():
            setenv(name, value)
        services_from_environment.cache_clear()
        made.append(services_from_environment())
        return made[-1]

    try:
        yield make
    finally:
        services_from_environment.cache_clear()
        for one in made:
            one.publisher.stop()
        root.handlers[:] = handlers
        root.setLevel(level)
