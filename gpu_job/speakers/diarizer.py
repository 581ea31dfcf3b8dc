"""The stage beside transcription: takes a recording as it is decoded, and says in the end who speaks when."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from contextvars import copy_context

from gpu_job.audio.samples import Samples, seconds
from gpu_job.speakers.clusters import speakers_of
from gpu_job.speakers.networks import SpeakerNetworks
from gpu_job.speakers.turns import Turn, turns_of
from gpu_job.speakers.voices import voices_of_turns
from gpu_job.speakers.windows import SpeakerWindow, WindowCutter, hear
from shared.options.speaker_count import SpeakerCount
from shared.voices.model import Voice

_log = logging.getLogger(__name__)

_MOST_WAITING = 16
"""Windows that may wait for the threads: 10 MB. Then the decoder waits."""


class BuiltInModel:
    """The networks that ship with the project, and clusters of what they hear: any number of speakers."""

    def __init__(self) -> None:
        self._networks = SpeakerNetworks()

    def begin(
        self,
        threads: Executor,
        count: SpeakerCount,
        done: Callable[[], None],
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> Diarizer:
        """As `SpeakerModel` has it."""
        return Diarizer(self._networks, threads, count, done, is_cancelled)


class Diarizer:
    """One recording's. `add` and `end` are the feeding thread's; windows are heard on the threads."""

    def __init__(
        self,
        networks: SpeakerNetworks,
        threads: Executor,
        count: SpeakerCount,
        done: Callable[[], None],
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """`done`: called from any thread when all windows are heard, or one of them could not be; behind `end`, check
        `is_done`. `is_cancelled`: whether nobody wants to know any more: then windows that wait are not heard."""
        self._networks = networks
        self._threads = threads
        self._count = count
        self._done = done
        self._cutter = WindowCutter()
        self._room = threading.Semaphore(_MOST_WAITING)
        self._lock = threading.Lock()
        self._windows: dict[int, SpeakerWindow] = {}
        self._cut = 0
        self._samples = 0
        self._is_cut = False
        self._failure: Exception | None = None
        self._busy_seconds = 0.0
        self._is_cancelled = is_cancelled

    def add(self, samples: Samples) -> None:
        """The next samples. Blocks while the threads cannot keep up."""
        self._samples += len(samples)
        self._submit(self._cutter.add(samples))

    def end(self) -> None:
        """No more samples will come."""
        self._submit(self._cutter.end())
        with self._lock:
            self._is_cut = True

    @property
    def is_done(self) -> bool:
        """Whether all is heard, or will not be."""
        with self._lock:
            return self._is_cut and (self._failure is not None or len(self._windows) == self._cut)

    def turns(self) -> list[Turn] | None:
        """Who spoke when, by start; None where it could not be found out. Ask when it is done."""
        if self._failure is not None:
            return None
        windows, began = self._in_order(), time.monotonic()
        try:
            return turns_of(windows, speakers_of(windows, self._count), seconds(self._samples))
        except Exception as error:
            self._failed(error)
            return None
        finally:
            self._was_busy(began)

    def voices(self, turns: Sequence[Turn]) -> dict[int, Voice]:
        """What the speakers of these turns sound like; those who hardly speak alone have none."""
        return voices_of_turns(self._in_order(), turns)

    @property
    def busy_seconds(self) -> float:
        """Time that it computed until now, of all its threads together."""
        with self._lock:
            return self._busy_seconds

    def _in_order(self) -> list[SpeakerWindow]:
        return [self._windows[start] for start in sorted(self._windows)]

    def _was_busy(self, since: float) -> None:
        with self._lock:
            self._busy_seconds += time.monotonic() - since

    def _submit(self, windows: Iterable[tuple[int, Samples]]) -> None:
        for start, window in windows:
            self._cut += 1
            self._room.acquire()
            try:
                # In the caller's context: what is logged there is logged for the same upload.
                self._threads.submit(copy_context().run, self._hear, start, window)
            except RuntimeError as error:  # the threads were shut down
                self._room.release()
                self._failed(error)

    def _hear(self, start: int, window: Samples) -> None:
        began = time.monotonic()
        try:
            if self._is_cancelled() or self._failure is not None:
                return
            heard = hear(self._networks, start, window)
            with self._lock:
                self._windows[start] = heard
        except Exception as error:
            self._failed(error)
        finally:
            self._was_busy(began)
            self._room.release()
        if self.is_done:
            self._done()

    def _failed(self, error: Exception) -> None:
        """The words are there all the same: the transcript only does not say whose they are."""
        with self._lock:
            is_first, self._failure = self._failure is None, error
        if is_first:
            _log.error("speakers could not be told apart", exc_info=error)
