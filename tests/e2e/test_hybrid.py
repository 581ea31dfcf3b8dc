"""Both engines on one upload, either failing at some point, and the chain of engines where one cannot be loaded."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from infra.emulators.cloud import STATE, CloudOptions, LaptopCloud
from infra.emulators.deepgram_server import DeepgramServer
from infra.recordings import recording
from infra.tiny_parakeet import MODEL_PATH
from shared.errors import FailureKind
from shared.state.gpu_breaker import gpu_health
from tests.support.faulty_cloud import FaultyLaptopCloud
from tests.support.job_progress import await_retry, in_the_middle
from tests.support.user_client import Message, UserClient, bill_lines, user_client_of
from tests.support.waiting import PATIENCE
from tests.support.word_alignment import align_words, at_joins, check_times, word_error_rate

CALL, TEN_MINUTES = recording("call"), recording("long_seen")
BOTH = {"parakeet-cpu", "deepgram"}
SERVER_ERROR = 500
WORST_ERROR_RATE = 0.05
MOST_AT_JOINS = 1
"""Words lost or made up where engines meet: none when this was written; Parakeet alone has one in ten minutes."""
SETTINGS = {
    "HEARTBEAT_SECONDS": "0.2",
    "CHECKPOINT_SECONDS": "0.1",
    "LEASE_SECONDS": "3",
    # Little at a time, so that something is left for Deepgram, and there is a middle to be killed in.
    "CPU_BATCH_AUDIO_SECONDS": "20",
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopCloud]:
    """A cloud whose Parakeet takes little at a time."""
    options = CloudOptions(settings=SETTINGS, reconcile_seconds=2.0)
    with FaultyLaptopCloud(tmp_path_factory.mktemp("pair"), options) as running:
        yield running


@pytest.fixture
def owner(pair: LaptopCloud) -> Iterator[UserClient]:
    """A client of that cloud, once everything before has ended."""
    pair.eventarc.wait_idle(PATIENCE)
    pair.runner.wait_idle(PATIENCE)
    yield user_client_of(pair)
    pair.deepgram.recover()


def check_words(user: UserClient, message: Message) -> None:
    """All of it, right words at right times; nothing lost or doubled where engines meet."""
    assert message["outcome"] == "completed", message["reason"]
    transcript = user.result(message, "transcript.json")
    check_times(transcript)
    steps = align_words(TEN_MINUTES, transcript["words"])
    assert word_error_rate(steps) < WORST_ERROR_RATE
    meet = [
        (before["end"] + after["start"]) / 2
        for before, after in pairwise(transcript["segments"])
        if before["engine"] != after["engine"]
    ]
    assert len(at_joins(steps, meet)) <= MOST_AT_JOINS, at_joins(steps, meet)


def test_both_engines_write_one_text_and_are_on_one_bill(owner: UserClient) -> None:
    message = owner.outcome(owner.drop(TEN_MINUTES.path, "both.opus", method="hybrid"))
    assert owner.engines(message) == BOTH
    check_words(owner, message)
    assert message["model"] == "parakeet-tdt-tiny + deepgram nova-3"
    lines = bill_lines(message)
    assert {"deepgram nova-3", "cloud storage egress", "cloud run cpu (transcription)"} <= set(lines)
    minutes = next(item["quantity"] for item in message["bill"]["items"] if item["resource"] == "deepgram nova-3")
    assert 0 < minutes < TEN_MINUTES.duration / 60
    assert owner.result(message, "receipt.json")["fallbacks"] == 0


def second_call_breaks(deepgram: DeepgramServer) -> None:
    deepgram.stall_next(1, 0.0)
    deepgram.cut_next(1)


def every_call_fails(deepgram: DeepgramServer) -> None:
    deepgram.fail_next(100, SERVER_ERROR)


@pytest.mark.parametrize(
    ("breaks", "writers"), [(second_call_breaks, BOTH), (every_call_fails, {"parakeet-cpu"})], ids=["middle", "always"]
)
def test_what_deepgram_does_not_answer_parakeet_does(
    pair: LaptopCloud, owner: UserClient, breaks: Callable[[DeepgramServer], None], writers: set[str]
) -> None:
    breaks(pair.deepgram)
    message = owner.outcome(owner.drop(TEN_MINUTES.path, f"{breaks.__name__}.opus", method="hybrid"))
    assert owner.engines(message) == writers
    check_words(owner, message)
    assert owner.result(message, "receipt.json")["fallbacks"] > 0
    # Deepgram bills what it answered, and may bill a call that broke or ended with a 500.
    lines = set(bill_lines(message))
    assert "deepgram nova-3 (possibly billed)" in lines
    assert ("deepgram nova-3" in lines) is ("deepgram" in writers)


def test_a_worker_killed_while_both_are_at_it_is_resumed(pair: LaptopCloud, owner: UserClient) -> None:
    before = len(pair.deepgram.requests)
    pair.deepgram.stall_next(2, 3.0)
    name = owner.drop(TEN_MINUTES.path, "killed.opus", method="hybrid")
    task = in_the_middle(pair, owner, name)
    assert task.pid is not None
    os.kill(task.pid, signal.SIGKILL)
    await_retry(pair, task)
    message = owner.outcome(name)
    check_words(owner, message)
    pair.runner.wait_idle(PATIENCE)
    assert owner.message_count(name) == 1
    # Calls that the killed worker had begun are billed by Deepgram all the same.
    billed = sum(request.audio_seconds or 0.0 for request in pair.deepgram.requests[before:])
    minutes = [line["quantity"] for line in message["bill"]["items"] if line["kind"] == "deepgram"]
    assert sum(minutes) * 60 >= billed - 1.0 > 0


@pytest.fixture
def without_model(tmp_path: Path) -> dict[str, str]:
    """Settings with a model that cannot be loaded."""
    (folder := tmp_path / "no-model").mkdir()
    (folder / "encoder-model.onnx").write_bytes(b"no network")
    return {"PARAKEET_MODEL_NAME": str(folder)}


def test_without_a_gpu_that_works_the_cpu_takes_over_and_the_circuit_hears_of_it(tmp_path: Path) -> None:
    options = CloudOptions(str(MODEL_PATH), settings={"JOB_GPU": "nvidia-l4"})
    with FaultyLaptopCloud(tmp_path, options) as cloud:
        user = user_client_of(cloud)
        message = user.outcome(user.drop(CALL.path))
        assert message["outcome"] == "completed", message["reason"]
        assert user.engines(message) == {"parakeet-cpu"}
        assert user.result(message, "receipt.json")["fallbacks"] > 0
        assert gpu_health(cloud.storage().bucket(STATE)).failures == {FailureKind.MODEL_LOAD: 1}


def test_without_a_model_deepgram_does_all_of_it(tmp_path: Path, without_model: dict[str, str]) -> None:
    with FaultyLaptopCloud(tmp_path, CloudOptions(settings={"JOB_GPU": "nvidia-l4", **without_model})) as cloud:
        user = user_client_of(cloud)
        message = user.outcome(user.drop(CALL.path))
        assert message["outcome"] == "completed", message["reason"]
        assert user.engines(message) == {"deepgram"}
        assert message["model"] == "deepgram nova-3"
        assert "deepgram nova-3" in bill_lines(message)
        private = user.outcome(user.drop(CALL.path, "private.opus", privacy="local"))
        assert private["outcome"] == "failed"
        assert "model" in private["reason"]
        assert len(cloud.deepgram.requests) == message["fallbacks"]


def test_without_any_engine_the_upload_fails_with_reasons(tmp_path: Path, without_model: dict[str, str]) -> None:
    settings = {"MAX_ATTEMPTS": "1", "RESTART_SECONDS": "3", **without_model}
    options = CloudOptions(deepgram=False, settings=settings, reconcile_seconds=2.0)
    with FaultyLaptopCloud(tmp_path, options) as cloud:
        user = user_client_of(cloud)
        message = user.outcome(user.drop(CALL.path))
        assert message["outcome"] == "failed"
        assert without_model["PARAKEET_MODEL_NAME"] in message["reason"]
        assert message["bill"]["usd"] > 0
