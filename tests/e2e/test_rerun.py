"""A re-run end to end: command, reconciler, worker, and a subscriber that gets a second message."""

from __future__ import annotations

import pytest
from google.cloud.storage import Client
from typer.testing import CliRunner

from infra.cli.main import app
from infra.emulators.cloud import STATE, UPLOADS, LaptopCloud
from infra.recordings import recording
from tests.support.user_client import UserClient
from tests.support.waiting import wait_until


def test_a_rerun_is_transcribed_again_and_announced_once(
    cloud: LaptopCloud, user: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = user.drop(recording("memo").path, "again/memo.wav")
    first = user.outcome(name)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud.storage_server.url)
    done = CliRunner().invoke(app, ["rerun", f"gs://{UPLOADS}/{name}", "--force", "--bucket", STATE])
    assert done.exit_code == 0
    cloud.reconcile()

    def again() -> list[dict[str, object]]:
        user.pull()
        return [one for one in user.messages if one["job_id"] == first["job_id"] and one["run"] == 2]

    (second,) = wait_until(again, "the second message")
    assert second["event_id"] == f"{first['event_id']}-2"
    assert second["outcome"] == "completed"
    assert user.text(second) == user.text(first)
    assert second["earlier_usd"] == first["bill"]["usd"]
    assert second["bill"]["usd"] > 0
    wait_until(lambda: not _open(user.storage, first["job_id"]), "its end")
    cloud.reconcile()
    assert user.message_count(name) == 2


def _open(client: Client, job_id: str) -> list[str]:
    return [str(blob.name) for blob in client.bucket(STATE).list_blobs(prefix=f"open/{job_id}")]
