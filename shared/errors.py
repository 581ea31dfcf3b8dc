"""What can go wrong, as types: each failure has a kind, and a reason that a person understands."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

import google.api_core.exceptions as google_errors
import requests
from google.auth.exceptions import GoogleAuthError, TransportError
from pydantic import ValidationError

_log = logging.getLogger(__name__)

SERVICE_UNAVAILABLE_ERRORS = (
    google_errors.GoogleAPICallError,
    google_errors.RetryError,
    requests.RequestException,
    GoogleAuthError,
)
"""What Google's clients raise where a service, or the metadata server that gives them their tokens, answers with an
error, not in time, or not at all."""


class FailureKind(StrEnum):
    """The small set of kinds that policies distinguish."""

    BAD_MEDIA = "bad_media"
    CREDENTIALS = "credentials"
    GPU_LOST = "gpu_lost"
    """A fault in a kernel: CUDA refuses every call until the process ends."""
    MODEL_LOAD = "model_load"
    """There is no model, or no device for it, in any process of this deployment."""
    MODEL_HUNG = "model_hung"
    """The model did not come back from a call; the thread that waits for it cannot be ended."""
    NETWORK = "network"
    OUT_OF_MEMORY = "out_of_memory"
    QUOTA = "quota"
    RATE_LIMIT = "rate_limit"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    INTERNAL = "internal"


class Remedy(StrEnum):
    """What is done about a chunk that an engine failed on, once retries are used up."""

    GIVE_UP = "give_up"
    """It becomes a gap: every engine would fail on it."""
    NEXT_ENGINE = "next_engine"
    """Another engine does it; this one is used for the next chunk again."""
    LEAVE_ENGINE = "leave_engine"
    """Another engine does it and all that follow: this one would fail on each of them, in another process, too."""
    LEAVE_PROCESS = "leave_process"
    """Another engine does it and all that follow, but none that runs in this process. Another process may be sound."""


REMEDIES = {
    FailureKind.BAD_MEDIA: Remedy.GIVE_UP,
    FailureKind.CREDENTIALS: Remedy.LEAVE_ENGINE,
    FailureKind.GPU_LOST: Remedy.LEAVE_PROCESS,
    FailureKind.MODEL_LOAD: Remedy.LEAVE_ENGINE,
    FailureKind.MODEL_HUNG: Remedy.LEAVE_PROCESS,
    FailureKind.NETWORK: Remedy.NEXT_ENGINE,
    FailureKind.OUT_OF_MEMORY: Remedy.NEXT_ENGINE,
    FailureKind.QUOTA: Remedy.LEAVE_ENGINE,
    FailureKind.RATE_LIMIT: Remedy.NEXT_ENGINE,
    FailureKind.REFUSED: Remedy.NEXT_ENGINE,
    FailureKind.TIMEOUT: Remedy.NEXT_ENGINE,
    FailureKind.INTERNAL: Remedy.NEXT_ENGINE,
}
"""What is tried before: batches that are out of memory are halved down to one chunk (gpu_job.engines.batch_stages),
refused connections, rate limits and 503 are retried with backoff and jitter (shared.deepgram). Whatever the kind, an
engine of our own that fails several times in a row is left."""


MAX_REASON_CHARACTERS = 2000
"""Of a reason; messages carry it, and it may quote what a library or a server said."""


def shortened(text: str, max_characters: int) -> str:
    """The text, or its beginning with an ellipsis."""
    return text if len(text) <= max_characters else f"{text[: max_characters - 1]}…"


class DropscribeError(Exception):
    """A failure with its kind and one sentence for the person who dropped the file."""

    kind: FailureKind = FailureKind.INTERNAL

    def __init__(self, reason: str, kind: FailureKind | None = None) -> None:
        super().__init__(reason)
        self.reason = shortened(reason, MAX_REASON_CHARACTERS)
        if kind is not None:
            self.kind = kind


class BadMedia(DropscribeError):
    """The file cannot be transcribed by any engine: the outcome is `rejected`.

    Nothing in it can be read, or it has no sound: `trigger_function/inspection` (its header and first packets),
    `gpu_job/audio/decode.py` (what the decoder finds), `shared/gzip_content.py` (a damaged encoding).
    """

    kind = FailureKind.BAD_MEDIA


class Rejected(DropscribeError):
    """The upload can be transcribed, but its own options or the deployment's limits forbid it: `rejected`, too.

    - its metadata asks for what is not known: `shared/options/parsing.py`; a track that is not there:
      `shared/formats/tracks.py`
    - it is gone, encrypted with its owner's key, or larger unpacked than is allowed: `shared/storage_errors.py`,
      `shared/gzip_content.py`
    - every method is forbidden: `trigger_function/routing/router.py` rejects, for the reasons in `routing/limits.py`
    - the budget is exhausted: `trigger_function/decide_and_reserve.py`
    - it is larger than an instance of the job: `gpu_job/worker/admission.py`
    """

    kind = FailureKind.REFUSED


class UploadNotReadable(DropscribeError):
    """Cloud Storage will never let this deployment read the upload, which is not its owner's fault: it is `failed`."""

    kind = FailureKind.REFUSED


