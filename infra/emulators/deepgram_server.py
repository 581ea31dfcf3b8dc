"""Deepgram on a laptop: `POST /v1/listen` for recordings, transcribed by a local model and answered in Deepgram's form.

With `callback=` it says at once that it took the request, and posts the answer, or why there is none, to that address,
again and again until it gets a status from 200 to 299, as https://developers.deepgram.com/docs/callback says. It
reaches nothing but loopback, and refuses what it cannot do rather than ignore it.
"""

from __future__ import annotations

import hmac
import logging
import threading
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flask
import httpx

from infra.emulators.deepgram_audio import (
    ListenRefused,
    address_in,
    audio,
    audio_file,
    callback_address,
    fetched,
    host_in,
)
from infra.emulators.http_server import HttpServer
from infra.emulators.processes import ProcessGroup
from infra.emulators.transcriber_process import TranscriberProcess
from shared.deepgram_request import DeepgramRequest
from shared.enums import Engine
from shared.errors import BadMedia, EngineFailed
from shared.languages.choice import MULTI
from shared.transcript.compose import compose
from shared.transcript.deepgram_json import to_deepgram
from shared.transcript.model import Passage
from shared.transcript.timestamps import rounded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infra.emulators.transcriber_process import TranscribedFile

_log = logging.getLogger(__name__)

CALLBACK_POSTS = 11
"""The first, and what Deepgram does again: "up to 10 times with a 30 second delay between attempts"."""
CALLBACK_TIMEOUT_SECONDS = 600.0
KEY_ID = "laptop-key"
"""What callbacks name as the API key's identifier."""
MODEL_ID = "local-stand-in"

_PARAMETERS = frozenset(
    {
        "callback",
        "detect_language",
        "diarize_model",
        "filler_words",
        "language",
        "language_hint",
        "mip_opt_out",
        "model",
        "multichannel",
        "paragraphs",
        "punctuate",
        "redact",
        "smart_format",
        "utterances",
    }
)


@dataclass(frozen=True)
class ListenRequest:
    """What one request asked for, and what it would have cost."""

    model: str
    language: str
    url_host: str | None
    """Host of the address to fetch; None where the request brought no readable address."""
    audio_seconds: float | None = None
    """Audio that was transcribed and is billed, separate channels added up; None while there is none."""
    mip_opt_out: bool = False
    """Whether it forbade to keep the recording and to train on it."""
    callback: str | None = None
    """Where the answer is posted."""
    posted: tuple[int | None, ...] = ()
    """Statuses that the posts of its answer were answered with; None: with none."""


class DeepgramServer(HttpServer):
    """Transcribes with the `.nemo` file `model` for those who know `api_key`.

    The model is loaded by the first request that gets so far, in a process of its own that writes to `log`.
    """

    callback_delay_seconds = 30.0
    """Between two posts of an answer that was not taken."""

    def __init__(self, model: str, api_key: str, log: Path, process_type: type[ProcessGroup] = ProcessGroup) -> None:
        app = flask.Flask("deepgram", static_folder=None)
        app.add_url_rule("/v1/listen", view_func=self._listen, methods=["POST"])
        app.before_request(self._record)
        super().__init__(app)
        self._model = model
        self._api_key = api_key
        self._transcriber = TranscriberProcess(model, log, process_type)
        self._requests: list[ListenRequest] = []
        self._requests_lock = threading.Lock()
        self._stopped = threading.Event()

    @property
    def requests(self) -> tuple[ListenRequest, ...]:
        """Every request so far in the order of arrival, refused and failed ones included."""
        with self._requests_lock:
            return tuple(self._requests)

    def stop(self) -> None:
        """Stop as every server does, and end the model's process; answers that nobody took yet are posted no more."""
        self._stopped.set()
        super().stop()
        self._transcriber.stop()

    def transcribed(self, path: Path, sha256: str, request: DeepgramRequest) -> TranscribedFile:
        """What the model hears in a file of that hash.

        Raises BadMedia and EngineFailed.
        """
        return self._transcriber.transcribe(path, request)

    def post(self, address: str, body: object) -> int | None:
        """Post an answer once; the status it was answered with, or None where there was none."""
        try:
            with httpx.Client(trust_env=False, follow_redirects=False, timeout=CALLBACK_TIMEOUT_SECONDS) as client:
                return client.post(address, json=body, headers={"dg-token": KEY_ID}).status_code
        except httpx.HTTPError as error:
            _log.info("a callback was not answered: %s", type(error).__name__)
            return None

    def _listen(self) -> flask.Response:
        request_id = str(uuid.uuid4())
        try:
            self._authorize()
            _refuse_unsupported(flask.request.args)
            if callback := flask.request.args.get("callback"):
                self._take(request_id, callback_address(callback))
                return flask.jsonify({"request_id": request_id})
            with audio() as (path, sha256):
                return flask.jsonify(self._answer(request_id, path, sha256, flask.request.args, flask.g.number))
        except ListenRefused as refusal:
            return flask.make_response(refusal.body(request_id), refusal.status)

    def _take(self, request_id: str, address: httpx.URL) -> None:
        """Transcribe, and post the answer, on a thread of its own."""
        parameters, number = flask.request.args, flask.g.number
        source = address_in(flask.request.get_json(silent=True)) if flask.request.is_json else flask.request.get_data()

        def work() -> None:
            try:
                with audio_file(fetched(source) if isinstance(source, httpx.URL) else [source]) as (path, sha256):
                    body = self._answer(request_id, path, sha256, parameters, number)
            except ListenRefused as refusal:
                body = refusal.body(request_id)
            for attempt in range(CALLBACK_POSTS):
                if self._stopped.wait(self.callback_delay_seconds if attempt else 0):
                    return
                status = self.post(str(address), body)
                self._note(number, posted=(*self.requests[number].posted, status))
                if status is not None and 200 <= status < 300:
                    return

        threading.Thread(target=work, name="deepgram-callback", daemon=True).start()

    def _note(self, number: int, **changes: Any) -> None:
        with self._requests_lock:
            self._requests[number] = replace(self._requests[number], **changes)

    def _record(self) -> None:
        request = ListenRequest(
            model=flask.request.args.get("model", ""),
            language=flask.request.args.get("language", "en"),
            mip_opt_out=_wants(flask.request.args, "mip_opt_out"),
            url_host=host_in(flask.request.get_json(silent=True)) if flask.request.is_json else None,
            callback=flask.request.args.get("callback"),
        )
        with self._requests_lock:
            flask.g.number = len(self._requests)
            self._requests.append(request)

    def _authorize(self) -> None:
        scheme, _, key = flask.request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "token" or not hmac.compare_digest(key.encode(), self._api_key.encode()):
            raise ListenRefused(401, "INVALID_AUTH", "Invalid credentials.")

    def _answer(
        self, request_id: str, path: Path, sha256: str, parameters: Mapping[str, str], number: int
    ) -> dict[str, Any]:
        """Deepgram's answer to the request of that number, about audio in a file."""
        try:
            found = self.transcribed(path, sha256, _request(parameters))
        except BadMedia as bad:
            message = f"Bad Request: failed to process audio: corrupt or unsupported data: {bad.reason}"
            raise ListenRefused(400, "Bad Request", message) from bad
        except EngineFailed as failure:
            _log.warning("transcription failed: %s", failure.reason)
            raise ListenRefused(500, "INTERNAL_SERVER_ERROR", failure.reason) from failure
        self._note(number, audio_seconds=found.duration * found.channels)
        metadata = {
            "transaction_key": "deprecated",
            "request_id": request_id,
            "sha256": sha256,
            "created": datetime.now(UTC).isoformat(),
            "duration": rounded(found.duration),
            "channels": found.channels,
            "models": [MODEL_ID],
            "model_info": {MODEL_ID: {"name": f"local stand-in with {Path(self._model).name}", "arch": "parakeet"}},
        }
        return {"metadata": metadata, "results": _results(found, request_id, parameters)}


