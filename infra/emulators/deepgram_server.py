"""Deepgram on a laptop: `POST /v1/listen` for recordings, transcribed by a local model and answered in Deepgram's form.

It reaches nothing but loopback, and refuses what it cannot do rather than ignore it.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import threading
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

import flask
import httpx

from infra.emulators.http_server import HttpServer
from infra.emulators.processes import ProcessGroup
from infra.emulators.transcriber_process import TranscriberProcess
from shared.enums import Engine
from shared.errors import BadMedia, EngineFailed
from shared.transcript.compose import compose
from shared.transcript.deepgram_json import to_deepgram
from shared.transcript.model import Passage
from shared.transcript.timestamps import rounded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from infra.emulators.transcriber_process import TranscribedFile

_log = logging.getLogger(__name__)

FETCH_TIMEOUT_SECONDS = 30.0
BLOCK_BYTES = 1 << 16
MODEL_ID = "local-stand-in"

_PARAMETERS = frozenset(
    {"model", "language", "punctuate", "smart_format", "paragraphs", "utterances", "multichannel", "mip_opt_out"}
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


class _RefusalError(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class DeepgramServer(HttpServer):
    """Transcribes with the `.nemo` file `model` for those who know `api_key`.

    The model is loaded by the first request that gets so far, in a process of its own that writes to `log`.
    """

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

    @property
    def requests(self) -> tuple[ListenRequest, ...]:
        """Every request so far in the order of arrival, refused and failed ones included."""
        with self._requests_lock:
            return tuple(self._requests)

    def stop(self) -> None:
        """Stop as every server does, and end the model's process."""
        super().stop()
        self._transcriber.stop()

    def transcribed(self, path: Path, sha256: str, *, split: bool) -> TranscribedFile:
        """What the model hears in a file of that hash; `split`: in each channel. Raises BadMedia and EngineFailed."""
        return self._transcriber.transcribe(path, split=split)

    def _listen(self) -> flask.Response:
        request_id = str(uuid.uuid4())
        try:
            self._authorize()
            _refuse_unsupported(flask.request.args)
            return flask.jsonify(self._answer(request_id))
        except _RefusalError as refusal:
            body = {"err_code": refusal.code, "err_msg": refusal.message, "request_id": request_id}
            return flask.make_response(body, refusal.status)

    def _record(self) -> None:
        request = ListenRequest(
            model=flask.request.args.get("model", ""),
            language=flask.request.args.get("language", "en"),
            mip_opt_out=_wants(flask.request.args, "mip_opt_out"),
            url_host=_host(flask.request.get_json(silent=True)) if flask.request.is_json else None,
        )
        with self._requests_lock:
            flask.g.number = len(self._requests)
            self._requests.append(request)

    def _authorize(self) -> None:
        scheme, _, key = flask.request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "token" or not hmac.compare_digest(key.encode(), self._api_key.encode()):
            raise _RefusalError(401, "INVALID_AUTH", "Invalid credentials.")

    def _answer(self, request_id: str) -> dict[str, Any]:
        with _audio() as (path, sha256):
            try:
                found = self.transcribed(path, sha256, split=_wants(flask.request.args, "multichannel"))
            except BadMedia as bad:
                message = f"Bad Request: failed to process audio: corrupt or unsupported data: {bad.reason}"
                raise _RefusalError(400, "Bad Request", message) from bad
            except EngineFailed as failure:
                _log.warning("transcription failed: %s", failure.reason)
                raise _RefusalError(500, "INTERNAL_SERVER_ERROR", failure.reason) from failure
        with self._requests_lock:
            number = flask.g.number
            self._requests[number] = replace(self._requests[number], audio_seconds=found.duration * found.channels)
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
        return {"metadata": metadata, "results": _results(found, request_id, flask.request.args)}


def _refuse_unsupported(parameters: Mapping[str, str]) -> None:
    if unknown := sorted(set(parameters) - _PARAMETERS):
        raise _RefusalError(400, "Bad Request", f"The local stand-in does not support {', '.join(unknown)}.")
    if not (_wants(parameters, "punctuate") or _wants(parameters, "smart_format")):
        raise _RefusalError(400, "Bad Request", "The local stand-in always punctuates: ask for punctuate=true.")


def _wants(parameters: Mapping[str, str], name: str) -> bool:
    return parameters.get(name, "").lower() == "true"


def _results(found: TranscribedFile, request_id: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Deepgram's `results`, with no more than was asked for."""
    transcript = compose(
        job_id=request_id,
        source=MODEL_ID,
        duration=found.duration,
        language=parameters.get("language", "en"),
        model=MODEL_ID,
        passages=[Passage(Engine.PARAKEET_CPU, found.words)],
        channels=found.channels,
    )
    results: dict[str, Any] = to_deepgram(transcript)["results"]
    if not _wants(parameters, "utterances"):
        del results["utterances"]
    if not (_wants(parameters, "paragraphs") or _wants(parameters, "smart_format")):
        for channel in results["channels"]:
            del channel["alternatives"][0]["paragraphs"]
    return results


@contextmanager
def _audio() -> Iterator[tuple[Path, str]]:
    """The request's audio as a file that goes away afterwards, and its SHA-256."""
    digest = hashlib.sha256()
    with NamedTemporaryFile(prefix="dropscribe-listen-") as file:
        for block in _fetched(_address(flask.request.get_json(silent=True))) if flask.request.is_json else _body():
            digest.update(block)
            file.write(block)
        file.flush()
        yield Path(file.name), digest.hexdigest()


def _body() -> Iterator[bytes]:
    while block := flask.request.stream.read(BLOCK_BYTES):
        yield block


def _address(payload: object) -> httpx.URL:
    """The loopback address in a request's JSON."""
    url = _url(payload)
    if url is None:
        message = "Content-type was application/json, but we could not process the JSON payload."
        raise _RefusalError(400, "Bad Request", message)
    if not _is_loopback(url.host):
        message = f"The local stand-in fetches from loopback only, not from {url.host!r}."
        raise _RefusalError(400, "REMOTE_CONTENT_ERROR", message)
    return url


def _host(payload: object) -> str | None:
    url = _url(payload)
    return url.host if url else None


def _url(payload: object) -> httpx.URL | None:
    url = payload.get("url") if isinstance(payload, dict) else None
    with suppress(httpx.InvalidURL):
        return httpx.URL(url) if isinstance(url, str) else None
    return None


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _fetched(url: httpx.URL) -> Iterator[bytes]:
    """The content at `url`. Neither a redirect nor a proxy from the environment can lead away from loopback."""
    try:
        with (
            httpx.Client(trust_env=False, follow_redirects=False, timeout=FETCH_TIMEOUT_SECONDS) as client,
            client.stream("GET", url) as response,
        ):
            if response.status_code != 200:
                problem = f"answered {response.status_code} {response.reason_phrase}"
                raise _RefusalError(400, "REMOTE_CONTENT_ERROR", f"The remote server hosting the media {problem}.")
            yield from response.iter_bytes(BLOCK_BYTES)
    except (httpx.RequestError, httpx.InvalidURL) as error:
        message = f"The remote server hosting the media gave no media ({type(error).__name__})."
        raise _RefusalError(400, "REMOTE_CONTENT_ERROR", message) from error
