"""What the command line refuses before it starts anything, and where results may be written."""

from __future__ import annotations

import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path, PurePath

import pytest
from typer.testing import CliRunner

from dropscribe.result_files import results_folder
from infra.cli.exit_codes import ExitCode
from infra.cli.local.inputs import path_conflict, unique_names
from infra.cli.local.models import model_for
from infra.cli.local.run import RunOptions
from infra.cli.main import app
from infra.recordings import recording
from shared.enums import Outcome, Privacy
from shared.languages.choice import parse_language_choice
from shared.media import Upload
from shared.messages import TerminalMessage, event_id
from shared.object_names import name_problem
from shared.options.model import UploadOptions
from shared.options.subtitle_rules import SubtitleOptions


def test_numbered_names_do_not_meet_a_files_own_name() -> None:
    wanted = ["a.mp3", "a-2.mp3", "a.mp3", "a.mp3", "calls/a.mp3", "calls/a.mp3"]
    names = unique_names([PurePath(name) for name in wanted])
    assert names == ["a.mp3", "a-2.mp3", "a-3.mp3", "a-4.mp3", "calls/a.mp3", "calls/a-2.mp3"]


def test_names_that_are_one_folder_on_macos_and_windows_are_numbered_too() -> None:
    composed, decomposed = "caf\u00e9.mp3", "cafe\u0301.mp3"
    names = unique_names([PurePath(name) for name in ("Call.mp3", "call.MP3", composed, decomposed)])
    assert names == ["Call.mp3", "call-2.MP3", composed, "cafe\u0301-2.mp3"]


def test_a_name_that_no_object_can_have_is_numbered_like_any_other() -> None:
    names = unique_names([PurePath(name) for name in ["a\nb.mp3"] * 2 + ["x" * 251 + ".mp3"] * 2])
    assert len(set(names)) == 4
    assert all(name_problem(name) is None and len(name) <= 255 for name in names)
    assert names[0].startswith("a%0Ab-")


def test_what_is_no_readable_file_is_a_line_each_and_starts_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    names = ["pipe", "socket", "gone.mp3", "esc\x1b.mp3", os.fsdecode(b"\xff.mp3")]
    out = tmp_path / "out"
    arguments = ["run", *(str(tmp_path / name) for name in names), "/dev/null", "--out", str(out)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == ExitCode.REJECTED
    assert done.output.splitlines() == [
        f"{tmp_path}/pipe: rejected: It is a pipe, not a file",
        f"{tmp_path}/socket: rejected: It is a socket, not a file",
        f"{tmp_path}/gone.mp3: rejected: No such file or directory",
        f"{tmp_path}/esc\\x1b.mp3: rejected: No such file or directory",
        f"{tmp_path}/\\udcff.mp3: rejected: No such file or directory",
        "/dev/null: rejected: It is a device, not a file",
    ]
    printed = [json.loads(line) for line in CliRunner().invoke(app, [*arguments, "--json"]).stdout.splitlines()]
    assert [line["file"] for line in printed] == [*(str(tmp_path / name) for name in names), "/dev/null"]
    assert {line["outcome"] for line in printed} == {"rejected"}


@pytest.mark.parametrize("out", ["file", "file/below", "/proc/nobody"])
def test_an_out_folder_that_cannot_be_one_is_a_line(tmp_path: Path, out: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "a.mp3").touch()
    done = CliRunner().invoke(app, ["run", str(tmp_path / "a.mp3"), "--out", str(tmp_path / out)])
    assert done.exit_code == 1
    assert done.output.count("\n") == 1
    assert out in done.output


def test_results_do_not_take_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").touch()
    assert "has to be the folder" in str(path_conflict("a.mp3", tmp_path))
    assert path_conflict("a.mp3", tmp_path / "out") is None


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("calls/a.mp3", "calls/a.mp3"),
        ("../../a.mp3", "a.mp3"),
        ("/etc/a.mp3", "etc/a.mp3"),
        ("//etc/a.mp3", "etc/a.mp3"),
        ("b/../../../a.mp3", "b/a.mp3"),
    ],
)
def test_an_uploads_name_does_not_lead_out_of_the_results_folder(tmp_path: Path, name: str, folder: str) -> None:
    upload = Upload(bucket="uploads", name=name, generation=1)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    message = TerminalMessage(
        event_id=event_id(upload.job_id),
        job_id=upload.job_id,
        upload=upload,
        outcome=Outcome.FAILED,
        received_at=at,
        finished_at=at,
    )
    assert results_folder(tmp_path, message) == tmp_path / folder


