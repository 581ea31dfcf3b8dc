"""The laptop's Deepgram, as Deepgram's own SDK sees it."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import time
import wave
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import flask
import httpx
import numpy as np
import pytest
from deepgram import DeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.environment import DeepgramClientEnvironment
from kaldialign import edit_distance

from infra.emulators.deepgram_server import DeepgramServer, ListenRequest
from infra.emulators.http_server import HttpServer
from infra.recordings import recording
from infra.tiny_parakeet import ONNX_PATH
from shared.transcript.deepgram_json import plain_word
from tests.support.recorded_processes import recording_process_type
from tests.support.waiting import PATIENCE, wait_until


class Caller:
    """Deepgram's client of one server. Its questions have defaults, its answers are the SDK's."""

    def __init__(self, server: DeepgramServer, key: str) -> None:
        url = server.url
        environment = DeepgramClientEnvironment(base=url, production=url, agent=url, agent_rest=url)
        self._media = DeepgramClient(
            api_key=key, environment=environment, timeout=PATIENCE, max_retries=0
        ).listen.v1.media

    def of_url(self, url: str, **options: Any) -> Any:
        return self._media.transcribe_url(url=url, **{"model": "nova-3", "punctuate": True, **options})

    def of_bytes(self, data: bytes, **options: Any) -> Any:
        return self._media.transcribe_file(request=data, **{"model": "nova-3", "punctuate": True, **options})


@pytest.fixture
def shared_caller(shared_deepgram_server: DeepgramServer, deepgram_key: str) -> Caller:
    return Caller(shared_deepgram_server, deepgram_key)


@pytest.fixture
def caller(deepgram_server: DeepgramServer, deepgram_key: str) -> Caller:
    return Caller(deepgram_server, deepgram_key)


def refusal(call: Callable[[], object]) -> tuple[int | None, str, str]:
    """Status, code and message of a call that is refused in Deepgram's way."""
    with pytest.raises(ApiError) as error:
        call()
    body = error.value.body
    assert body.keys() == {"err_code", "err_msg", "request_id"}
    assert UUID(body["request_id"])
    return error.value.status_code, body["err_code"], body["err_msg"]


def word_error_rate(answer: Any, truth: str) -> float:
    true_words = [plain_word(word) for word in truth.split()]
    found_words = [word.word for word in answer.results.channels[0].alternatives[0].words]
    return float(edit_distance(true_words, found_words)["total"] / len(true_words))


# Transcription


@pytest.mark.parametrize("name", ["memo.wav", "stream.mp4"])
def test_a_recording_is_transcribed_from_its_address(shared_caller: Caller, recordings_url: str, name: str) -> None:
    answer = shared_caller.of_url(f"{recordings_url}/{name}")
    assert word_error_rate(answer, recording(name).text) < 0.2


def test_a_recording_is_transcribed_from_its_bytes(shared_caller: Caller) -> None:
    memo = recording("memo.wav")
    assert word_error_rate(shared_caller.of_bytes(memo.path.read_bytes()), memo.text) < 0.2


def test_the_metadata_say_what_was_transcribed_and_that_it_was_not_deepgram(shared_caller: Caller) -> None:
    memo = recording("memo.wav")
    metadata = shared_caller.of_bytes(memo.path.read_bytes()).metadata
    assert UUID(metadata.request_id)
    assert metadata.sha256 == hashlib.sha256(memo.path.read_bytes()).hexdigest()
    assert metadata.duration == pytest.approx(memo.duration, abs=0.1)
    assert metadata.channels == 1
    assert abs(datetime.now(UTC) - metadata.created) < timedelta(minutes=5)
    (model,) = metadata.models
    assert metadata.model_info[model]["name"] == f"local stand-in with {ONNX_PATH.name}"


def test_words_come_plain_and_as_written(shared_caller: Caller) -> None:
    alternative = shared_caller.of_bytes(recording("memo.wav").path.read_bytes()).results.channels[0].alternatives[0]
    written = [word.punctuated_word for word in alternative.words]
    assert alternative.transcript == " ".join(written)
    assert [word.word for word in alternative.words] == [plain_word(word) for word in written]
    assert written[0].istitle()
    assert written[-1].endswith(".")


@pytest.mark.parametrize(
    ("asked", "utterances", "paragraphs"),
    [
        ({}, False, False),
        ({"utterances": True}, True, False),
        ({"paragraphs": True}, False, True),
        ({"smart_format": True, "punctuate": None}, False, True),
    ],
    ids=["nothing", "utterances", "paragraphs", "smart format"],
)
def test_utterances_and_paragraphs_come_on_request(
    shared_caller: Caller, asked: dict[str, bool | None], utterances: bool, paragraphs: bool
) -> None:
    results = shared_caller.of_bytes(recording("memo.wav").path.read_bytes(), **asked).results
    assert bool(results.utterances) is utterances
    assert bool(results.channels[0].alternatives[0].paragraphs) is paragraphs


