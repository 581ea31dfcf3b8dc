"""Deepgram: a signed URL or audio in, words with times and speakers out. The SDK's own retries are off.

The SDK retries on time-outs, 429 and every 5xx, which sends (and bills) the same audio again and again; here a call is
repeated only where Deepgram cannot have done the work: a refused connection, 429, and 503.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from heapq import merge
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import stamina

from shared.deepgram_request import DeepgramRequest
from shared.enums import Engine
from shared.errors import EngineFailed, FailureKind, kind_of_status, shortened
from shared.languages.choice import language_tag
from shared.settings.deepgram import DeepgramSettings
from shared.telemetry.metrics import AUDIO
from shared.transcript.editing.languages_of_words import by_language
from shared.transcript.model import Passage, Word

if TYPE_CHECKING:
    from deepgram import DeepgramClient
    from deepgram.listen.v1.media.types.media_transcribe_response import MediaTranscribeResponse

CONNECT_SECONDS = 10.0
"""Longest wait for a connection, which takes a fraction of a second where there is one to be had."""

LONGEST_SECONDS = 30 * 24 * 3600.0
"""2 GB, the most that Deepgram takes, at 6 kbit/s. An answer that says more would be booked, and spend the budget."""
MOST_CHANNELS = 64
MOST_SPEAKERS = 1000
LONGEST_WORD_CHARACTERS = 1000
"""Beyond any of these an answer is none: what is made of it is stored, shown and paid."""

ACCEPT_SECONDS = 60.0
"""Longest wait for Deepgram to take a request whose answer it posts later: it says so "immediately" (its docs)."""

_ERROR_CODES = ("err_code", "category", "error")
"""Where an error's code stands in Deepgram's older and newer errors (https://developers.deepgram.com/docs/errors)."""

_NOT_BILLED = frozenset(
    {
        "ASR_PAYMENT_REQUIRED",
        "BAD REQUEST",
        "BAD_REQUEST",
        "INSUFFICIENT_PERMISSIONS",
        "INVALID_AUTH",
        "INVALID_JSON",
        "INVALID_QUERY_PARAMETER",
        "PAYLOAD TOO LARGE",
        "PAYLOAD_ERROR",
        "PAYLOAD_TOO_LARGE",
        "PROJECT_NOT_FOUND",
        "REMOTE_CONTENT_ERROR",
        "TOO_MANY_REQUESTS",
        "UNPROCESSABLE_ENTITY",
        "UNSUPPORTED_MEDIA_TYPE",
    }
)
"""Codes of the errors that come with a status from 400 to 499: nothing was transcribed. Any other may be billed."""

RETRIED_STATUS = frozenset({429, 503})


@dataclass(frozen=True)
class DeepgramResult:
    """Deepgram's response: words in time order, duration, channels and model."""

    passage: Passage
    duration_seconds: float
    channels: int
    """Channels that were transcribed separately, each of which is billed."""
    request_id: str
    model: str
    language: str | None = None
    """BCP 47 tag that it found, where it was asked to; of channels that were transcribed separately the first one's."""
    language_confidence: float | None = None
    """0 to 1: how sure it is of that."""
    languages: tuple[str | None, ...] = ()
    """BCP 47 tag of each of the passage's words, where it was asked for several; empty where it gave none."""

    @property
    def passages(self) -> list[Passage]:
        """The words by language. A word or two in another one are a name or a loanword, and go with what is before."""
        return by_language(self.passage, self.languages)


@dataclass(frozen=True)
class PostedFailure:
    """What Deepgram posts instead of an answer."""

    reason: str
    may_be_billed: bool


class _NotBilledError(Exception):
    """The call failed before Deepgram can have billed it."""

    def __init__(self, error: EngineFailed) -> None:
        super().__init__(error.reason)
        self.error = error


class Deepgram:
    """Deepgram's pre-recorded API."""

    def __init__(self, settings: DeepgramSettings, model: str) -> None:
        if settings.deepgram_api_key is None:
            raise EngineFailed("No Deepgram API key is configured.", FailureKind.CREDENTIALS)
        self._settings = settings
        self.model = model
        self._client = _client(settings, settings.deepgram_api_key.get_secret_value().strip())

    def transcribe(self, audio: str | bytes, request: DeepgramRequest) -> DeepgramResult:
        """Transcribe an audio file, or what a URL serves.

        Blocks for DEEPGRAM_TIMEOUT_SECONDS and DEEPGRAM_LATE_SECONDS at most, repeated calls included. A caller that
        has another engine goes on after the first of them: `begin`, `answer_in_time`. Raises EngineFailed.
        """
        ends = time.monotonic() + self._settings.deepgram_timeout_seconds + self._settings.deepgram_late_seconds
        response = self._request(audio, request, ends=ends)
        answer = parse_response(response, self.model, split=request.split)
        count_audio(answer)
        return answer

    def call_back(self, url: str, request: DeepgramRequest, *, callback: str) -> str:
        """Have Deepgram transcribe what a URL serves, and post the answer to `callback`; its id of the request.

        Empty where it took the request and gave none. Blocks for ACCEPT_SECONDS at most. Raises EngineFailed.
        """
        ends = time.monotonic() + ACCEPT_SECONDS
        response = self._request(url, request, ends=ends, callback=callback)
        return str(getattr(response, "request_id", None) or "")

    def begin(self, audio: str | bytes, request: DeepgramRequest) -> Future[DeepgramResult]:
        """As `transcribe`, on a thread of its own, which does not keep the process alive."""
        answer: Future[DeepgramResult] = Future()

        def call() -> None:
            try:
                result = self.transcribe(audio, request)
            except BaseException as error:
                answer.set_exception(error)
            else:
                answer.set_result(result)

        threading.Thread(target=copy_context().run, args=(call,), name="deepgram-call", daemon=True).start()
        return answer

    def _request(
        self, audio: str | bytes, request: DeepgramRequest, *, ends: float, callback: str | None = None
    ) -> MediaTranscribeResponse:
        """`ends`: when its time is over, on the monotonic clock. Raises EngineFailed."""
        try:
            for attempt in stamina.retry_context(
                on=_NotBilledError,
                attempts=self._settings.deepgram_attempts,
                wait_initial=1.0,
                wait_max=20.0,
                timeout=None,
            ):
                with attempt:
                    return self._call(audio, request, ends=ends, callback=callback)
        except _NotBilledError as final:
            raise final.error from final
        raise AssertionError("stamina ends by returning or raising")

    def _call(
        self, audio: str | bytes, request: DeepgramRequest, *, ends: float, callback: str | None
    ) -> MediaTranscribeResponse:
        import httpx
        from deepgram.core.api_error import ApiError
        from deepgram.core.parse_error import ParsingError

        media = self._client.listen.v1.media
        ask: Callable[..., MediaTranscribeResponse] = (
            partial(media.transcribe_url, url=audio)
            if isinstance(audio, str)
            else partial(media.transcribe_file, request=audio)
        )
        began = time.monotonic()
        left = max(1.0, ends - began)
        # The SDK hands it to httpx as it is, though it says float.
        timeout: Any = httpx.Timeout(left, connect=min(CONNECT_SECONDS, left))
        try:
            return ask(
                model=self.model,
                **request.parameters(self.model),
                mip_opt_out=self._settings.deepgram_mip_opt_out or None,
                callback=callback,
                request_options={"timeout": timeout},
            )
        except ApiError as error:
            status = error.status_code or 500
            if status < 300:  # the work was done, but its answer is not JSON
                raise _unreadable() from error
            may_be_billed = (status == HTTPStatus.REQUEST_TIMEOUT or status >= 500) and status not in RETRIED_STATUS
            failure = EngineFailed(f"Deepgram answered {status}.", kind_of_status(status), may_be_billed=may_be_billed)
            raise (_NotBilledError(failure) if status in RETRIED_STATUS else failure) from error
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise _NotBilledError(EngineFailed("Deepgram could not be reached.", FailureKind.NETWORK)) from error
        except httpx.TimeoutException as error:
            waited = time.monotonic() - began
            reason = f"Deepgram gave no answer within {waited:.0f} s."
            raise EngineFailed(reason, FailureKind.TIMEOUT, may_be_billed=True) from error
        except (ValueError, RecursionError, ParsingError, httpx.DecodingError) as error:
            raise _unreadable() from error
        except httpx.RequestError as error:
            reason = "The connection to Deepgram broke."
            raise EngineFailed(reason, FailureKind.NETWORK, may_be_billed=True) from error


def count_audio(answer: DeepgramResult) -> None:
    """Add what an answer was made of to the metric of transcribed audio."""
    AUDIO.add(answer.duration_seconds * answer.channels, engine=Engine.DEEPGRAM.value)


def answer_in_time(answer: Future[DeepgramResult], timeout_seconds: float) -> DeepgramResult:
    """The answer of a call on another thread. Raises EngineFailed, also where it did not come in time yet."""
    if not wait([answer], timeout_seconds).done:
        raise EngineFailed(
            f"Deepgram gave no answer within {timeout_seconds:.0f} s.", FailureKind.TIMEOUT, may_be_billed=True
        )
    return answer.result()


def _unreadable() -> EngineFailed:
    return EngineFailed("Deepgram's answer could not be read.", FailureKind.INTERNAL, may_be_billed=True)


def _client(settings: DeepgramSettings, key: str) -> DeepgramClient:
    from deepgram import DeepgramClient
    from deepgram.environment import DeepgramClientEnvironment

    base = settings.deepgram_base_url.rstrip("/")
    socket = base.replace("http", "ws", 1)
    environment = DeepgramClientEnvironment(base=base, production=socket, agent=socket, agent_rest=base)
    return DeepgramClient(api_key=key, environment=environment, max_retries=0)


def parse_response(response: Any, model: str, *, split: bool = False) -> DeepgramResult:
    """Deepgram's response -> words by time; `split`: a channel is a speaker. EngineFailed where it is no transcript."""
    try:
        channels = response.results.channels if split else [response.results.channels[0]]
        duration = max(0.0, _finite(response.metadata.duration))
        if duration > LONGEST_SECONDS or len(channels) > MOST_CHANNELS:
            raise ValueError(f"{duration:g} s of {len(channels)} channels cannot be")
        each = [_words(channel, number if split else None, duration) for number, channel in enumerate(channels)]
        spoken = list(merge(*each, key=lambda one: one[0].start))
        words = tuple(word for word, _ in spoken)
        request_id = str(response.metadata.request_id or "")
        found, sure = (getattr(channels[0], name, None) for name in ("detected_language", "language_confidence"))
        language_confidence = None if sure is None else min(1.0, max(0.0, _finite(sure)))
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        reason = "Deepgram's answer is not a transcript."
        raise EngineFailed(reason, FailureKind.INTERNAL, may_be_billed=True) from error
    languages = tuple(language for _, language in spoken)
    return DeepgramResult(
        Passage(Engine.DEEPGRAM, words),
        duration,
        len(each),
        request_id,
        f"deepgram {model}",
        _tag(found),
        language_confidence,
        languages if any(languages) else (),
    )


def posted_answer(body: object, model: str, *, split: bool = False) -> DeepgramResult | PostedFailure:
    """What Deepgram posts to a callback address, as JSON has it. Raises EngineFailed where it is neither of both."""
    from deepgram.core.unchecked_base_model import construct_type
    from deepgram.types.listen_v1response import ListenV1Response

    if not isinstance(body, dict):
        raise _unreadable()
    codes = [body[name] for name in _ERROR_CODES if isinstance(body.get(name), str)]
    if codes and "results" not in body:
        return PostedFailure(f"Deepgram failed: {shortened(codes[0], 100)}.", codes[0].upper() not in _NOT_BILLED)
    try:
        response = construct_type(type_=ListenV1Response, object_=body)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise _unreadable() from error
    return parse_response(response, model, split=split)


def _tag(value: object) -> str | None:
    return language_tag(value) if isinstance(value, str) else None


def _words(channel: Any, number: int | None, duration: float) -> list[tuple[Word, str | None]]:
    """The first alternative's words of a channel, clamped so that times never run backwards and lie in the audio, each
    with its language, where it has one."""
    words: list[tuple[Word, str | None]] = []
    clock, last = 0.0, duration or LONGEST_SECONDS
    for item in channel.alternatives[0].words or ():
        # `punctuated_word` is not declared by the SDK's model, but arrives where smart_format or punctuate is on.
        text = getattr(item, "punctuated_word", None) or item.word or ""
        if not isinstance(text, str) or len(text) > LONGEST_WORD_CHARACTERS:
            raise TypeError("a word is no word")
        text = text.strip()
        if not text:
            continue
        start = min(last, max(clock, _finite(item.start)))
        end = min(last, max(start, _finite(item.end)))
        confidence = None if item.confidence is None else min(1.0, max(0.0, float(item.confidence)))
        speaker = _speaker(item) if number is None else number
        word = Word(text=text, start=start, end=end, confidence=confidence, speaker=speaker)
        words.append((word, _tag(getattr(item, "language", None))))
        clock = start
    return words


def _finite(value: Any) -> float:
    """A finite number: Python's JSON reader accepts NaN and Infinity."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} is no time")
    return number


def _speaker(item: Any) -> int | None:
    speaker = getattr(item, "speaker", None)
    if speaker is None:
        return None
    if not 0 <= int(speaker) <= MOST_SPEAKERS:
        raise ValueError(f"there is no speaker {speaker}")
    return int(speaker)
