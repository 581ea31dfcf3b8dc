"""`dropscribe dead`: letters are shown whatever they hold, replayed, and dropped when somebody says so."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from infra.cli.main import app
from shared.errors import Rejected
from shared.media import Upload
from shared.state.job_result import rejected
from tests.support.loopback_cloud import PROJECT, WORK_TOPIC, LoopbackCloud
from trigger_function.services import Services

DEAD_TOPIC, KEPT = "transcription-work-dead", "transcription-work-dead-kept"
HOSTILE = "\x1b]0;owned\x07\u202emp3.exe"


@pytest.fixture(autouse=True)
def dead_queue(cloud: LoopbackCloud) -> None:
    """As on the laptop: there are no dead outcomes without BigQuery."""
    topic = cloud.publisher.topic_path(PROJECT, DEAD_TOPIC)
    cloud.publisher.create_topic(name=topic)
    cloud.subscriber.create_subscription(name=cloud.subscriber.subscription_path(PROJECT, KEPT), topic=topic)


def die(cloud: LoopbackCloud, data: bytes, source: str = "transcription-work-job") -> str:
    topic = cloud.publisher.topic_path(PROJECT, DEAD_TOPIC)
    attributes: dict[str, Any] = {
        "CloudPubSubDeadLetterSourceSubscription": source,
        "CloudPubSubDeadLetterSourceDeliveryCount": "20",
        "CloudPubSubDeadLetterSourceTopicPublishTime": "2026-11-01T10:00:00.000+00:00",
    }
    return str(cloud.publisher.publish(topic, data, **attributes).result(60))


def dead(*arguments: str, answer: str = "") -> tuple[int, str]:
    result = CliRunner().invoke(app, ["dead", *arguments], input=answer)
    return result.exit_code, result.output


def item(name: str, generation: int = 7) -> bytes:
    return json.dumps(
        {
            "job_id": Upload(bucket="uploads", name=name, generation=generation).job_id,
            "upload": {"bucket": "uploads", "name": name, "generation": generation},
            "media": {
                "container": "mp3",
                "codec": "mp3",
                "duration_seconds": 60,
                "sample_rate_hz": 16000,
                "channels": 1,
                "size_bytes": 9,
            },
            "decision": {"method": "parakeet", "rule": "small", "reason": "Small."},
        }
    ).encode()


def test_nothing_dead_is_a_line(cloud: LoopbackCloud) -> None:
    assert dead("list") == (0, "There are no dead letters.\n")


def test_letters_are_listed_with_what_is_known_and_nothing_steers_the_terminal(cloud: LoopbackCloud) -> None:
    ids = [die(cloud, item(f"calls/{HOSTILE}")), die(cloud, b"\x1b[2J" * 100_000)]
    status, output = dead("list")
    assert status == 0
    assert "\x1b" not in output
    assert "\u202e" not in output
    rows = [line for line in output.splitlines() if "transcription-work" in line]
    assert sorted(row.split()[0] for row in rows) == sorted(ids)
    readable, unreadable = sorted(rows, key=lambda row: ids.index(row.split()[0]))
    assert r"gs://uploads/calls/\x1b]0;owned\x07\u202emp3.exe#7" in readable
    assert readable.rstrip().endswith("Every delivery of it was given back, or never answered.")
    assert " 20 " in readable
    assert "WorkItem cannot be read" in unreadable
    assert max(map(len, rows)) < 700


def test_json_has_the_data_cut_and_as_text(cloud: LoopbackCloud) -> None:
    die(cloud, b"\xff" * 100_000)
    status, output = dead("list", "--json")
    (letter,) = json.loads(output)["letters"]
    assert status == 0
    assert (letter["bytes"], letter["topic"], letter["attempts"]) == (100_000, WORK_TOPIC, 20)
    assert letter["data"].startswith(r"\xff\xff")
    assert len(letter["data"]) == 4000


def test_what_has_become_of_the_jobs_is_looked_up_in_the_state_bucket(
    cloud: LoopbackCloud, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, waiting = (cloud.drop(b"sound", name) for name in ("ended.mp3", "waiting.mp3"))
    for upload in (ended, waiting):
        job = services.jobs.claim(upload, "function/1", timedelta(minutes=1))
        assert job is not None
        if upload is ended:
            services.finisher.finish(job.record, rejected(Rejected("No.")))
    letters = [die(cloud, item(one.name, one.generation)) for one in (ended, waiting)]
    letters += [die(cloud, item("gone.mp3")), die(cloud, b"?")]
    status, output = dead("list", "--json")
    assert status == 0
    standings = {one["id"]: one["job_now"] for one in json.loads(output)["letters"]}
    assert [standings[one] for one in letters] == ["rejected", "claimed", "unknown", None]
    assert "rejected" in dead("list")[1]
    monkeypatch.delenv("STATE_BUCKET")
    status, output = dead("list")
    assert status == 0
    assert "rejected" not in output


def test_a_letter_is_replayed_by_its_id(cloud: LoopbackCloud) -> None:
    first, second = die(cloud, item("calls/a.mp3")), die(cloud, item("calls/b.mp3"))
    assert dead("replay", first, "--dry-run")[1].splitlines()[-1] == "1 dead letter would be published again."
    assert cloud.work_items() == []
    assert dead("replay", first) == (0, "1 dead letter published again.\n")
    assert [one.upload.name for one in cloud.work_items()] == ["calls/a.mp3"]
    _, output = dead("list", "--json")
    assert [letter["id"] for letter in json.loads(output)["letters"]] == [second]


def test_what_is_not_there_or_of_no_topic_is_said(cloud: LoopbackCloud) -> None:
    stranger = die(cloud, b"x", source="of-a-stranger")
    status, output = dead("replay", stranger, "12345")
    assert status == 1
    missing = ", ".join(sorted([stranger, "12345"]))
    assert output == f"0 dead letters published again.\n2 not found, or of no topic of this deployment: {missing}\n"
    assert dead("drop", "12345") == (1, "There are no such dead letters.\n")


def test_letters_are_dropped_when_somebody_says_so(cloud: LoopbackCloud) -> None:
    die(cloud, b"1")
    die(cloud, b"2")
    status, output = dead("drop", "--all", answer="n\n")
    assert status == 1
    assert "Drop 2 dead letters? [y/N]" in output
    assert len(json.loads(dead("list", "--json")[1])["letters"]) == 2
    status, output = dead("drop", "--all", answer="y\n")
    assert (status, output.splitlines()[-1]) == (0, "2 dead letters dropped.")
    assert dead("list") == (0, "There are no dead letters.\n")


@pytest.mark.parametrize("verb", ["replay", "drop"])
@pytest.mark.parametrize("how", ["--yes", "--dry-run", None])
def test_all_of_none_is_nothing_to_do(cloud: LoopbackCloud, verb: str, how: str | None) -> None:
    status, output = dead(verb, "--all", *([how] if how else []))
    assert (status, output.startswith("0 dead letters ")) == (0, True)


def test_all_at_once_without_a_question(cloud: LoopbackCloud) -> None:
    die(cloud, item("calls/a.mp3"))
    status, output = dead("replay", "--all", "--yes", "--json")
    assert (status, json.loads(output)["done"]) == (0, True)
    assert len(cloud.work_items()) == 1


@pytest.mark.parametrize("arguments", [["replay"], ["drop", "1", "--all"], ["drop", "--all", "--json"]])
def test_arguments_that_make_no_sense(cloud: LoopbackCloud, arguments: list[str]) -> None:
    assert dead(*arguments)[0] == 2


def test_a_project_without_dead_letters_is_a_line(cloud: LoopbackCloud) -> None:
    status, output = dead("list", "--queue", "results")
    assert status == 1
    assert "transcription-results-dead-kept" in output
    assert "Traceback" not in output