class EngineFailed(DropscribeError):
    """An engine failed; another one may do the work."""

    def __init__(self, reason: str, kind: FailureKind | None = None, *, may_be_billed: bool = False) -> None:
        """`may_be_billed`: whether an API may have done the work and bill it, though its answer did not arrive."""
        super().__init__(reason, kind)
        self.may_be_billed = may_be_billed


class LaunchFailed(DropscribeError):
    """No job execution could be started now."""


class StateConflict(DropscribeError):
    """Another process changed a record between our read and our write."""


_KIND_BY_STATUS = {
    401: FailureKind.CREDENTIALS,
    402: FailureKind.QUOTA,
    403: FailureKind.CREDENTIALS,
    408: FailureKind.TIMEOUT,
    413: FailureKind.REFUSED,
    429: FailureKind.RATE_LIMIT,
    504: FailureKind.TIMEOUT,
}


def kind_of_status(status: int) -> FailureKind:
    """An HTTP error status -> its kind."""
    if status in _KIND_BY_STATUS:
        return _KIND_BY_STATUS[status]
    return FailureKind.NETWORK if status >= 500 else FailureKind.REFUSED


def kind_of(error: BaseException) -> FailureKind:
    """An exception -> its kind, by the libraries' own classes and status codes, never by the text of messages."""
    match error:
        case DropscribeError():
            return error.kind
        case MemoryError():
            return FailureKind.OUT_OF_MEMORY
        case google_errors.ResourceExhausted() | google_errors.TooManyRequests():
            return FailureKind.QUOTA
        case google_errors.DeadlineExceeded() | TimeoutError() | requests.Timeout():
            return FailureKind.TIMEOUT
        case google_errors.GoogleAPICallError() if error.code is not None:
            return kind_of_status(int(error.code))
        case google_errors.RetryError() | requests.ConnectionError() | ConnectionError() | TransportError():
            return FailureKind.NETWORK
        case GoogleAuthError():
            return FailureKind.CREDENTIALS
        case _:
            return FailureKind.INTERNAL


@contextmanager
def best_effort(message: str, **fields: Any) -> Iterator[None]:
    """Around a write that only helps later work, and must not end the work of now.

    Any exception inside is logged as a warning with `message` and goes no further.

    Any, for the libraries' lists are never whole: Google's clients raise their own errors, those of requests, of
    google.auth, of urllib3, and of a checksum that does not fit.
    """
    try:
        yield
    except Exception:
        _log.warning(message, extra={"fields": fields}, exc_info=True)


MAX_LINE_CHARACTERS = 300
"""Of another library's message where one line is shown of it."""


def first_line(error: BaseException) -> str:
    """The first line of an exception's text."""
    return shortened(str(error).partition("\n")[0], MAX_LINE_CHARACTERS)


MAX_SHOWN_VALUE_CHARACTERS = 100
"""Of a setting's value in a message."""
_SECRET = re.compile("key|secret|token|password")
_SETTING_NAME = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")


def validation_message(error: ValidationError) -> str:
    """A line for a person: every setting that cannot be used, with what is allowed and its value.

    Of other models, such as a record that was read, the first bad field.
    """
    problems = error.errors(include_url=False)
    if error.title.endswith("Settings"):
        return "; ".join(_setting_problem(dict(one)) for one in problems)
    field = ".".join(map(str, problems[0]["loc"]))
    return f"{error.title} cannot be read{f': {field}' if field else ''}: {problems[0]['msg']}"


def _setting_problem(error: Mapping[str, Any]) -> str:
    """`JOB_VCPU: Input should be greater than 0, and is '-1'`."""
    name, given = "_".join(map(str, error["loc"])).upper(), error["input"]
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"{name}: It has to be set"
    if name:
        return f"{name}: {message}, and is {_shown(name, given)}"
    # Settings that contradict each other: the message names them.
    values = {each: given.get(each.lower()) for each in _SETTING_NAME.findall(message)}
    shown = [f"{each} is {_shown(each, value)}" for each, value in values.items() if value is not None]
    return "; ".join([f"Settings: {message}", *shown])


def _shown(name: str, value: object) -> str:
    return "a secret" if _SECRET.search(name.lower()) else repr(value)[:MAX_SHOWN_VALUE_CHARACTERS]
