"""The Deepgram room: Deepgram as one of the job's engines, asked for chunks or ranges of them, several at a time."""

from __future__ import annotations

import io
import logging
import threading
import wave
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from opentelemetry.trace import SpanKind

from gpu_job.asr.tokens import Token, tokens_of
from gpu_job.audio.samples import SAMPLE_RATE, Samples, seconds
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.chunk_queue import Task
from gpu_job.engines.ranges import pieces_of, recording_of, returned
from shared.deepgram import Deepgram
from shared.enums import Engine
from shared.errors import REMEDIES, EngineFailed, Remedy, kind_of
from shared.telemetry import tracing

_log = logging.getLogger(__name__)

CALLS_AT_ONCE = 4
"""Deepgram allows 100 and more; one job's chunks need no more to keep up."""

MAX_WAITING = 32
"""Calls whose decoders need not wait; 60 MB of chunks of 30 s."""


class DeepgramEngine:
    """Chunks go in from any thread; parts come out on the calling threads."""

    engine = Engine.DEEPGRAM
    takes_private = False

    def __init__(
        self,
        connect: Callable[[], Deepgram],
        model: str,
        language: str,
        on_delivered: Callable[[Sequence[Task]], None],
    ) -> None:
        """`connect` is called once, when the first chunk came: it imports the SDK, which takes a second."""
        self.model = f"deepgram {model}"
        self.failure: EngineFailed | None = None
        self._connect = connect
        self._connecting = threading.Lock()
        self._deepgram: Deepgram | None = None
        self._language = language
        self._on_delivered = on_delivered
        self._calls: dict[Future[None], Sequence[Task]] = {}
        """Made or waiting to be made."""
        self._changed = threading.Condition()
        self._stopped = False
        self._chain: EngineChain | None = None
        self._threads = ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="deepgram")

    def start(self, chain: EngineChain) -> None:
        """Take chunks from now on."""
        self._chain = chain

    def stop(self) -> None:
        """Make no more calls. Running ones may still deliver."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def has_place(self) -> bool:
        """Whether another call could be made at once."""
        with self._changed:
            return self.failure is None and not self._stopped and len(self._calls) < CALLS_AT_ONCE

    def pending_seconds(self, job_id: str) -> float:
        """Audio of a job's that is on its way to Deepgram or back."""
        with self._changed:
            tasks = [task for call in self._calls.values() for task in call if task.job_id == job_id]
        return sum(seconds(len(task.chunk.samples)) for task in tasks)

    def submit(self, task: Task, *, wait: bool) -> None:
        """Hand in a chunk; `wait`: block while too many wait. Raises EngineFailed where Deepgram cannot be asked."""
        self._submit([task], wait)

    def submit_range(self, tasks: Sequence[Task]) -> None:
        """Hand in chunks in a row, for one call. Where Deepgram cannot be asked, its neighbours in the chain are."""
        try:
            self._submit(tasks, wait=False)
        except EngineFailed as error:
            self._return(tasks, error)
            self._on_delivered(tasks)

    def drop(self, job_id: str) -> None:
        """Forget the waiting chunks of a job that ended: their calls are not made any more."""
        with self._changed:
            calls = [call for call, tasks in self._calls.items() if tasks[0].job_id == job_id]
        for call in calls:
            call.cancel()

    def feeding(self, change: int) -> None:
        """Calls never wait for more chunks."""

    def _submit(self, tasks: Sequence[Task], wait: bool) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not wait or self._stopped or self.failure or len(self._calls) < MAX_WAITING)
            if self.failure is not None:
                raise self.failure
            if self._stopped:
                raise EngineFailed("The engine was stopped.")
            call = self._threads.submit(self._transcribe, tasks)
            self._calls[call] = tasks
        call.add_done_callback(self._over)

    def _over(self, call: Future[None]) -> None:
        with self._changed:
            del self._calls[call]
            self._changed.notify_all()

    def _transcribe(self, tasks: Sequence[Task]) -> None:
        try:
            if self.failure is not None:
                raise self.failure
            for task, tokens in zip(tasks, self._heard(tasks), strict=True):
                task.answer(self.engine, tokens)
        except Exception as error:
            # The boundary of the thread: whatever happened, every chunk must get an answer from somebody.
            self._failed(tasks, error)
        self._on_delivered(tasks)

    def _heard(self, tasks: Sequence[Task]) -> list[list[Token]]:
        with self._connecting:
            self._deepgram = self._deepgram or self._connect()
        pieces = pieces_of([task.chunk for task in tasks])
        # Chunks in a row are of one upload.
        with tasks[0].about(), tracing.span("deepgram", kind=SpanKind.CLIENT, chunks=len(tasks)):
            heard = self._deepgram.transcribe(as_wav(recording_of(pieces)), self._language)
        return returned(tokens_of(heard.passage.words), pieces)

    def _failed(self, tasks: Sequence[Task], error: Exception) -> None:
        if not isinstance(error, EngineFailed):
            _log.error("deepgram could not be asked", exc_info=error)
            error = EngineFailed(f"Deepgram could not be asked ({type(error).__name__}).", kind_of(error))
        if REMEDIES[error.kind] is Remedy.LEAVE_ENGINE:
            self._give_up(error)
        self._return(tasks, error)

    def _give_up(self, error: EngineFailed) -> None:
        with self._changed:
            is_first, self.failure = self.failure is None, self.failure or error
            self._changed.notify_all()
        if is_first and self._chain is not None:
            self._chain.gone(self, [], error)

    def _return(self, tasks: Sequence[Task], error: EngineFailed) -> None:
        assert self._chain is not None  # set at the start
        for task in tasks:
            self._chain.failed(self, task, error)


def as_wav(samples: Samples) -> bytes:
    """Samples -> a WAV file of 16 bits."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE)
        writer.writeframes((np.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes())
    return file.getvalue()
