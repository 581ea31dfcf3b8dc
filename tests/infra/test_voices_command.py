"""`dropscribe voices`: what is kept is shown without embeddings, exported with them, and gone when it is deleted."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from infra.cli.main import app
from shared.voices.model import JobSpeaker, JobVoices, Voice
from shared.voices.store import store_job_voices
from tests.support.loopback_cloud import STATE, LoopbackCloud

JOB = "0123456789abcdef01234567"


def voices(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["voices", *arguments, *([] if "--help" in arguments else ["--bucket", STATE])])
    return result.exit_code, result.output


def test_a_voice_from_being_kept_until_it_is_deleted(cloud: LoopbackCloud) -> None:
    voice = Voice(model="network/1", seconds=12.5, embedding=(0.6, 0.8))
    speakers = (JobSpeaker(number=1, name="Speaker 1", voice=voice),)
    store_job_voices(cloud.storage.bucket(STATE), JOB, JobVoices(folder="calls", speakers=speakers))

    assert voices("list") == (0, "No voices are kept.\n")
    code, said = voices("add", JOB, "0", "Ann")
    assert code == 1
    assert "it has 1" in " ".join(said.split())
    assert voices("add", JOB, "1", "Ann, Ben")[0] == 2  # a comma stands between names
    code, said = voices("add", JOB, "1", "  Ann   \u00c9mile ", "--json")
    assert code == 0
    added = json.loads(said)
    assert (added["folder"], added["name"], added["samples"][0]["job_id"]) == ("calls", "Ann \u00c9mile", JOB)

    code, said = voices("list")
    assert code == 0
    assert "Ann \u00c9mile" in said
    assert "0.6" not in said + json.dumps(added)  # an embedding
    assert json.loads(voices("export", "Ann \u00c9mile")[1])["voices"][0]["samples"][0]["embedding"] == [0.6, 0.8]
    assert voices("export", "Eve")[0] == 1

    assert voices("rename", "Ann \u00c9mile", "Anna")[0] == 1  # of another folder
    assert voices("rename", "Ann \u00c9mile", "Anna", "--folder", "calls")[0] == 0
    assert voices("delete", "Anna", "--folder", "calls")[0] == 1  # nobody said yes
    assert json.loads(voices("list", "--json")[1])["voices"][0]["name"] == "Anna"
    assert voices("delete", "Anna", "--folder", "calls", "--yes")[0] == 0
    assert json.loads(voices("list", "--json")[1]) == {"voices": []}
    assert not [name for name in cloud.names(STATE) if name.startswith("voices/")]
