"""The smoke test of a deploy, against a cloud on loopback: a whole one, and one where nobody listens."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.api_core.exceptions import NotFound
from rich.console import Console

from infra.deploy.smoke import SmokeError, SmokeTarget, WaitLimits, matching_share, smoke_target, smoke_test
from infra.emulators.cloud import JOB, PROJECT, RESULTS_TOPIC, STATE, UPLOADS, LaptopCloud
from infra.recordings import recording
from infra.terraform_offline.terraform import ROOT
from tests.support import loopback_cloud
from tests.support.faulty_cloud import FaultyLaptopCloud
from tests.support.loopback_cloud import LoopbackCloud
from tests.support.waiting import PATIENCE

MEMO = recording("memo").text
TOPIC = f"projects/{PROJECT}/topics/{RESULTS_TOPIC}"


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopCloud]:
    with FaultyLaptopCloud(tmp_path_factory.mktemp("laptop")) as running:
        yield running


def test_a_recording_comes_back_though_the_first_event_of_a_new_trigger_is_lost(
    laptop: LaptopCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[object] = []
    deliver = laptop.eventarc.deliver
    monkeypatch.setattr(
        laptop.eventarc, "deliver", lambda resource: deliver(resource) if lost else lost.append(resource)
    )
    printed = io.StringIO()
    created: list[str] = []
    subscriber = laptop.subscriber()
    create = subscriber.create_subscription
    monkeypatch.setattr(
        subscriber, "create_subscription", lambda name, topic: created.append(name) or create(name=name, topic=topic)
    )
    message = smoke_test(
        laptop.storage(),
        subscriber,
        SmokeTarget(UPLOADS, STATE, TOPIC),
        Console(file=printed, width=200),
        WaitLimits(event=0.5, drops=100),
    )

    assert len(lost) == 1
    assert message.bill.usd > 0
    assert message.results["transcript.json"] in printed.getvalue()
    assert "doctor remembered the report" in printed.getvalue()
    [subscription] = created
    with pytest.raises(NotFound):
        subscriber.pull(subscription=subscription, max_messages=1, timeout=PATIENCE)


def test_the_command_finds_the_deployment_by_terraforms_outputs(laptop: LaptopCloud, tmp_path: Path) -> None:
    outputs = {
        "buckets": {"uploads": UPLOADS, "state": STATE},
        "topics": {"results": TOPIC},
        "functions": {"on_upload": "dropscribe-upload"},
        "jobs": [JOB],
    }
    (tmp_path / "outputs.json").write_text(json.dumps({name: {"value": value} for name, value in outputs.items()}))
    # Stands on the PATH as terraform: it has nothing but outputs.
    terraform = tmp_path / "terraform"
    terraform.write_text(f"#!/bin/sh\ncat {tmp_path}/outputs.json\n")
    terraform.chmod(0o755)
    ran = subprocess.run(
        [sys.executable, "-m", "infra.deploy.smoke", "module", PROJECT],
        cwd=ROOT,
        env={**laptop.environment, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert ran.returncode == 0, ran.stderr
    assert "doctor remembered the report" in ran.stdout


def test_where_no_event_arrives_it_says_where_to_look(cloud: LoopbackCloud) -> None:
    topic = f"projects/{loopback_cloud.PROJECT}/topics/{loopback_cloud.RESULTS_TOPIC}"
    target = SmokeTarget(loopback_cloud.UPLOADS, loopback_cloud.STATE, topic, ("gcloud logging read ...",))
    with pytest.raises(SmokeError, match="No event of 2 uploads reached the function") as failed:
        smoke_test(cloud.storage, cloud.subscriber, target, Console(file=io.StringIO()), WaitLimits(event=0, drops=2))
    assert "gcloud logging read ..." in str(failed.value)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        (MEMO, 1.0),
        (MEMO.upper().replace(".", ""), 1.0),
        ("Please wait behind the kitchen soon.", 6 / 23),
        ("", 0.0),
    ],
)
def test_the_share_of_words_that_were_heard(text: str, share: float) -> None:
    assert matching_share(text, MEMO) == pytest.approx(share)


def test_a_deployment_is_found_by_what_terraform_put_out() -> None:
    outputs = {
        "buckets": {"uploads": "p-uploads", "state": "p-state"},
        "topics": {"results": "projects/p/topics/transcription-results"},
        "functions": {"on_upload": "dropscribe-upload"},
        "jobs": ["projects/p/locations/us-east4/jobs/dropscribe-gpu"],
    }
    found = smoke_target({name: {"value": value} for name, value in outputs.items()}, "p")
    assert (found.uploads, found.state) == ("p-uploads", "p-state")
    assert found.results_topic == "projects/p/topics/transcription-results"
    assert "service_name=dropscribe-upload" in found.where_to_look[0]
    assert "--job=dropscribe-gpu --region=us-east4 --project=p" in found.where_to_look[1]
