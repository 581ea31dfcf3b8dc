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
from gpu_job.speakers.packed_windows import packed_windows, unpacked_windows
from gpu_job.speakers.stage import WHOLE_RECORDING, RecordingPart
from gpu_job.speakers.turns import Turn, turns_of
from gpu_job.speakers.voices import voices_of_turns
from gpu_job.speakers.windows import SpeakerWindow, WindowCutter, hear
from shared.options.speaker_count import SpeakerCount
from shared.voices.model import Voice

_log = logging.getLogger(__name__)

_MOST_WAITING = 16
"""Windows that may wait for the threads: 10 MB. Then the decoder waits."""


_FAILED = "speakers could not be told apart"


class BuiltInModel:
    """The networks that ship with the project, and clusters of what they hear: any number of speakers."""

    def __init__(self, networks: SpeakerNetworks | None = None) -> None:
        """`networks`: others than those that ship."""
        self._networks = networks or SpeakerNetworks()

    def begin(
        self,
        threads: Executor,
        count: SpeakerCount,
        done: Callable[[], None],
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> Diarizer:
        """As `SpeakerModel` has it."""
        return Diarizer(self._networks, threads, count, done, is_cancelled)

    def begin_part(
        self,
        threads: Executor,
        part: RecordingPart,
        count: SpeakerCount,
        done: Callable[[], None],
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> Diarizer:
        """As `SpeakerModel` has it."""
        return Diarizer(self._networks, threads, count, done, is_cancelled, part)

    def join(self, parts: Iterable[bytes], samples: int, count: SpeakerCount) -> HeardRecording:
        """As `SpeakerModel` has it."""
        return HeardRecording(unpacked_windows(parts, samples), samples, count)


class HeardRecording:
    """A recording all of whose windows are heard."""

    is_done = True

    def __init__(self, windows: Sequence[SpeakerWindow], samples: int, count: SpeakerCount) -> None:
        """`windows`: in time order. `samples`: the recording's."""
        self._windows = windows
        self._samples = samples
        self._count = count
        self.busy_seconds = 0.0
        """Time that it computed until now."""

    def add(self, samples: Samples) -> None:
        """Nothing more is heard."""

    def end(self) -> None:
        """It has ended."""

    def turns(self) -> list[Turn] | None:
        """As `SpeakerStage` has it."""
        began = time.monotonic()
        try:
            return turns_of(self._windows, speakers_of(self._windows, self._count), seconds(self._samples))
        except Exception as error:
            _log.error(_FAILED, exc_info=error)
            return None
        finally:
            self.busy_seconds += time.monotonic() - began

    def voices(self, turns: Sequence[Turn]) -> dict[int, Voice]:
        """As `SpeakerStage` has it."""
        return voices_of_turns(self._windows, turns)


class Diarizer:
    """One recording's, or a part's. `add` and `end` are the feeding thread's; windows are heard on the threads."""

    def __init__(
        self,
        networks: SpeakerNetworks,
        threads: Executor,
        count: SpeakerCount,
        done: Callable[[], None],
        is_cancelled: Callable[[], bool] = lambda: False,
        part: RecordingPart = WHOLE_RECORDING,
    ) -> None:
        """`done`: called from any thread when all windows are heard, or one of them could not be; behind `end`, check
        `is_done`. `is_cancelled`: whether nobody wants to know any more: then windows that wait are not heard."""
        self._networks = networks
        self._threads = threads
        self._count = count
        self._done = done
        self._cutter = WindowCutter(*part)
        self._room = threading.Semaphore(_MOST_WAITING)
        self._lock = threading.Lock()
        self._windows: dict[int, SpeakerWindow] = {}
        self._cut = 0
        self._samples = part.begin
        self._is_cut = False
        self._failure: Exception | None = None
        self._busy_seconds = 0.0
        self._is_cancelled = is_cancelled

    def add(self, samples: Samples) -> None:
        """The next samples. Blocks while the threads cannot keep up."""
        self._samples += len(samples)
        self._submit(self._cutter.add(samples))

    def end(self, *, is_left: bool = False) -> None:
        """No more samples will come; `is_left`: though the recording goes on, for `has_all` of a part."""
        if not is_left:
            self._submit(self._cutter.end())
        elif not self.has_all:
            self._failed(EOFError("a part ended before its last window"))
        with self._lock:
            self._is_cut = True

    @property
    def has_all(self) -> bool:
        """Whether all windows of a part are cut."""
        return self._cutter.has_all

    @property
    def is_done(self) -> bool:
        """Whether all is heard, or will not be."""
        with self._lock:
            return self._is_cut and (self._failure is not None or len(self._windows) == self._cut)

    def turns(self) -> list[Turn] | None:
        """Who spoke when, by start; None where it could not be found out. Ask when it is done."""
        if self._failure is not None:
            return None
        began = time.monotonic()
        try:
            return self._recording().turns()
        finally:
            self._was_busy(began)

    def voices(self, turns: Sequence[Turn]) -> dict[int, Voice]:
        """What the speakers of these turns sound like; those who hardly speak alone have none."""
        return self._recording().voices(turns)

    def packed(self) -> bytes | None:
        """What a part's windows found; None where one of them could not be heard. Ask when it is done."""
        return None if self._failure is not None else packed_windows(self._in_order())

    @property
    def busy_seconds(self) -> float:
        """Time that it computed until now, of all its threads together."""
        with self._lock:
            return self._busy_seconds

    def _recording(self) -> HeardRecording:
        return HeardRecording(self._in_order(), self._samples, self._count)

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
            _log.error(_FAILED, exc_info=error)
