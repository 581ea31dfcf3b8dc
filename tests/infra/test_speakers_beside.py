"""Names of speakers beside a recording of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra.cli.exit_codes import ExitCode
from infra.cli.local.speakers_beside import with_speakers_beside
from infra.cli.main import app
from shared.errors import Rejected
from shared.options.model import UploadOptions
from shared.options.speaker_count import SpeakerCount

ASKED = UploadOptions(speakers=SpeakerCount())


def test_a_recordings_own_file_goes_before_its_folders(tmp_path: Path) -> None:
    recording = tmp_path / "a.mp3"
    assert with_speakers_beside(ASKED, recording) is ASKED
    (tmp_path / "speakers.json").write_text('{"speakers": ["Cid"]}')
    assert with_speakers_beside(ASKED, recording).speaker_names == ("Cid",)
    (tmp_path / "a.mp3.speakers.json").write_text('{"speakers": ["Ann", "Ben"]}')
    assert with_speakers_beside(ASKED, recording).speaker_names == ("Ann", "Ben")
    assert with_speakers_beside(ASKED, tmp_path / ("x" * 255)).speaker_names == ("Cid",)


@pytest.mark.parametrize("asked", [UploadOptions(), ASKED.model_copy(update={"speaker_names": ("Dora",)})])
def test_no_file_is_read_where_no_names_are_missing(tmp_path: Path, asked: UploadOptions) -> None:
    (tmp_path / "speakers.json").write_text("no names")
    assert with_speakers_beside(asked, tmp_path / "a.mp3") is asked


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "speakers.json").write_text("no names")
    (tmp_path / "a.mp3.speakers.json").mkdir()
    for recording, name in (("b.mp3", "'speakers.json'"), ("a.mp3", "'a.mp3.speakers.json'")):
        with pytest.raises(Rejected, match="cannot be read") as error:
            with_speakers_beside(ASKED, tmp_path / recording)
        assert name in error.value.reason


@pytest.mark.parametrize("name", ["speakers.json", "a.mp3.speakers.json", "keyterms.txt", "ward.keyterms.txt"])
def test_a_file_that_would_be_no_upload_is_refused_before_anything_starts(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    done = CliRunner().invoke(app, ["run", str(tmp_path / name), "--out", str(tmp_path / "out")])
    assert done.exit_code == ExitCode.REJECTED
    assert "By its name it is no recording" in done.output
