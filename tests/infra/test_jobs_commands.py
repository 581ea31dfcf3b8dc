"""`dropscribe submit`, `status`, `watch` and `results`: a recording's way into a deployment and back."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from infra.cli.exit_codes import ExitCode
from infra.cli.main import app
from infra.recordings import recording
from shared.enums import Channels, Method, Privacy
from shared.media import Upload
from shared.options.parsing import parse_upload_options
from tests.support.faulty_deepgram import FaultyDeepgramServer
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import STATE, UPLOADS, LoopbackCloud
from trigger_function.handle_upload import handle
from trigger_function.services import Services

MEMO = recording("memo").path


@pytest.fixture
def services(
    make_services: MakeServices,
    shared_deepgram_server: FaultyDeepgramServer,
    deepgram_key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Services:
    """Of a deployment that asks Deepgram."""
    monkeypatch.setenv("UPLOADS_BUCKET", UPLOADS)
    monkeypatch.setattr("infra.cli.jobs.status.LOOK_SECONDS", 0.05)
    return make_services(DEEPGRAM_API_KEY=deepgram_key, DEEPGRAM_BASE_URL=shared_deepgram_server.url)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def submitted(cloud: LoopbackCloud, done: Result) -> list[Upload]:
    """What a submission's JSON says it uploaded, in its order."""
    names = [job["upload"] for job in json.loads(done.stdout)["jobs"] if job["job_id"]]
    blobs = [cloud.storage.bucket(UPLOADS).get_blob(name) for name in names]
    return [Upload(bucket=UPLOADS, name=blob.name, generation=blob.generation) for blob in blobs]


@pytest.fixture
def transcribed(cloud: LoopbackCloud, services: Services) -> Upload:
    done = run("submit", MEMO, "--json")
    assert done.exit_code == 0, done.output
    (upload,) = submitted(cloud, done)
    handle(services, upload)
    return upload


def test_submitted_recordings_are_uploads_with_their_options(
    cloud: LoopbackCloud, services: Services, tmp_path: Path
) -> None:
    (tmp_path / "calls").mkdir()
    for name in ("a.wav", "b.wav"):
        (tmp_path / "calls" / name).write_bytes(MEMO.read_bytes())
    (tmp_path / "calls" / "notes.txt").write_text("no recording")
    options = [
        "--method",
        "parakeet",
        "--channels",
        "split",
        "--privacy",
        "local",
        "--max-cost",
        "0.5",
        "--deadline",
        "9",
    ]
    done = run("submit", tmp_path / "calls", tmp_path / "missing.wav", *options, "--folder", "/team/", "--json")
    assert done.exit_code == ExitCode.REJECTED
    jobs = json.loads(done.stdout)["jobs"]
    assert [job["upload"] for job in jobs] == ["team/calls/a.wav", "team/calls/b.wav", "team/missing.wav"]
    assert jobs[2]["source"].endswith("missing.wav")
    assert jobs[2]["refused"]
    assert [job["job_id"] for job in jobs[:2]] == [upload.job_id for upload in submitted(cloud, done)]
    blob = cloud.storage.bucket(UPLOADS).get_blob("team/calls/a.wav")
    assert blob.download_as_bytes() == MEMO.read_bytes()
    asked = parse_upload_options(blob.metadata)
    assert (asked.method, asked.channels, asked.privacy) == (Method.PARAKEET, Channels.SPLIT, Privacy.LOCAL)
    assert (asked.max_cost_usd, asked.deadline_minutes) == (0.5, 9)


def test_a_dry_run_uploads_nothing(cloud: LoopbackCloud, services: Services) -> None:
    done = run("submit", MEMO, "--dry-run", "--json")
    assert json.loads(done.stdout)["jobs"] == [
        {"source": str(MEMO), "upload": "memo.wav", "job_id": None, "refused": None}
    ]
    assert list(cloud.storage.list_blobs(UPLOADS)) == []


def test_an_upload_that_is_there_is_found_as_its_job(cloud: LoopbackCloud, services: Services) -> None:
    upload = cloud.drop(MEMO.read_bytes(), "memo.wav")
    done = run("submit", f"gs://{UPLOADS}/memo.wav", "--json")
    assert [job["job_id"] for job in json.loads(done.stdout)["jobs"]] == [upload.job_id]
    refused = run("submit", f"gs://{UPLOADS}/memo.wav", "--method", "parakeet", "https://example.com/a.mp3", "--json")
    assert refused.exit_code == ExitCode.REJECTED
    reasons = [job["refused"] for job in json.loads(refused.stdout)["jobs"]]
    assert "is an upload already" in reasons[0]
    assert "curl" in reasons[1]


def test_options_that_are_not_known_are_a_usage_error(cloud: LoopbackCloud) -> None:
    done = run("submit", MEMO, "--bucket", STATE, "--uploads", UPLOADS, "--track", "klingon!")
    assert done.exit_code == ExitCode.USAGE
    assert "transcribe-track" in done.output