def _refuse_unsupported(parameters: Mapping[str, str]) -> None:
    if unknown := sorted(set(parameters) - _PARAMETERS):
        raise ListenRefused(400, "Bad Request", f"The local stand-in does not support {', '.join(unknown)}.")
    if parameters.get("diarize_model", "latest") not in {"latest", "v1", "v2"}:
        raise ListenRefused(400, "Bad Request", "diarize_model has to be latest, v1 or v2.")
    if not (_wants(parameters, "punctuate") or _wants(parameters, "smart_format")):
        raise ListenRefused(400, "Bad Request", "The local stand-in always punctuates: ask for punctuate=true.")


def _wants(parameters: Mapping[str, str], name: str) -> bool:
    return parameters.get(name, "").lower() == "true"


def _detects_language(parameters: Mapping[str, str]) -> bool:
    """`detect_language` is true, or names the languages of which one is found; the stand-in finds any."""
    return parameters.get("detect_language", "false").lower() != "false"


def _add_word_languages(results: dict[str, Any], passages: Sequence[Passage]) -> None:
    """The language of each word, which `language=multi` gives and a detected language of the channel does not."""
    spoken = {(rounded(word.start), word.text): one.language for one in passages for word in one.words}
    for channel in results["channels"]:
        channel.pop("detected_language", None)
        for word in channel["alternatives"][0]["words"]:
            word["language"] = spoken.get((word["start"], word["punctuated_word"]))


def _request(parameters: Mapping[str, str]) -> DeepgramRequest:
    """Of a call's parameters those which decide about what the model hears."""
    return DeepgramRequest(
        None if _detects_language(parameters) else parameters.get("language", "en"),
        split=_wants(parameters, "multichannel"),
        speakers="diarize_model" in parameters,
    )


def _results(found: TranscribedFile, request_id: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Deepgram's `results`, with no more than was asked for."""
    language, passages = parameters.get("language", "en"), [Passage(Engine.PARAKEET_CPU, found.words)]
    is_multilingual, is_detected = language == MULTI, _detects_language(parameters)
    if is_multilingual or is_detected:
        from gpu_job.languages.spoken import find_languages
        from gpu_job.languages.text_languages import TextLanguages

        spoken = find_languages(passages, TextLanguages().log_probabilities)
        language, passages = spoken.language, list(spoken.passages)
    transcript = compose(
        job_id=request_id,
        source=MODEL_ID,
        duration=found.duration,
        language=language,
        language_confidence=0.99 if is_detected else None,
        model=MODEL_ID,
        passages=passages,
        channels=found.channels,
    )
    results: dict[str, Any] = to_deepgram(transcript)["results"]
    if is_multilingual:
        _add_word_languages(results, passages)
    if not _wants(parameters, "utterances"):
        del results["utterances"]
    if not (_wants(parameters, "paragraphs") or _wants(parameters, "smart_format")):
        for channel in results["channels"]:
            del channel["alternatives"][0]["paragraphs"]
    return results
