"""The cost policy through a whole cloud: what is decided, is done, told with its quotes, and explained afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from infra.cli.main import app
from infra.emulators.cloud import PROJECT, STATE, UPLOADS, CloudOptions, LaptopCloud
from infra.recordings import recording
from tests.support.faulty_cloud import FaultyLaptopCloud
from tests.support.user_client import UserClient, user_client_of
from tests.support.waiting import PATIENCE

CALL = recording("call").path
# Whatever this machine has: prices of the decisions below.
SHAPE = {"CPU_JOB_VCPU": "8", "CPU_JOB_MEMORY_GIB": "32", "CPU_STARTUP_SECONDS": "60"}


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopCloud]:
    """A cloud whose policy decides."""
    with FaultyLaptopCloud(tmp_path_factory.mktemp("priced"), CloudOptions(method="auto", settings=SHAPE)) as running:
        yield running


@pytest.fixture
def owner(priced: LaptopCloud) -> UserClient:
    priced.eventarc.wait_idle(PATIENCE)
    priced.runner.wait_idle(PATIENCE)
    return user_client_of(priced)


def test_a_lone_short_file_goes_to_deepgram_for_its_price(owner: UserClient) -> None:
    message = owner.outcome(owner.drop(CALL, "short/call.opus"))
    decision = message["decision"]
    assert (decision["method"], decision["rule"]) == ("deepgram", "lowest-score")
    assert [quote["method"] for quote in decision["quotes"]] == ["parakeet", "hybrid", "deepgram"]
    assert "against" in decision["reason"]
    assert owner.result(message, "receipt.json")["decision"] == decision
    quoted = next(quote for quote in decision["quotes"] if quote["method"] == "deepgram")
    assert message["bill"]["usd"] == pytest.approx(quoted["bill"]["usd"], rel=0.05)


def test_what_may_not_cost_so_much_is_rejected_with_the_sums(owner: UserClient) -> None:
    message = owner.outcome(owner.drop(CALL, "poor/call.opus", max_cost="0.0001"))
    assert message["outcome"] == "rejected"
    assert "deepgram: $0.0014 is more than the $0.0001 allowed for the file" in message["reason"]
    assert message["bill"]["usd"] == 0


def test_a_private_file_is_transcribed_by_the_job_and_explained(
    owner: UserClient, priced: LaptopCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = len(priced.deepgram.requests)
    name = owner.drop(CALL, "private/call.opus", privacy="local")
    message = owner.outcome(name)
    assert (message["decision"]["method"], message["decision"]["rule"]) == ("parakeet", "only-allowed")
    assert message["engines"] == ["parakeet-cpu"]
    assert len(priced.deepgram.requests) == asked

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", priced.storage_server.url)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", PROJECT)
    result = CliRunner().invoke(app, ["explain", f"gs://{UPLOADS}/{name}", "--bucket", STATE, "--json"])
    assert result.exit_code == 0, result.output
    explained = json.loads(result.output)
    assert explained["job_id"] == message["job_id"]
    assert explained["outcome"]["decision"] == message["decision"]
    assert explained["receipt"]["execution"]
