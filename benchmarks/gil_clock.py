"""How much of a process's processor time is spent under its interpreter's lock (GIL), asked from inside. On Linux.

Each thread has a timer on its own processor clock. Whenever it runs out, the kernel interrupts that thread, wherever it
is, and a handler in C (`gil_clock.c`) asks the interpreter whether this thread holds the lock. A thread that waits, be
it for the lock, for a core or for a disk, uses no processor time and is not asked: so it does not matter what else the
machine does. Looking from outside, as py-spy does, cannot tell a thread that runs from one that waits for a core, and
does not see threads without Python.

The counts are in a file that both processes map: who measures reads them at any time.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

INTERVAL_SECONDS = 0.005
"""Of processor time, for each thread. The kernel looks at such timers at its ticks, of which there are 250 a second or
more; what runs out between two of them is counted."""
LOOK_SECONDS = 0.25
"""How often new threads are looked for; what shorter ones do is not seen."""

_COUNTS = struct.Struct("@ll")


@dataclass(frozen=True)
class Looks:
    """At threads that ran, each INTERVAL_SECONDS of theirs."""

    seen: int
    held: int
    """Of these, at threads that held the lock."""

    def __sub__(self, before: Looks) -> Looks:
        return Looks(self.seen - before.seen, self.held - before.held)

    @property
    def share(self) -> float | None:
        """Of the processor time under the lock, from 0 to 1; None where nothing was seen."""
        return self.held / self.seen if self.seen else None


@dataclass(frozen=True)
class GilClock:
    """A library and the file of its counts, both in one folder."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> GilClock | None:
        """Built into the folder; None where there is no C compiler, and on other systems than Linux."""
        compiler = shutil.which("cc")
        if compiler is None or sys.platform != "linux":
            return None
        clock = cls(folder)
        source = Path(__file__).with_suffix(".c")
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", clock._library, source], check=True)
        clock._counts.write_bytes(bytes(_COUNTS.size))
        return clock

    def looks(self) -> Looks:
        """Until now."""
        return Looks(*_COUNTS.unpack(self._counts.read_bytes()))

    def watch(self) -> None:
        """All threads of this process, until it ends, those included that are still to come."""
        library = ctypes.CDLL(str(self._library))
        library.watch.argtypes = [ctypes.c_int, ctypes.c_long]
        if library.count_in(os.fsencode(self._counts)) != 0:
            raise OSError(f"no looks can be counted in {self._counts}")
        threads = _watch_new(library, set())
        threading.Thread(target=_watch_all, args=(library, threads), name="gil-clock", daemon=True).start()

    @property
    def _library(self) -> Path:
        return self.folder / "gil_clock.so"

    @property
    def _counts(self) -> Path:
        return self.folder / "gil_clock.counts"


def _watch_all(library: ctypes.CDLL, watched: set[int]) -> None:
    while True:
        watched = _watch_new(library, watched)
        time.sleep(LOOK_SECONDS)


def _watch_new(library: ctypes.CDLL, watched: set[int]) -> set[int]:
    """All threads that there are; those that were not watched are from now on."""
    threads = {int(each.name) for each in Path("/proc/self/task").iterdir()}
    for thread in threads - watched:
        library.watch(thread, round(INTERVAL_SECONDS * 1e9))  # it may have ended already
    return threads
