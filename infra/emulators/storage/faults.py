"""Answers that go wrong on purpose."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.emulators.storage.errors import InjectedFaultError

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class Fault:
    """Spoils the next `remaining` requests of `method` (None: any) for objects whose name begins with `name_prefix`."""

    remaining: int
    status: int
    method: str | None
    name_prefix: str
    before: bool
    """Whether the request is refused; otherwise it is done and only its answer is lost."""

    def matches(self, method: str, name: str) -> bool:
        """Whether this fault is for that request."""
        return self.remaining > 0 and self.method in {None, method} and name.startswith(self.name_prefix)


class FaultPlan:
    """The faults to come; of those that match a request, the oldest strikes."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Put `fault` behind those there are."""
        with self._lock:
            self._faults.append(fault)

    @contextmanager
    def around(self, method: str, name: str) -> Iterator[None]:
        """Do a request within: InjectedFaultError before it or, whatever became of it, after it."""
        fault = self._take(method, name)
        if fault is None:
            yield
            return
        if fault.before:
            raise InjectedFaultError(fault.status)
        try:
            yield
        finally:
            raise InjectedFaultError(fault.status)

    def _take(self, method: str, name: str) -> Fault | None:
        with self._lock:
            fault = next((fault for fault in self._faults if fault.matches(method, name)), None)
            if fault:
                fault.remaining -= 1
            return fault
