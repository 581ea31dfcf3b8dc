"""Deepgram as one of the job's engines: called for chunks or ranges of them, several calls at a time."""

from __future__ import annotations

import io
import logging
import threading
import wave
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import numpy as np
from opentelemetry.trace import SpanKind

from gpu_job.asr.recognizer import SpeechModel
from gpu_job.asr.tokens import Token, tokens_of
from gpu_job.audio.samples import SAMPLE_RATE, Samples, seconds
from gpu_job.engines.api_call import ApiCall
from gpu_job.engines.chain import FailureHandler
from gpu_job.engines.listener import EngineListener
from gpu_job.engines.ranges import Piece, pieces_of, recording_of, returned
from gpu_job.engines.task import Task
from shared.deepgram import Deepgram, DeepgramResult, answer_in_time
from shared.deepgram_request import DeepgramRequest
from shared.enums import Engine
from shared.errors import REMEDIES, EngineFailed, Remedy, kind_of
from shared.keyterms.deepgram import terms_at_deepgram
from shared.keyterms.report import EngineTerms
from shared.keyterms.terms import Keyterm
from shared.telemetry import tracing

_log = logging.getLogger(__name__)

CALLS_AT_ONCE = 4
"""Deepgram allows 100 and more; one job's chunks need no more to keep up."""

MAX_WAITING = 32
"""Calls whose decoders need not wait; 60 MB of chunks of 30 s."""


