"""Audio that Deepgram transcribed is counted as it is billed: by its own word for the length, and by channel."""

from __future__ import annotations

import flask
import pytest

from infra.emulators.http_server import HttpServer
from shared.deepgram import Deepgram
from shared.deepgram_request import DeepgramRequest
from shared.errors import EngineFailed
from shared.settings.deepgram import DeepgramSettings
from tests.support.recorded_metrics import RecordedMetrics, labels


def asked(app: flask.Flask, *, split: bool = False) -> None:
    with HttpServer(app) as server:
        settings = DeepgramSettings(deepgram_api_key="k", deepgram_base_url=server.url, deepgram_attempts=1)
        Deepgram(settings, "nova-3").transcribe(b"audio", DeepgramRequest("en", split=split))


def deepgram(body: object, status: int = 200) -> flask.Flask:
    app = flask.Flask("deepgram", static_folder=None)
    app.add_url_rule("/v1/listen", methods=["POST"], view_func=lambda: (flask.jsonify(body), status))
    return app


CHANNEL = {"alternatives": [{"transcript": "", "confidence": 0.9, "words": []}]}
ANSWER = {"metadata": {"request_id": "r", "duration": 9.0, "channels": 2}, "results": {"channels": [CHANNEL, CHANNEL]}}


@pytest.mark.parametrize(("split", "billed_seconds"), [(False, 9), (True, 18)])
def test_what_was_billed_is_counted(split: bool, billed_seconds: float, recorded_metrics: RecordedMetrics) -> None:
    asked(deepgram(ANSWER), split=split)
    assert recorded_metrics.collect() == {("dropscribe.audio", labels(engine="deepgram")): billed_seconds}


def test_what_was_not_heard_is_not(recorded_metrics: RecordedMetrics) -> None:
    with pytest.raises(EngineFailed):
        asked(deepgram({"err_code": "INSUFFICIENT"}, 402))
    assert recorded_metrics.collect() == {}
