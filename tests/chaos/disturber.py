"""Kills and freezes processes, repeats events and takes Cloud Storage away, by a seed."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from infra.emulators.executions import Phase
from tests.chaos.faults import Faults, Service
from tests.chaos.servers import ChaosCloud


@dataclass(frozen=True)
class Disturbances:
    """How often what happens, and for how long."""

    seconds_between: float = 2.0
    """Mean time from one disturbance to the next; half to one and a half times that."""
    freeze_seconds: float = 8.0
    """Longer than a lease of the chaos runs."""
    outage_seconds: float = 4.0
    weights: tuple[tuple[str, int], ...] = (
        ("kill worker", 3),
        ("terminate worker", 1),
        ("freeze worker", 1),
        ("kill function", 3),
        ("repeat events", 3),
        ("storage outage", 1),
    )


class Disturber:
    """Disturbs a cloud from `__enter__` to `__exit__`."""

    def __init__(self, cloud: ChaosCloud, faults: Faults, seed: int, disturbances: Disturbances) -> None:
        self._cloud = cloud
        self._faults = faults
        self._random = random.Random(seed)
        self._disturbances = disturbances
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._disturb, name="disturber")
        self.done: Counter[str] = Counter()
        """How often each happened."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _disturb(self) -> None:
        names, weights = zip(*self._disturbances.weights, strict=True)
        actions = {
            "kill worker": lambda: self._signal_worker(signal.SIGKILL),
            "terminate worker": lambda: self._signal_worker(signal.SIGTERM),
            "freeze worker": self._freeze_worker,
            "kill function": self._kill_function,
            "repeat events": self._repeat_events,
            "storage outage": self._storage_outage,
        }
        while not self._stopping.wait(self._disturbances.seconds_between * self._random.uniform(0.5, 1.5)):
            (name,) = self._random.choices(names, weights)
            if actions[name]():
                self.done[name] += 1

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
        self._stopping.wait(self._disturbances.freeze_seconds)
        _signal_group(worker, signal.SIGCONT)
        return True

    def _kill_function(self) -> bool:
        """An instance dies with what it does; gunicorn starts another."""
        master = self._random.choice(self._cloud.functions).pid
        serving = _children(master) if master is not None else []
        if not serving:
            return False
        with suppress(ProcessLookupError):
            os.kill(self._random.choice(serving), signal.SIGKILL)
        return True

    def _repeat_events(self) -> bool:
        events = self._cloud.eventarc.events
        for event in self._random.sample(events, min(3, len(events))):
            self._cloud.eventarc.redeliver(event.id)
        return bool(events)

    def _storage_outage(self) -> bool:
        self._faults.outage(Service.STORAGE, self._disturbances.outage_seconds)
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


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