def test_without_a_bucket_the_project_names_it(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_BUCKET")
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
    done = run("status", "0" * 24)
    assert done.exit_code == ExitCode.USAGE
    assert "--project" in done.output
    done = run("explain", "0" * 24, "--project", "a-project")
    assert "a-project-dropscribe-state" in done.output


def test_the_state_of_jobs(cloud: LoopbackCloud, transcribed: Upload) -> None:
    done = run("status", transcribed.job_id, f"gs://{UPLOADS}/{transcribed.name}", "f" * 24, "--json")
    assert done.exit_code == ExitCode.ERROR
    answer = json.loads(done.stdout)
    assert [job["job_id"] for job in answer["jobs"]] == [transcribed.job_id] * 2
    assert (answer["jobs"][0]["stage"], answer["jobs"][0]["outcome"]) == ("done", "completed")
    assert "f" * 24 in answer["unknown"][0]
    shown = run("status", transcribed.job_id)
    assert shown.exit_code == 0
    assert shown.output.splitlines()[1].split() == [transcribed.job_id, "memo.wav", "completed"]


def test_jobs_are_watched_to_their_end(cloud: LoopbackCloud, services: Services) -> None:
    upload, bad = cloud.drop(MEMO.read_bytes(), "memo.wav"), cloud.drop(b"RIFF", "bad.wav")
    working = threading.Thread(target=lambda: [handle(services, one) for one in (upload, bad)])
    working.start()
    done = run("watch", upload.uri, bad.uri, "--json")
    working.join()
    assert done.exit_code == ExitCode.REJECTED
    events = [json.loads(line) for line in done.stdout.splitlines()]
    last = {event["job_id"]: event for event in events}
    assert last[upload.job_id]["outcome"] == "completed"
    assert last[bad.job_id]["reason"]


def test_what_does_not_end_is_watched_no_longer_than_asked(cloud: LoopbackCloud, services: Services) -> None:
    done = run("watch", cloud.drop(MEMO.read_bytes(), "memo.wav").uri, "--timeout", "0.1")
    assert done.exit_code == ExitCode.ERROR
    assert "1 of 1 jobs have not ended within 0.1 s" in done.output


def test_results_are_copied(cloud: LoopbackCloud, services: Services, transcribed: Upload, tmp_path: Path) -> None:
    out = tmp_path / "out"
    planned = run("results", transcribed.job_id, "--out", out, "--dry-run", "--json")
    assert not out.exists()
    done = run("results", transcribed.job_id, "--out", out, "--json")
    assert (done.exit_code, done.stdout) == (0, planned.stdout)
    (answer,) = json.loads(done.stdout)["jobs"]
    assert answer["folder"] == str(out / "memo.wav")
    assert sorted(answer["files"]) == sorted(path.name for path in (out / "memo.wav").iterdir())
    assert (out / "memo.wav" / "transcript.txt").read_text().startswith("The doctor")


def test_results_of_what_has_none(cloud: LoopbackCloud, services: Services, tmp_path: Path) -> None:
    bad, unheard = cloud.drop(b"RIFF", "bad.wav"), cloud.drop(b"RIFF", "unheard.wav")
    handle(services, bad)
    done = run("results", bad.job_id, "--out", tmp_path)
    assert done.exit_code == ExitCode.REJECTED
    assert run("results", unheard.job_id, "--out", tmp_path).exit_code == ExitCode.ERROR


def test_a_job_is_erased(cloud: LoopbackCloud, services: Services, transcribed: Upload) -> None:
    assert run("erase", transcribed.uri, "--dry-run").exit_code == 0
    assert run("erase", transcribed.uri, "--json").exit_code == ExitCode.USAGE
    assert CliRunner().invoke(app, ["erase", transcribed.uri], input="n\n").exit_code == 1
    assert cloud.storage.bucket(UPLOADS).get_blob("memo.wav") is not None
    done = run("erase", transcribed.uri, "--yes", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["upload"]["objects"] == 1
    assert cloud.storage.bucket(UPLOADS).get_blob("memo.wav") is None
    again = run("erase", transcribed.job_id, "--yes")
    assert "Erased: 1 of upload" in again.output
    assert run("erase", "f" * 24, "--yes").exit_code == ExitCode.ERROR


def test_a_job_is_erased_whose_record_cannot_be_read(cloud: LoopbackCloud, transcribed: Upload) -> None:
    cloud.storage.bucket(STATE).blob(f"jobs/{transcribed.job_id}/record.json").upload_from_string(b"")
    by_id = run("erase", transcribed.job_id, "--yes")
    assert by_id.exit_code == ExitCode.ERROR
    assert "name its upload by its address" in by_id.output
    assert run("erase", transcribed.uri, "--yes").exit_code == 0
    assert cloud.names(UPLOADS) == []
