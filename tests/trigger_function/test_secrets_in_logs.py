"""Neither Deepgram's key nor a signed address is in any line, however much is logged, whatever a provider answers."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import flask
import pytest
import stamina

from infra.emulators.http_server import HttpServer
from infra.recordings import recording
from tests.support.function_services import MakeServices
from tests.support.log_lines import LogLines, recorded_log
from tests.support.loopback_cloud import LoopbackCloud
from trigger_function.handle_upload import handle

KEY = "key-that-nobody-may-read"
AUDIO = recording("memo.wav").path.read_bytes()


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=1):
        yield


@pytest.fixture
def everything_logged() -> Iterator[None]:
    """The libraries' lines, too."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)


@pytest.mark.usefixtures("everything_logged")
@pytest.mark.parametrize("status", [400, 401, 500, 200])
def test_a_refusal_that_quotes_the_request_is_not_passed_on(
    cloud: LoopbackCloud, make_services: MakeServices, status: int
) -> None:
    app = flask.Flask("quoting", static_folder=None)
    addresses = []

    @app.post("/v1/listen")
    def listen() -> flask.Response:
        addresses.append(flask.request.get_json()["url"])
        quoted = {"err_msg": f"Could not fetch {addresses[-1]} for {flask.request.headers['Authorization']}"}
        return flask.make_response(quoted, status)

    with HttpServer(app) as server:
        services = make_services(
            DEEPGRAM_API_KEY=KEY, DEEPGRAM_BASE_URL=server.url, TRANSCRIPTION_METHOD="deepgram", LOG_LEVEL="DEBUG"
        )
        with recorded_log(LogLines()) as log:
            handle(services, cloud.drop(AUDIO))
    (address,) = addresses
    signature = address.partition("X-Goog-Signature=")[2][:40]
    assert signature
    logged = json.dumps(log.lines)
    assert '"deepgram failed"' in logged
    assert KEY not in logged
    assert signature not in logged
    # Nor in what others read: records, outcomes, messages.
    for bucket in ("state", "results"):
        for name in cloud.names(bucket):
            content = cloud.storage.bucket(bucket).blob(name).download_as_bytes()
            assert KEY.encode() not in content
            assert signature.encode() not in content
    assert KEY not in repr(services)
