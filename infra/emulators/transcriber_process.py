"""The Deepgram stand-in's transcriber: a child process that calls `gpu_job.pipeline.transcribe`.

A child, because the model's library takes its time to import and its memory should go when the cloud stops.
"""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass
from multiprocessing import Pipe
from typing import TYPE_CHECKING, Any

from infra.emulators.processes import ProcessGroup
from shared.deepgram_request import DeepgramRequest
from shared.errors import DropscribeError, EngineFailed

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

    from shared.transcript.model import Word


@dataclass(frozen=True)
class TranscribedFile:
    """The words of one recording."""

    words: tuple[Word, ...]
    """Of channels transcribed separately, each as one speaker."""
    channels: int
    """Channels transcribed separately."""
    duration: float
    """Seconds of audio decoded."""


class TranscriberProcess:
    """Transcribes one recording at a time with the model in the file `model`. The first one starts the process.

    What the process prints is appended to `log`.
    """

    def __init__(self, model: str, log: Path, process_type: type[ProcessGroup] = ProcessGroup) -> None:
        self._model = model
        self._log = log
        self._process_type = process_type
        self._turn = threading.Lock()
        self._child: _Child | None = None
        self._stopped = False
        self._child_lock = threading.Lock()

    def transcribe(self, path: Path, request: DeepgramRequest) -> TranscribedFile:
        """What is said in a file, as far as the request asks for what the model can do: split channels, speakers.

        Raises BadMedia, and EngineFailed without a model or where its process ends.
        """
        with self._turn:
            child = self._running_child()
            try:
                child.pipe.send((path, request))
                answer: TranscribedFile | DropscribeError = child.pipe.recv()
            except (EOFError, OSError) as error:
                self._forget(child)
                raise EngineFailed("The transcriber's process has ended.") from error
        if isinstance(answer, DropscribeError):
            raise answer
        return answer

    def stop(self) -> None:
        """End the process in the middle of whatever it does; idempotent and final."""
        with self._child_lock:
            self._stopped = True
            if self._child:
                self._child.end()

    def _running_child(self) -> _Child:
        with self._child_lock:
            if self._stopped:
                raise EngineFailed("The Deepgram stand-in was stopped.")
            self._child = self._child or self._started()
            return self._child

    def _started(self) -> _Child:
        ours, theirs = Pipe()
        # Only without our copy of the child's end does its death close the pipe.
        with theirs:
            fd = theirs.fileno()
            command = (sys.executable, "-m", "infra.emulators.transcriber", self._model, str(fd))
            return _Child(self._process_type(command, os.environ, self._log, pass_fds=[fd]), ours)

    def _forget(self, child: _Child) -> None:
        with self._child_lock:
            child.end()
            self._child = None


@dataclass(frozen=True)
class _Child:
    process: ProcessGroup
    pipe: Connection[Any, Any]

    def end(self) -> None:
        self.process.end(grace_seconds=0.0)