def test_channels_are_billed_separately(shared_caller: Caller, shared_deepgram_server: DeepgramServer) -> None:
    memo = recording("memo.wav")
    with wave.open(str(memo.path)) as mono:
        left = np.frombuffer(mono.readframes(mono.getnframes()), "<i2")
        rate = mono.getframerate()
    stereo = io.BytesIO()
    with wave.open(stereo, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.stack([left, np.zeros_like(left)], axis=1).tobytes())
    answer = shared_caller.of_bytes(stereo.getvalue(), multichannel=True)
    assert word_error_rate(answer, memo.text) < 0.2
    assert [len(channel.alternatives[0].words) > 0 for channel in answer.results.channels] == [True, False]
    assert answer.metadata.channels == 2
    assert shared_deepgram_server.requests[-1].audio_seconds == pytest.approx(2 * memo.duration, abs=0.2)


def test_what_is_no_media_is_refused_and_spoils_nothing(shared_caller: Caller) -> None:
    status, code, message = refusal(lambda: shared_caller.of_bytes(b"no sound at all" * 100))
    assert (status, code) == (400, "Bad Request")
    assert "corrupt or unsupported data" in message
    assert refusal(lambda: shared_caller.of_bytes(b""))[:2] == (400, "Bad Request")
    assert shared_caller.of_bytes(recording("memo.wav").path.read_bytes()).metadata.duration > 0


def test_silence_has_no_words(shared_caller: Caller) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as silence:
        silence.setparams((1, 2, 16_000, 0, "NONE", ""))
        silence.writeframes(bytes(2 * 16_000))
    answer = shared_caller.of_bytes(file.getvalue())
    (alternative,) = answer.results.channels[0].alternatives
    assert (alternative.transcript, alternative.words, answer.metadata.duration) == ("", [], 1.0)


def test_every_request_is_remembered_with_the_audio_it_is_billed_for(
    shared_caller: Caller, shared_deepgram_server: DeepgramServer, recordings_url: str
) -> None:
    before = len(shared_deepgram_server.requests)
    shared_caller.of_url(f"{recordings_url}/memo.wav", language="en-GB")
    with pytest.raises(ApiError):
        shared_caller.of_bytes(b"no sound at all", model="nova-2")
    assert shared_deepgram_server.requests[before:] == (
        ListenRequest("nova-3", "en-GB", "127.0.0.1", pytest.approx(recording("memo.wav").duration, abs=0.1)),
        ListenRequest("nova-2", "en", None, None),
    )


# Refusals


def test_a_wrong_key_is_refused(deepgram_server: DeepgramServer) -> None:
    stranger = Caller(deepgram_server, "wrong")
    assert refusal(lambda: stranger.of_bytes(b"x"))[:2] == (401, "INVALID_AUTH")


@pytest.mark.parametrize("authorization", [{}, {"Authorization": "correct-horse"}, {"Authorization": "Token \xe9"}])
def test_without_a_token_nothing_is_transcribed(deepgram_server: DeepgramServer, authorization: dict[str, str]) -> None:
    headers = {name: value.encode("latin-1") for name, value in authorization.items()}
    answer = httpx.post(f"{deepgram_server.url}/v1/listen", headers=headers, content=b"x", timeout=PATIENCE)
    assert (answer.status_code, answer.json()["err_code"]) == (401, "INVALID_AUTH")


@pytest.mark.parametrize("body", [b"{}", b'{"url": 7}', b'{"url": "http://[::1"}', b"[]", b"{"])
def test_json_without_an_address_is_refused(deepgram_server: DeepgramServer, deepgram_key: str, body: bytes) -> None:
    headers = {"Authorization": f"Token {deepgram_key}", "Content-Type": "application/json"}
    url = f"{deepgram_server.url}/v1/listen?punctuate=true"
    answer = httpx.post(url, headers=headers, content=body, timeout=PATIENCE)
    assert (answer.status_code, answer.json()["err_code"]) == (400, "Bad Request")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.mp3",
        "http://127.0.0.1.example.com/a.mp3",
        "http://127.0.0.1@example.com/a.mp3",
        "http://169.254.169.254/",
        "http://10.0.0.1/a.mp3",
        "file:///etc/passwd",
        "a.mp3",
    ],
)
def test_it_reaches_nothing_but_loopback(caller: Caller, url: str) -> None:
    status, _, message = refusal(lambda: caller.of_url(url))
    assert status == 400
    assert "loopback only" in message


