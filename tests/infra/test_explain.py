"""`dropscribe explain`: a job found by its id or its upload, before and after its end."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from infra.cli.main import app
from infra.emulators.deepgram_server import DeepgramServer
from infra.recordings import recording
from shared.media import Upload
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import STATE, UPLOADS, LoopbackCloud
from trigger_function.handle_upload import handle
from trigger_function.services import Services

AUDIO = recording("call").path.read_bytes()


def explained(job: str, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["explain", job, "--bucket", STATE, *options])
    return result.exit_code, result.output


@pytest.fixture
def transcribed(
    cloud: LoopbackCloud, make_services: MakeServices, shared_deepgram_server: DeepgramServer, deepgram_key: str
) -> Upload:
    """An upload that Deepgram transcribed."""
    upload = cloud.drop(AUDIO)
    handle(make_services(DEEPGRAM_API_KEY=deepgram_key, DEEPGRAM_BASE_URL=shared_deepgram_server.url), upload)
    return upload


def test_an_ended_job_has_decision_quotes_bill_and_coverage(transcribed: Upload) -> None:
    status, output = explained(f"gs://{UPLOADS}/{transcribed.name}")
    assert status == 0
    assert transcribed.uri in output
    assert "completed" in output
    assert "deepgram (lowest-score): Deepgram is worth most" in output
    quotes = [line.split() for line in output.splitlines() if "$" in line and line.rstrip().endswith(" s")]
    assert [row[:-3] for row in quotes] == [
        ["parakeet", "on", "the", "GPU"],
        ["hybrid", "on", "the", "GPU"],
        [">", "deepgram"],
    ]
    assert "predicted $0.00138" in output
    assert "deepgram nova-3" in output
    assert "s of speech have words" in output


def test_a_job_is_found_by_id_address_and_generation(cloud: LoopbackCloud, transcribed: Upload) -> None:
    cloud.storage.bucket(UPLOADS).blob(transcribed.name).delete()
    for job in (transcribed.job_id, transcribed.uri):
        status, output = explained(job, "--json")
        assert status == 0
        assert json.loads(output)["receipt"]["job_id"] == transcribed.job_id
    status, output = explained(f"gs://{UPLOADS}/{transcribed.name}")
    assert status == 1
    assert "does not exist any more" in output


def test_a_job_that_has_not_ended_says_how_far_it_is(cloud: LoopbackCloud, services: Services) -> None:
    upload = cloud.drop(AUDIO)
    handle(services, upload)
    status, output = explained(upload.job_id)
    assert status == 0
    assert "queued, not ended yet" in output
    assert "no Deepgram API key is configured" in output
    assert "Bill" not in output


@pytest.mark.parametrize("job", ["", "calls/a.mp3", "gs://uploads", "gs://uploads/never.mp3", "f" * 24, "abc"])
def test_what_is_no_job_is_said_in_a_sentence(cloud: LoopbackCloud, job: str) -> None:
    status, output = explained(job)
    assert status == 1
    assert output.strip().endswith(".")


def test_of_a_job_that_was_run_again_the_last_run_is_shown(cloud: LoopbackCloud, transcribed: Upload) -> None:
    forced = CliRunner().invoke(app, ["rerun", transcribed.job_id, "--force", "--bucket", STATE])
    assert forced.exit_code == 0
    status, output = explained(transcribed.job_id)
    assert status == 0
    assert f"job {transcribed.job_id}, run 2 ($0.00138 before): claimed, not ended yet" in output
    assert json.loads(explained(transcribed.job_id, "--json")[1])["outcome"] is None
