"""The function, killed before each of its effects in turn: every upload ends as if nothing had happened.

Its calls to Deepgram: tests/trigger_function/test_deepgram_call.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
import stamina

from infra.recordings import recording
from shared.enums import Outcome
from tests.support.agreeing_outcomes import disagreements
from tests.support.faulty_deepgram import FaultyDeepgramServer
from tests.support.function_services import MakeServices
from tests.support.killed_process import killed_at
from tests.support.later_attempts import ONE_FORMAT, all_work_ends
from tests.support.loopback_cloud import LoopbackCloud
from trigger_function.handle_upload import handle

AUDIO = recording("memo.wav").path.read_bytes()


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=1):
        yield


@pytest.fixture
def deepgram(shared_deepgram_server: FaultyDeepgramServer) -> Iterator[FaultyDeepgramServer]:
    yield shared_deepgram_server
    shared_deepgram_server.recover()


@pytest.mark.parametrize(
    ("method", "fault"),
    [
        ("parakeet", None),
        ("parakeet", "no execution starts"),
        ("deepgram", "deepgram fails"),
    ],
)
def test_killed_before_any_effect(
    cloud: LoopbackCloud,
    make_services: MakeServices,
    deepgram: FaultyDeepgramServer,
    deepgram_key: str,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    fault: str | None,
) -> None:
    services = make_services(
        RESULT_FORMATS=ONE_FORMAT,
        DEEPGRAM_API_KEY=deepgram_key,
        DEEPGRAM_BASE_URL=deepgram.url,
        TRANSCRIPTION_METHOD=method,
        # The event comes again at once.
        CLAIM_SECONDS="0.001",
    )
    uploads = []
    for effect in count(1):
        uploads.append(cloud.drop(AUDIO, f"calls/{effect}.wav"))
        cloud.forget_executions()
        if fault == "no execution starts":
            cloud.runner.refuse_next(1)
        elif fault == "deepgram fails":
            deepgram.fail_next(1, 402)
        with killed_at(effect, monkeypatch=monkeypatch) as kill:
            handle(services, uploads[-1])
        if not kill.happened:
            break
    deepgram.recover()
    for upload in uploads:
        handle(services, upload)
    all_work_ends(cloud, services, monkeypatch)
    assert disagreements(cloud, services, uploads) == []
    outcomes = [outcome for upload in uploads if (outcome := services.jobs.outcome(upload.job_id))]
    assert [outcome.outcome for outcome in outcomes] == [Outcome.COMPLETED] * len(uploads)
    assert effect > 5