@pytest.mark.parametrize(
    ("options", "privacy"),
    [
        ([], Privacy.LOCAL),
        (["--method", "parakeet"], Privacy.LOCAL),
        (["--method", "deepgram"], Privacy.ANY),
        (["--method", "hybrid"], Privacy.ANY),
        (["--privacy", "any"], Privacy.ANY),
        (["--method", "deepgram", "--privacy", "local"], Privacy.LOCAL),
    ],
)
def test_nothing_leaves_this_machine_unless_an_api_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], privacy: Privacy
) -> None:
    asked: list[UploadOptions] = []

    def run(_files: object, options: RunOptions) -> int:
        asked.append(options.upload)
        return 0

    monkeypatch.setattr("infra.cli.local.run.run_files", run)
    path = tmp_path / "a.wav"
    path.touch()
    assert CliRunner().invoke(app, ["run", str(path), *options]).exit_code == 0
    assert [options.privacy for options in asked] == [privacy]


def test_subtitles_of_the_files_are_asked_for_as_on_an_upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requested: list[UploadOptions] = []

    def run(_files: object, options: RunOptions) -> int:
        requested.append(options.upload)
        return 0

    monkeypatch.setattr("infra.cli.local.run.run_files", run)
    path = tmp_path / "a.wav"
    path.touch()
    assert CliRunner().invoke(app, ["run", str(path), "--subtitles", "line=37,lines=1"]).exit_code == 0
    assert [options.subtitles for options in requested] == [SubtitleOptions(line=37, lines=1)]
    refused = CliRunner().invoke(app, ["run", str(path), "--subtitles", "wide"])
    assert (refused.exit_code, len(requested)) == (2, 1)
    assert "transcribe-subtitles is 'wide'" in refused.output


@pytest.mark.parametrize(
    ("model", "language", "line"),
    [
        ("tiny", "de", "The model tiny has en, not de: --model tiny-de has it."),
        ("tiny-de", "de-AT,en", "The model tiny-de has de, not en: --model tiny has it."),
        ("tiny", "fr", "The model tiny has en, not fr: without --model, LANGUAGE_MODELS says which one has it."),
        ("nvidia/parakeet-tdt-0.6b-v2", "de", "The model nvidia/parakeet-tdt-0.6b-v2 has en, not de"),
    ],
)
def test_a_model_that_does_not_have_the_language_is_refused_before_anything_starts(
    tmp_path: Path, model: str, language: str, line: str
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(recording("memo.wav").path.read_bytes())
    arguments = ["run", str(path), "--out", str(tmp_path / "out"), "--model", model, "--language", language]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == ExitCode.USAGE
    assert line in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("model", "language", "chosen"),
    [
        ("tiny-de", "de-DE", "tiny-de"),
        ("tiny", "auto", "tiny"),
        ("whisper-base", "ja", "whisper-base"),
        ("/models/mine", "de", "/models/mine"),
        (None, "de", "nvidia/parakeet-tdt-0.6b-v3"),
    ],
)
def test_a_model_is_taken_where_it_has_the_language_or_nobody_knows(
    model: str | None, language: str, chosen: str
) -> None:
    assert model_for(model, parse_language_choice(language)) == chosen
    assert model_for(model, None) == model