class DeepgramEngine:
    """Tasks go in from any thread; results come out on the calls' threads."""

    engine = Engine.DEEPGRAM
    is_local = False

    def __init__(
        self,
        connect: Callable[[], Deepgram],
        model: str,
        language: str,
        failures: FailureHandler,
        listener: EngineListener | None = None,
        *,
        timeout_seconds: float,
    ) -> None:
        """`language`: of uploads that bring none, as LANGUAGE has it. `connect` is called once, for the
        first chunk: it imports the SDK, which takes a second.

        `timeout_seconds`: how long an answer is waited for where another engine could transcribe the chunks. One that
        comes later is delivered all the same; the first result of a chunk is the one that counts.
        """
        self.model = f"deepgram {model}"
        self.failure: EngineFailed | None = None
        self._connect = connect
        self._connecting = threading.Lock()
        self._deepgram: Deepgram | None = None
        self._language = language
        self._failures = failures
        self._timeout_seconds = timeout_seconds
        self._listener = listener or EngineListener()
        self._calls: dict[Future[None], Sequence[Task]] = {}
        """Running or waiting to run."""
        self._changed = threading.Condition()
        self._stopped = False
        self._threads = ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="deepgram")

    def holds(self, model: SpeechModel) -> bool:
        """It has none."""
        return False

    def model_of(self, model: SpeechModel | None) -> str:
        """Its own, whatever local engines would take."""
        return self.model

    def start(self) -> None:
        """Nothing has to be loaded."""

    def stop(self) -> None:
        """Make no more calls. Running ones may still deliver."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def has_capacity(self) -> bool:
        """Whether another call could start at once."""
        with self._changed:
            return self.failure is None and not self._stopped and len(self._calls) < CALLS_AT_ONCE

    def keyterm_support(self, terms: tuple[Keyterm, ...], model: SpeechModel | None = None) -> EngineTerms:
        """What Deepgram makes of an upload's key terms."""
        return terms_at_deepgram(terms, self.model.removeprefix("deepgram "))

    def pending_seconds(self, job_id: str) -> float:
        """Audio of a job's that is on its way to Deepgram or back."""
        with self._changed:
            tasks = [task for call in self._calls.values() for task in call if task.job_id == job_id]
        return sum(seconds(len(task.chunk.samples)) for task in tasks)

    def submit(self, task: Task, *, wait: bool) -> None:
        """Queue a task; `wait`: block while too many wait. Raises EngineFailed where Deepgram cannot be called."""
        self._submit([task], wait)

    def submit_range(self, tasks: Sequence[Task]) -> None:
        """Queue tasks in a row, for one call. Where Deepgram cannot be called, other engines of the chain get them."""
        try:
            self._submit(tasks, wait=False)
        except EngineFailed as error:
            self._return(tasks, error)

    def has_tasks(self, job_id: str) -> bool:
        """Whether chunks of this job are on their way to Deepgram or back."""
        with self._changed:
            return any(task.job_id == job_id for call in self._calls.values() for task in call)

    def drop(self, job_id: str) -> None:
        """Discard the queued chunks of a job that ended: their calls are not made."""
        with self._changed:
            calls = [call for call, tasks in self._calls.items() if tasks[0].job_id == job_id]
        for call in calls:
            call.cancel()

    def add_feeder(self) -> None:
        """Calls never wait for more chunks."""

    def remove_feeder(self) -> None:
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
        if all(task.is_cancelled() for task in tasks):
            return
        try:
            if self.failure is not None:
                raise self.failure
            try:
                results = self._tokens(tasks)
            finally:
                # Before the results: the last one ends its job, whose bill shows that the call is over.
                self._listener.batch_finished(self.engine, tasks)
            for task, tokens in zip(tasks, results, strict=True):
                task.complete(self.engine, tokens)
        except Exception as error:
            # The boundary of the thread: whatever happened, every chunk must get a result from some engine.
            self._failed(tasks, error)

    def _tokens(self, tasks: Sequence[Task]) -> list[list[Token]]:
        with self._connecting:
            self._deepgram = self._deepgram or self._connect()
        pieces = pieces_of([task.chunk for task in tasks])
        recording = recording_of(pieces)
        # Tasks in a row are of one job.
        asked, request = tasks[0].asked, DeepgramRequest.of_chunks(tasks[0].asked, self._language)
        multilingual = request.is_multilingual(self._deepgram.model)
        call = ApiCall(tasks[0].job_id, len(tasks), len(recording), bool(asked.keyterms), multilingual)
        with tasks[0].log_context(), tracing.span("deepgram", kind=SpanKind.CLIENT, chunks=len(tasks)):
            self._listener.call_started(self.engine, call)
            if all(task.is_cancelled() for task in tasks):
                # While the record was written it turned out that another process has the job.
                self._listener.call_not_billed(self.engine, call)
                raise EngineFailed("The transcription was cancelled.")
            answer = self._deepgram.begin(as_wav(recording), request)
            try:
                if any(self._failures.has_alternative(self, task) for task in tasks):
                    answer_in_time(answer, self._timeout_seconds)
            except EngineFailed:
                if not answer.done():
                    answer.add_done_callback(partial(self._answered_late, call, tasks, pieces))
                    raise
            return self._answered(call, pieces, answer)

    def _answered(self, call: ApiCall, pieces: Sequence[Piece], answer: Future[DeepgramResult]) -> list[list[Token]]:
        """The tokens of each task, once the call is over. Raises EngineFailed."""
        try:
            result = answer.result()
        except EngineFailed as error:
            if not error.may_be_billed:
                self._listener.call_not_billed(self.engine, call)
            raise
        self._listener.call_answered(self.engine, call)
        return returned(tokens_of(result.passage.words), pieces)

    def _answered_late(
        self, call: ApiCall, tasks: Sequence[Task], pieces: Sequence[Piece], answer: Future[DeepgramResult]
    ) -> None:
        """On the call's thread, after another engine got the tasks."""
        with tasks[0].log_context():
            try:
                results = self._answered(call, pieces, answer)
            except EngineFailed as error:
                _log.info("no late answer", extra={"fields": {"reason": error.reason}})
                return
            _log.info("a late answer came")
        for task, tokens in zip(tasks, results, strict=True):
            task.complete(self.engine, tokens)

    def _failed(self, tasks: Sequence[Task], error: Exception) -> None:
        if not isinstance(error, EngineFailed):
            _log.error("deepgram call failed", exc_info=error)
            error = EngineFailed(f"Deepgram could not be called ({type(error).__name__}).", kind_of(error))
        if REMEDIES[error.kind] is Remedy.LEAVE_ENGINE:
            self._end(error)
        self._return(tasks, error)

    def _end(self, error: EngineFailed) -> None:
        with self._changed:
            is_first, self.failure = self.failure is None, self.failure or error
            self._changed.notify_all()
        if is_first:
            self._failures.engine_failed(self, [], error)

    def _return(self, tasks: Sequence[Task], error: EngineFailed) -> None:
        for task in tasks:
            self._failures.chunk_failed(self, task, error)


def as_wav(samples: Samples) -> bytes:
    """Samples -> a WAV file of 16 bits."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE)
        writer.writeframes((np.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes())
    return file.getvalue()
