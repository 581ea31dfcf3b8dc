"""Deepgram's answers: written down before anything is made of them, and waited for where they come late.

What follows an answer, the results bucket's refusal included, may fail and be repeated without a second call. Answers
are still waited for after another engine took over; the function may not return before they are there: Cloud Run gives
it no CPU afterwards.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import Literal, TypeVar

from google.cloud.storage import Bucket
from pydantic import BaseModel, ConfigDict

from shared import objects
from shared.costs.bill import Bill
from shared.deepgram import DeepgramResult
from shared.errors import EngineFailed
from shared.state.jobs.object_names import parts_folder
from shared.state.jobs.record import JobRecord
from shared.unreadable import parsed

_log = logging.getLogger(__name__)

_ANSWER = "deepgram-answer"

Answer = TypeVar("Answer")


class StoredAnswer(BaseModel):
    """An answer, and its call's lines in the record's `spent`, which the answer's own lines replace."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    result: DeepgramResult
    price: Bill
    run: int = 1
    """Of the job, whose bill has the call."""


class AnswerStore:
    """One object a job, from the answer to the job's outcome."""

    def __init__(self, state: Bucket) -> None:
        self._state = state

    def store(self, record: JobRecord, answer: StoredAnswer) -> None:
        """Keep the answer, unless there is one already. Of two calls either may be used, for each is on the bill.

        Raises NewerVersion."""
        data = answer.model_dump_json().encode()
        stored = objects.create_once(self._state, _name(record), data)
        if stored.data != data and parsed(stored.data, StoredAnswer, _name(record)) is None:
            objects.write(self._state, _name(record), data)

    def load(self, record: JobRecord) -> StoredAnswer | None:
        """The answer of an earlier attempt. One that is damaged is as good as none; raises NewerVersion: what a newer
        release has paid for is not paid again."""
        stored = objects.read(self._state, _name(record))
        return None if stored is None else parsed(stored.data, StoredAnswer, _name(record))

    def any_of(self, record: JobRecord) -> StoredAnswer | None:
        """The same where nobody knows the upload's options any more, and so which language was asked for."""
        for blob in self._state.list_blobs(prefix=f"{parts_folder(record.upload.job_id, record.parts_run)}{_ANSWER}"):
            stored = objects.read(self._state, blob.name)
            answer = None if stored is None else parsed(stored.data, StoredAnswer, blob.name)
            if answer is not None:
                return answer
        return None


def _name(record: JobRecord) -> str:
    # A re-run may be told another language: what was heard in the first one is not its answer.
    language = "" if record.options.language is None else f"-{record.options.language}"
    return f"{parts_folder(record.upload.job_id, record.parts_run)}{_ANSWER}{language}.json"


class LateAnswers:
    """Those of one instance. Used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: set[threading.Thread] = set()

    def expect(
        self, answer: Future[Answer], *, use: Callable[[Answer], None], failed: Callable[[EngineFailed], None]
    ) -> None:
        """Have the answer used when it comes, on a thread of its own. Its call gives up by itself: then `failed`."""
        arguments = (self._await, answer, use, failed)
        thread = threading.Thread(target=copy_context().run, args=arguments, name="late-answer")
        with self._lock:
            self._waiting.add(thread)
        thread.start()

    def wait(self) -> None:
        """Until none is expected any more."""
        while self._waiting:
            with self._lock:
                threads = list(self._waiting)
            for thread in threads:
                thread.join()

    def _await(
        self, answer: Future[Answer], use: Callable[[Answer], None], failed: Callable[[EngineFailed], None]
    ) -> None:
        try:
            try:
                taken = answer.result()
            except EngineFailed as error:
                failed(error)
            else:
                use(taken)
        except Exception:
            # The job has another engine; what of the answer was stored is the next finisher's to publish.
            _log.exception("a late answer was not used")
        finally:
            with self._lock:
                self._waiting.discard(threading.current_thread())
