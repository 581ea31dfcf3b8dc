"""`dropscribe estimate`: files and buckets, the sums that stand beside each other, and that nothing is transcribed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from infra.cli.estimate import NO_DEPLOYMENT, InspectedFile, estimate
from infra.cli.main import app
from infra.cli.tables import tracks_line
from infra.recordings import recording
from shared.costs.prices import price_book
from shared.costs.speeds import SpeedStore, execution_figures
from shared.enums import Channels, Method
from shared.media import Upload
from shared.options.metadata_keys import MAX_COST_METADATA, PRIVACY_METADATA
from shared.options.model import UploadOptions
from tests.support.loopback_cloud import RESULTS, STATE, UPLOADS, LoopbackCloud
from tests.support.routing_cases import PRICING, film, media
from trigger_function.settings.function import FunctionSettings

CALL, LONG = recording("call").path, recording("long_seen").path


def found(name: str, seconds: float, **options: Any) -> InspectedFile:
    job_id = Upload(bucket="files", name=name, generation=1).job_id
    return InspectedFile(name, job_id, media(seconds, seconds * 8000), UploadOptions(**options))


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> FunctionSettings:
    monkeypatch.delenv("GPU_JOB", raising=False)
    return FunctionSettings.model_validate(NO_DEPLOYMENT)


def test_the_sums_are_those_of_the_files_and_of_one_engine_for_all(settings: FunctionSettings) -> None:
    files = [found("a", 20), found("b", 7200), found("c", 7200)]
    made = estimate(files, settings, price_book(), PRICING.speeds)
    methods = [line.decision.method for line in made.lines if line.decision]
    assert methods == [Method.DEEPGRAM, Method.PARAKEET, Method.PARAKEET]
    quoted = [line.decision.quote.bill.usd for line in made.lines if line.decision and line.decision.quote]
    assert made.total.usd == pytest.approx(sum(quoted))
    assert made.audio_seconds == 14_420
    # Start-up is paid once: by the first of those that the job takes.
    assert quoted[2] < quoted[1]
    per_second = 0.0043 / 60 + 8000 * 0.12 / 2**30
    assert made.all_deepgram.usd == pytest.approx(14_420 * per_second)
    assert made.all_deepgram.seconds == pytest.approx(72)
    job_second = 0.0001867 + 4 * 0.000018 + 16 * 0.000002
    # Without Deepgram the first one goes to the CPU job.
    cpu_seconds = PRICING.speeds.of("cpu").startup_seconds + 5 + 20 / PRICING.speeds.of("cpu").x_real_time
    cpu_usd = cpu_seconds * (4 * 0.000018 + 8 * 0.000002)
    assert made.all_parakeet.usd == pytest.approx((35 + 14_400 / 123) * job_second + cpu_usd)
    assert made.all_parakeet.seconds == pytest.approx(30 + 14_400 / 123)


def test_a_file_waits_for_every_channel_that_is_heard_apart_before_it(settings: FunctionSettings) -> None:
    stereo = found("a", 7200, channels=Channels.SPLIT)
    assert stereo.media is not None
    stereo = replace(stereo, media=stereo.media.model_copy(update={"channels": 2}))
    made = estimate([stereo, found("b", 7200)], settings, price_book(), PRICING.speeds)
    assert made.all_parakeet.seconds == pytest.approx(30 + 3 * 7200 / 123)


def test_a_person_reads_which_of_several_tracks_is_heard() -> None:
    assert tracks_line(film(2).transcript_tracks()) == "audio track 2 (aac); the file also has 1 (aac)"
    assert tracks_line(film(1, mixed=True).transcript_tracks()) == "audio track 1 (aac), 2 (aac)"
    assert tracks_line(film(1).transcript_tracks()[:1]) is None


def test_what_is_rejected_is_in_no_sum(settings: FunctionSettings) -> None:
    files = [found("a", 3600, max_cost_usd=0.0001), InspectedFile("b", "0" * 24, None, UploadOptions(), "Not audio.")]
    made = estimate(files, settings, price_book(), PRICING.speeds)
    assert [line.decision for line in made.lines] == [None, None]
    assert made.lines[1].problem == "Not audio."
    assert (made.total.usd, made.all_deepgram.usd, made.audio_seconds) == (0, 0, 0)


def invoked(*arguments: str) -> tuple[int, Any]:
    result = CliRunner().invoke(app, ["estimate", *arguments, "--json"])
    return result.exit_code, json.loads(result.stdout) if result.stdout.startswith("{") else result.output


def test_a_file_larger_than_the_jobs_disks_and_deepgrams_limit_is_rejected_with_the_sizes(
    settings: FunctionSettings,
) -> None:
    video = found("video.mov", 3600)
    assert video.media is not None
    large = replace(video, media=video.media.model_copy(update={"size_bytes": 12_000_000_000}))
    (line,) = estimate([large], settings, price_book(), PRICING.speeds).lines
    assert line.decision is None
    assert line.problem is not None
    for job in ("GPU", "CPU"):
        assert f"the file has 12.00 GB and an instance of the {job} job has room for 10.74 GB only" in line.problem


def test_local_files_need_no_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NO_DEPLOYMENT, "state_bucket"):
        monkeypatch.delenv(name.upper(), raising=False)
    status, output = invoked(str(CALL), str(LONG))
    assert status == 0
    assert [(file["name"], file["decision"]["method"]) for file in output["files"]] == [
        (str(CALL), "deepgram"),
        (str(LONG), "parakeet"),
    ]
    assert output["total"]["usd"] == pytest.approx(sum(file["usd"] for file in output["files"]))
    assert output["total"]["usd"] < min(output["all_deepgram"]["usd"], 0.1)


def test_a_file_that_is_not_there_is_said_before_anything_is_read() -> None:
    result = CliRunner().invoke(app, ["estimate", str(CALL), "no/such.mp3"])
    assert result.exit_code == 2
    assert "no/such.mp3" in result.output


def test_folders_patterns_and_standard_input_are_what_run_takes(tmp_path: Path) -> None:
    for name in ("calls/a.opus", "calls/monday/b.opus", "calls/.hidden.opus", "more/c.opus"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CALL, tmp_path / name)
    (tmp_path / "calls" / "notes.txt").write_text("to do")
    places = [str(tmp_path / "calls"), f"{tmp_path}/more/*.opus", "-"]
    result = CliRunner().invoke(app, ["estimate", *places, "--name", "d.opus", "--json"], input=CALL.read_bytes())
    assert result.exit_code == 0
    assert result.stderr == f"{tmp_path}/calls: skipped 1 file that is no recording and 1 hidden\n"
    names = [file["name"] for file in json.loads(result.stdout)["files"]]
    assert names == [f"{tmp_path}/calls/a.opus", f"{tmp_path}/calls/monday/b.opus", f"{tmp_path}/more/c.opus", "-"]


def test_an_address_and_a_folder_without_recordings_are_rejected_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = CliRunner().invoke(app, ["estimate", "https://x.org/a.mp3", str(tmp_path / "empty"), str(CALL), "--json"])
    assert result.exit_code == 1
    assert [file.get("rejected") for file in json.loads(result.stdout)["files"]] == [
        "Addresses are not fetched; try: curl -fsSL https://x.org/a.mp3 | dropscribe estimate - --name a.mp3",
        "There is no recording in this folder",
        None,
    ]


def test_a_prefix_is_inspected_with_the_deployments_settings_options_and_speeds(
    cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", "k")
    audio = CALL.read_bytes()
    cloud.drop(audio, "calls/a.opus")
    cloud.drop(audio, "calls/b.opus", metadata={PRIVACY_METADATA: "local"})
    cloud.drop(audio, "calls/c.opus", metadata={MAX_COST_METADATA: "nothing"})
    cloud.drop(b"letter", "calls/notes.json")
    cloud.drop(audio, "other/d.opus")
    store = SpeedStore(cloud.storage.bucket(STATE))
    for _ in range(4):
        store.observe(execution_figures("nvidia-l4", startup_seconds=77.0))
    status, output = invoked(f"gs://{UPLOADS}/calls/")
    assert status == 1
    assert [(file["name"], "decision" in file) for file in output["files"]] == [
        (f"gs://{UPLOADS}/calls/a.opus", True),
        (f"gs://{UPLOADS}/calls/b.opus", True),
        (f"gs://{UPLOADS}/calls/c.opus", False),
    ]
    assert [file["decision"]["method"] for file in output["files"][:2]] == ["deepgram", "parakeet"]
    assert output["files"][1]["seconds"] > 77
    assert "transcribe-max-cost" in output["files"][2]["rejected"]
    # Inspected, not transcribed.
    assert cloud.names(RESULTS) == []
    assert cloud.names(STATE) == ["speeds.json"]
    assert cloud.executions() == []


def test_a_person_reads_files_sums_and_why_not(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GPU_JOB", raising=False)
    letter = tmp_path / "letter.mp3"
    letter.write_bytes(b"Dear all, " * 100)
    result = CliRunner().invoke(app, ["estimate", str(LONG), str(letter)])
    assert result.exit_code == 1
    for part in (
        "parakeet",
        "rejected",
        f"{letter}: This is not an audio",
        "as decided",
        "all Deepgram",
        "all Parakeet",
    ):
        assert part in result.output.replace("\n", "") or part in result.output
