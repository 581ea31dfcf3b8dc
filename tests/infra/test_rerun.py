"""`dropscribe rerun` and `diff`: quote, question, the run itself, and its words against those before."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from infra.cli.main import app
from infra.cli.reruns.commands import parse_since
from infra.recordings import recording
from shared.clock import now
from shared.costs.bill import Bill
from shared.enums import Engine, Method, Outcome
from shared.errors import DropscribeError
from shared.media import Upload
from shared.state.job_result import completed, failed
from shared.state.jobs.record import JobRecord, JobState
from shared.transcript.compose import compose
from shared.transcript.model import Passage, Word
from tests.support.faulty_deepgram import FaultyDeepgramServer
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import STATE, UPLOADS, LoopbackCloud
from tests.support.price_books import book_with_model
from tests.support.waiting import wait_until
from trigger_function.handle_upload import handle
from trigger_function.reconciler.open_jobs import reconcile_all
from trigger_function.services import Services

AUDIO = recording("memo.wav").path.read_bytes()


@pytest.fixture
def services(
    make_services: MakeServices, shared_deepgram_server: FaultyDeepgramServer, deepgram_key: str, tmp_path: Path
) -> Services:
    """Of a deployment that asks Deepgram, and knows two of its models."""
    return make_services(
        PRICE_BOOK=str(book_with_model(tmp_path / "book.toml", "nova-2", usd=0.0052)),
        DEEPGRAM_API_KEY=deepgram_key,
        DEEPGRAM_BASE_URL=shared_deepgram_server.url,
        TRANSCRIPTION_METHOD="deepgram",
    )


def rerun(*arguments: str, answer: str = "") -> tuple[int, str]:
    result = CliRunner().invoke(app, ["rerun", "--bucket", STATE, *arguments], input=answer)
    return result.exit_code, result.output


def record_of(services: Services, upload: Upload) -> JobRecord:
    job = services.jobs.load(upload.job_id)
    assert job is not None
    return job.record


def fail(services: Services, cloud: LoopbackCloud, name: str) -> Upload:
    """An upload that was inspected, and failed."""
    upload = cloud.drop(AUDIO, name)
    job = services.jobs.claim(upload, "me", timedelta(minutes=10))
    assert job is not None
    services.finisher.finish(job.record, failed(DropscribeError("Broken.")))
    return upload


def complete(services: Services, record: JobRecord, text: str) -> None:
    words = [Word(text=one, start=float(index), end=index + 0.5) for index, one in enumerate(text.split())]
    transcript = compose(
        job_id=record.upload.job_id,
        source=record.upload.uri,
        duration=60,
        language="en",
        model=f"model-{record.run}",
        passages=[Passage(Engine.PARAKEET_GPU, words)],
    )
    services.finisher.finish(record, completed(transcript), Bill())


@pytest.fixture
def reconciler(services: Services) -> Iterator[None]:
    """Called again and again, as a scheduler does."""
    left = threading.Event()

    def tick() -> None:
        while not left.wait(0.05):
            reconcile_all(services)

    thread = threading.Thread(target=tick)
    thread.start()
    yield
    left.set()
    thread.join()


def test_a_failed_job_is_run_again_at_once(cloud: LoopbackCloud, services: Services) -> None:
    upload = fail(services, cloud, "calls/a.wav")
    status, output = rerun(f"gs://{UPLOADS}/{upload.name}")
    assert status == 0
    assert output.splitlines()[-1] == "1 job will be run again: the reconciler's next call takes it up."
    assert reconcile_all(services) == {"restarted": 1}
    assert [(one.run, one.outcome) for one in cloud.terminal_messages()] == [
        (1, Outcome.FAILED),
        (2, Outcome.COMPLETED),
    ]


def test_a_model_has_a_quote_before_and_a_word_diff_behind(
    cloud: LoopbackCloud, services: Services, reconciler: None
) -> None:
    upload = cloud.drop(AUDIO)
    handle(services, upload)
    asked = (upload.job_id, "--model", "nova-2")
    status, output = rerun(*asked, "--dry-run")
    assert status == 0
    # 8.06 s at $0.0052 a minute, and the egress.
    assert output.splitlines()[-1] == "1 job would be run again for about $0.0007."
    assert "deepgram (nova-2)" in output
    assert record_of(services, upload).run == 1
    status, output = rerun(*asked, answer="n\n")
    assert status == 1
    assert "Run 1 job again for about $0.0007? [y/N]" in output
    assert record_of(services, upload).run == 1
    status, output = rerun(*asked, answer="y\n")
    assert status == 0
    assert "waiting for run 2" in output
    (found,) = [line for line in output.splitlines() if line.startswith("run 2 (")]
    assert "against run 1 (" in found
    assert "0 changed, 0 deleted, 0 inserted (0.0%)" in found, "the stand-in hears the same with every model"


def test_what_is_completed_is_left_without_force(cloud: LoopbackCloud, services: Services) -> None:
    upload = cloud.drop(AUDIO)
    handle(services, upload)
    status, output = rerun(upload.job_id)
    assert status == 1
    assert "not run again: The job is completed: name another model, or force it." in output
    assert rerun(upload.job_id, "--model", "deepgram", "--yes")[0] == 1
    assert rerun(upload.job_id, "--force")[0] == 0
    assert record_of(services, upload).run == 2


def test_all_that_failed_since_or_lie_below_a_prefix(cloud: LoopbackCloud, services: Services) -> None:
    first, second = fail(services, cloud, "calls/a.wav"), fail(services, cloud, "memos/b.wav")
    done = cloud.drop(AUDIO, "calls/done.wav")
    handle(services, done)
    cloud.drop(AUDIO, "calls/new.wav")

    def chosen(*options: str) -> set[str]:
        _, output = rerun(*options, "--dry-run", "--json")
        return {one["job_id"] for one in json.loads(output)["jobs"] if one["refused"] is None}

    assert chosen("--failed-since", "1h") == {first.job_id, second.job_id}
    assert chosen("--failed-since", (now() + timedelta(hours=1)).isoformat()) == set()
    assert chosen("--failed-since", "1h", "--prefix", f"gs://{UPLOADS}/memos/") == {second.job_id}
    assert chosen("--prefix", f"gs://{UPLOADS}/calls/") == {first.job_id}
    assert chosen("--prefix", f"gs://{UPLOADS}/", "--force") == {first.job_id, second.job_id, done.job_id}
    status, output = rerun("--failed-since", "1h", answer="y\n")
    assert status == 0
    assert "Run 2 jobs again" in output
    assert {marker.run for marker in services.jobs.markers.all()} == {2}
    assert chosen("--failed-since", "1h") == set(), "they have not ended yet"


def test_that_nothing_failed_is_no_failure_of_the_command(cloud: LoopbackCloud) -> None:
    assert rerun("--failed-since", "12h", "--yes") == (0, "There are no such jobs.\n")
    assert rerun("--failed-since", "12h", "--dry-run")[0] == 0


def test_what_cannot_be_read_of_one_job_keeps_no_other(cloud: LoopbackCloud, services: Services) -> None:
    newer, lost, sound, damaged = (fail(services, cloud, f"calls/{name}.wav") for name in ("a", "b", "c", "d"))
    services.state.blob(f"jobs/{newer.job_id}/record.json").upload_from_string('{"schema_version": 2}')
    services.state.blob(f"jobs/{damaged.job_id}/record.json").upload_from_string("{}")
    services.state.blob(f"jobs/{lost.job_id}/outcome.json").upload_from_string("[")
    status, output = rerun("--failed-since", "1h", "--yes")
    assert status == 1
    assert "calls/a.wav" in output
    assert "A newer release wrote the job's record" in output
    assert {marker.job_id for marker in services.jobs.markers.all()} == {sound.job_id, damaged.job_id}


def test_json_waits_and_has_outcome_and_diff(cloud: LoopbackCloud, services: Services, reconciler: None) -> None:
    upload = fail(services, cloud, "calls/a.wav")
    result = CliRunner().invoke(app, ["rerun", "--bucket", STATE, upload.job_id, "--wait", "--yes", "--json"])
    (job,) = json.loads(result.stdout)["jobs"]
    assert result.exit_code == 0
    assert (job["begun"], job["run"], job["outcome"]["outcome"], job["diff"]) == (True, 2, "completed", None)


def test_a_rerun_that_fails_again_is_the_exit_status(cloud: LoopbackCloud, services: Services) -> None:
    upload = fail(services, cloud, "calls/a.wav")

    def fail_again() -> None:
        wait_until(lambda: record_of(services, upload).run == 2, "the run")
        services.finisher.finish(record_of(services, upload), failed(DropscribeError("Broken for good.")))

    thread = threading.Thread(target=fail_again)
    thread.start()
    status, output = rerun(upload.job_id, "--wait")
    thread.join()
    assert status == 5
    assert "Broken for good." in output


def test_a_diff_names_places_and_words(cloud: LoopbackCloud, services: Services) -> None:
    upload = fail(services, cloud, "calls/a.wav")
    diff = ["diff", upload.job_id, "--bucket", STATE]
    assert CliRunner().invoke(app, diff).output == "There are no two runs of the job with a transcript.\n"
    for text in ("one two three four", "one too three \x1b[2J four five"):
        rerun(upload.job_id, "--force")
        complete(services, record_of(services, upload), text)
    output = CliRunner().invoke(app, diff).output
    assert output.splitlines() == [
        "run 3 (model-3) against run 2 (model-2): of 4 words 1 changed, 0 deleted, 2 inserted (75.0%)",
        "  00:00:01  changed   two -> too",
        r"  00:00:03  inserted  \x1b[2J",
        "  00:00:05  inserted  five",
    ]
    found = json.loads(CliRunner().invoke(app, [*diff, "--json"]).output)
    assert (found["runs"], found["changed"], found["inserted"], found["rate"]) == ([2, 3], 1, 2, 0.75)


@pytest.mark.parametrize(
    "arguments",
    [[], ["a", "--prefix", "gs://b/"], ["a", "--json"], ["--failed-since", "soon"], ["--prefix", "calls/"]],
)
def test_arguments_that_make_no_sense(cloud: LoopbackCloud, arguments: list[str]) -> None:
    assert rerun(*arguments)[0] == 2


@pytest.mark.parametrize(
    "arguments", [["f" * 24], ["nonsense"], ["f" * 24, "--model", "whisper"], ["--prefix", f"gs://{UPLOADS}/"]]
)
def test_what_cannot_be_run_again_is_said_in_a_sentence(cloud: LoopbackCloud, arguments: list[str]) -> None:
    status, output = rerun(*arguments)
    assert status == 1
    assert output.strip().endswith(".")
    assert "Traceback" not in output


def test_times_are_ages_or_dates() -> None:
    assert parse_since("2026-11-28") == datetime(2026, 11, 28, tzinfo=UTC)
    assert parse_since("2026-11-28T10:00+02:00") == datetime(2026, 11, 28, 8, tzinfo=UTC)
    for text, age in (("90m", timedelta(minutes=90)), ("12h", timedelta(hours=12)), ("3d", timedelta(days=3))):
        before = now()
        assert before - age <= parse_since(text) <= now() - age
    for text in ("", "h", "-1h", "1e3h", "9" * 30 + "d", "yesterday"):
        with pytest.raises(typer.BadParameter):
            parse_since(text)


def test_the_record_of_a_rerun_says_what_was_asked_for(cloud: LoopbackCloud, services: Services) -> None:
    upload = fail(services, cloud, "calls/a.wav")
    assert rerun(upload.job_id, "--model", "parakeet", "--yes", "--no-wait")[0] == 0
    record = record_of(services, upload)
    assert record.requested is not None
    assert (record.requested.method, record.state) == (Method.PARAKEET, JobState.CLAIMED)
    assert reconcile_all(services) == {"restarted": 1}
    (item,) = cloud.work_items()
    assert (item.decision.method, item.decision.rule) == (Method.PARAKEET, "requested")