def test_a_redirect_does_not_lead_it_elsewhere(caller: Caller) -> None:
    app = flask.Flask("decoy", static_folder=None)
    app.add_url_rule("/a.mp3", view_func=lambda: flask.redirect("http://169.254.169.254/"))
    with HttpServer(app) as decoy:
        status, code, message = refusal(lambda: caller.of_url(f"{decoy.url}/a.mp3"))
    assert (status, code) == (400, "REMOTE_CONTENT_ERROR")
    assert "302" in message


def test_media_that_cannot_be_fetched_are_the_askers_fault(caller: Caller, recordings_url: str) -> None:
    status, code, message = refusal(lambda: caller.of_url(f"{recordings_url}/missing.mp3"))
    assert (status, code) == (400, "REMOTE_CONTENT_ERROR")
    assert "404" in message
    assert refusal(lambda: caller.of_url("ftp://127.0.0.1/a.mp3"))[:2] == (400, "REMOTE_CONTENT_ERROR")


@pytest.mark.parametrize(
    "options", [{"callback_method": "PUT"}, {"diarize": True}, {"diarize_model": "v9"}, {"punctuate": False}]
)
def test_what_the_stand_in_cannot_do_is_refused(caller: Caller, options: dict[str, Any]) -> None:
    status, code, message = refusal(lambda: caller.of_bytes(b"x", **options))
    assert (status, code) == (400, "Bad Request")
    assert next(iter(options)) in message


def test_words_say_who_speaks_where_that_is_asked(shared_caller: Caller, recordings_url: str) -> None:
    answer = shared_caller.of_url(f"{recordings_url}/call.opus", diarize_model="latest")
    words = answer.results.channels[0].alternatives[0].words
    assert [word.speaker for word in words] == sorted(word.speaker for word in words)  # the second answers the first
    assert {word.speaker for word in words} == {0, 1}
    plain = shared_caller.of_url(f"{recordings_url}/call.opus").results.channels[0].alternatives[0].words
    assert {getattr(word, "speaker", None) for word in plain} == {None}


# Faults


@pytest.mark.parametrize(("status", "code"), [(402, "ASR_PAYMENT_REQUIRED"), (429, "TOO_MANY_REQUESTS"), (599, "")])
def test_failures_come_in_deepgrams_shape_as_often_as_asked_for(
    deepgram_server: DeepgramServer, caller: Caller, status: int, code: str
) -> None:
    deepgram_server.fail_next(2, status)
    for _ in range(2):
        answered, name, _message = refusal(lambda: caller.of_bytes(b"x"))
        assert answered == status
        assert code in name
    assert refusal(lambda: caller.of_bytes(b"x", diarize=True))[0] == 400


def test_a_cut_connection_carries_no_answer(deepgram_server: DeepgramServer, caller: Caller) -> None:
    deepgram_server.cut_next(1)
    with pytest.raises(httpx.TransportError):
        caller.of_bytes(b"x")
    assert deepgram_server.requests == (ListenRequest("nova-3", "en", None),)


def test_a_stalled_request_is_answered_late(deepgram_server: DeepgramServer, caller: Caller) -> None:
    deepgram_server.stall_next(1, 0.2)
    began = time.monotonic()
    refusal(lambda: caller.of_url("https://example.com/a.mp3"))
    assert time.monotonic() - began >= 0.2


def test_stop_ends_a_stalled_request(deepgram_server: DeepgramServer, caller: Caller) -> None:
    deepgram_server.stall_next(1, 10 * PATIENCE)
    with ThreadPoolExecutor() as pool:
        stalled = pool.submit(caller.of_bytes, b"x")
        wait_until(lambda: len(deepgram_server.requests) == 1, "the request came")
        deepgram_server.stop()
        assert isinstance(stalled.exception(PATIENCE), httpx.TransportError)


# The process that transcribes


def test_stop_ends_a_transcription_and_its_process(deepgram_key: str, tmp_path: Path) -> None:
    process_type, started = recording_process_type()
    server = DeepgramServer(str(ONNX_PATH), deepgram_key, tmp_path / "log", process_type)
    with server, ThreadPoolExecutor() as pool:
        unanswered = pool.submit(Caller(server, deepgram_key).of_bytes, recording("memo.wav").path.read_bytes())
        wait_until(lambda: started, "a transcriber runs")
        server.stop()
        assert isinstance(unanswered.exception(PATIENCE), httpx.TransportError)
    (process,) = started
    assert process.poll() is not None


def test_the_process_that_serves_never_imports_the_model_code() -> None:
    code = "import sys, infra.emulators.deepgram_server; sys.exit('torch' in sys.modules or 'nemo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=PATIENCE).returncode == 0
