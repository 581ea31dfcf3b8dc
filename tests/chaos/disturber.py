"""Kills and freezes processes, repeats events, fills the disk, takes services away and runs jobs again, by a seed."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from infra.emulators.executions import Phase
from tests.chaos.disk import SmallDisk
from tests.chaos.faults import Faults, Service
from tests.chaos.reruns import Reruns
from tests.chaos.servers import ChaosCloud


@dataclass(frozen=True)
class Disturbances:
    """How often what happens, and for how long."""

    seconds_between: float = 2.0
    """Mean time from one disturbance to the next; half to one and a half times that."""
    freeze_seconds: float = 8.0
    """Of a worker: longer than a lease of the chaos runs."""
    freeze_function_seconds: tuple[float, float] = (20.0, 100.0)
    """The one, or the other, which is longer than a claim of the function."""
    outage_seconds: float = 4.0
    long_outage_seconds: float = 15.0
    """Of all services at once: longer than leases."""
    full_disk_seconds: float = 6.0
    weights: tuple[tuple[str, int], ...] = (
        ("kill worker", 6),
        ("terminate worker", 2),
        ("freeze worker", 2),
        ("kill function", 6),
        ("freeze function", 1),
        ("repeat events", 6),
        ("rerun", 2),
        ("fill disk", 2),
        ("storage outage", 2),
        ("Pub/Sub outage", 1),
        ("outage of everything", 1),
    )


class Disturber:
    """Disturbs a cloud from `__enter__` to `__exit__`."""

    def __init__(
        self,
        cloud: ChaosCloud,
        faults: Faults,
        seed: int,
        disturbances: Disturbances,
        *,
        reruns: Reruns,
        disk: SmallDisk | None,
    ) -> None:
        """`disk`: None: none can be filled."""
        self._cloud = cloud
        self._faults = faults
        self._random = random.Random(seed)
        self._disturbances = disturbances
        self._reruns = reruns
        self._disk = disk
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._disturb, name="disturber")
        self._undo: dict[threading.Timer, Callable[[], None]] = {}
        self.done: Counter[str] = Counter()
        """How often each happened."""
        self.function_stops: list[tuple[float, float]] = []
        """When a process of a function was killed or frozen, from when until when, on the monotonic clock."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        for timer, undo in tuple(self._undo.items()):
            timer.cancel()
            undo()

    def _disturb(self) -> None:
        names, weights = zip(*self._disturbances.weights, strict=True)
        actions = {
            "kill worker": lambda: self._signal_worker(signal.SIGKILL),
            "terminate worker": lambda: self._signal_worker(signal.SIGTERM),
            "freeze worker": self._freeze_worker,
            "kill function": self._kill_function,
            "freeze function": self._freeze_function,
            "repeat events": self._repeat_events,
            "rerun": self._reruns.begin_one,
            "fill disk": self._fill_disk,
            "storage outage": lambda: self._outage(self._disturbances.outage_seconds, Service.STORAGE),
            "Pub/Sub outage": lambda: self._outage(self._disturbances.outage_seconds, Service.PUBSUB),
            "outage of everything": lambda: self._outage(self._disturbances.long_outage_seconds, *Service),
        }
        while not self._stopping.wait(self._disturbances.seconds_between * self._random.uniform(0.5, 1.5)):
            (name,) = self._random.choices(names, weights)
            if actions[name]():
                self.done[name] += 1

    def _later(self, seconds: float, undo: Callable[[], None]) -> None:
        """Undo something after so many seconds, or when this one is left."""
        timer = threading.Timer(seconds, lambda: self._undo.pop(timer)())
        self._undo[timer] = undo
        timer.daemon = True
        timer.start()

    def _worker(self) -> int | None:
        """The process group of a task that runs."""
        running = [one.pid for one in self._cloud.runner.executions() if one.phase is Phase.RUNNING and one.pid]
        return self._random.choice(running) if running else None

    def _signal_worker(self, number: signal.Signals) -> bool:
        worker = self._worker()
        return worker is not None and _signal_group(worker, number)

    def _freeze_worker(self) -> bool:
        worker = self._worker()
        if worker is None or not _signal_group(worker, signal.SIGSTOP):
            return False
        self._later(self._disturbances.freeze_seconds, lambda: _signal_group(worker, signal.SIGCONT))
        return True

    def _kill_function(self) -> bool:
        """An instance dies with what it does; gunicorn starts another."""
        serving = self._function()
        if serving is None:
            return False
        self.function_stops.append((time.monotonic(), time.monotonic()))
        return _signal(serving, signal.SIGKILL)

    def _freeze_function(self) -> bool:
        """An instance without CPU, as Cloud Run leaves it between two requests."""
        serving = self._function()
        if serving is None or not _signal(serving, signal.SIGSTOP):
            return False
        seconds = self._random.choice(self._disturbances.freeze_function_seconds)
        self.function_stops.append((time.monotonic(), time.monotonic() + seconds))
        self._later(seconds, lambda: _signal(serving, signal.SIGCONT))
        return True

    def _function(self) -> int | None:
        """A process that answers a function's requests."""
        master = self._random.choice(self._cloud.functions).pid
        serving = _children(master) if master is not None else []
        return self._random.choice(serving) if serving else None

    def _fill_disk(self) -> bool:
        if self._disk is None:
            return False
        full = ExitStack()
        full.enter_context(self._disk.full())
        self._later(self._disturbances.full_disk_seconds, full.close)
        return True

    def _repeat_events(self) -> bool:
        events = self._cloud.eventarc.events
        for event in self._random.sample(events, min(3, len(events))):
            self._cloud.eventarc.redeliver(event.id)
        return bool(events)

    def _outage(self, seconds: float, *services: Service) -> bool:
        self._faults.outage(seconds, *services)
        return True


def _signal_group(leader: int, number: signal.Signals) -> bool:
    """Whether the process group was there."""
    try:
        if number is signal.SIGTERM:
            os.kill(leader, number)  # Cloud Run signals a container's first process
        else:
            os.killpg(leader, number)
    except ProcessLookupError:
        return False
    return True


def _signal(pid: int, number: signal.Signals) -> bool:
    """Whether the process was there."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
