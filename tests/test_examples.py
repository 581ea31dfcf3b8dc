"""The programs and queries of examples/ do what they say."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlglot
from cloudevents.conversion import to_structured
from cloudevents.http import CloudEvent
from functions_framework import create_app
from sqlglot.optimizer.qualify import qualify

from examples.subscriber.main import Subscriber
from infra.recordings import recording
from shared.enums import Outcome
from shared.media import Upload
from shared.messages import TerminalMessage, event_id
from tests.support.faulty_deepgram import FaultyDeepgramServer
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import PROJECT, RESULTS_TOPIC, LoopbackCloud
from trigger_function.handle_upload import handle

ROOT = Path(__file__).parents[1]
SCHEMA = json.loads((ROOT / "terraform" / "schemas" / "outcomes_table.json").read_text())


@pytest.fixture
def ended() -> TerminalMessage:
    upload, at = Upload(bucket="uploads", name="calls/a.mp3", generation=1), datetime(2026, 11, 28, tzinfo=UTC)
    return TerminalMessage(
        event_id=event_id(upload.job_id),
        job_id=upload.job_id,
        upload=upload,
        outcome=Outcome.COMPLETED,
        received_at=at,
        finished_at=at,
    )


def base64_of(message: TerminalMessage) -> str:
    return base64.b64encode(message.model_dump_json().encode()).decode()


def test_the_subscriber_reads_each_transcript_once(
    cloud: LoopbackCloud,
    make_services: MakeServices,
    shared_deepgram_server: FaultyDeepgramServer,
    deepgram_key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("examples.subscriber.main.PULL_SECONDS", 0.5)
    services = make_services(DEEPGRAM_API_KEY=deepgram_key, DEEPGRAM_BASE_URL=shared_deepgram_server.url)
    handle(services, cloud.drop(b"RIFF", "bad.wav"))
    upload = cloud.drop(recording("memo").path.read_bytes(), "calls/memo.wav")
    handle(services, upload)
    outcome = services.jobs.outcome(upload.job_id)
    assert outcome is not None
    topic = cloud.publisher.topic_path(PROJECT, RESULTS_TOPIC)
    cloud.publisher.publish(topic, outcome.model_dump_json().encode()).result()  # a second time
    subscriber = Subscriber(PROJECT, cloud.subscription(RESULTS_TOPIC).rpartition("/")[2])
    found = list(subscriber.transcripts(once=True))
    assert [name for name, _ in found] == ["calls/memo.wav"]
    assert found[0][1].startswith("The doctor remembered the report")
    assert cloud.terminal_messages() == []


@pytest.mark.parametrize(
    ("outcome", "is_reported"),
    [(Outcome.COMPLETED, False), (Outcome.COMPLETED_WITH_GAPS, True), (Outcome.FAILED, True)],
)
def test_the_function_reports_what_needs_a_person(
    outcome: Outcome, is_reported: bool, ended: TerminalMessage, capsys: pytest.CaptureFixture[str]
) -> None:
    message = ended.model_copy(update={"outcome": outcome, "reason": "1 gap."})
    client = create_app("on_transcript", str(ROOT / "examples" / "function" / "main.py"), "cloudevent").test_client()
    event = CloudEvent(
        {"type": "google.cloud.pubsub.topic.v1.messagePublished", "source": "//pubsub.googleapis.com/a"},
        {"message": {"data": base64_of(message)}},
    )
    headers, body = to_structured(event)
    assert client.post("/", headers=headers, data=body).status_code == 200
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"severity"')]
    assert [line["message"] for line in lines] == [f"calls/a.mp3: {outcome.value}: 1 gap."] * is_reported


def test_the_query_asks_for_columns_that_are_there() -> None:
    query = sqlglot.parse_one((ROOT / "examples" / "bigquery" / "gaps_by_folder.sql").read_text(), dialect="bigquery")
    columns = {column["name"]: type_of(column) for column in SCHEMA}
    table = {"dropscribe_costs": {"outcomes_once": columns}}
    # Raises OptimizeError for a column that is not in the table.
    qualify(query.copy(), dialect="bigquery", schema=table)
    used = {
        column.sql(dialect="bigquery").replace("`", "")
        for column in query.find_all(sqlglot.exp.Column, sqlglot.exp.Dot)
    }
    assert "upload.name" in used
    paths = set(paths_of(SCHEMA))
    aliases = {alias.alias for alias in query.find_all(sqlglot.exp.Alias)}
    assert {path for path in used if path not in aliases} <= paths


def type_of(column: dict[str, object]) -> str:
    return "STRUCT" if column["type"] == "RECORD" else str(column["type"])


def paths_of(columns: list[dict[str, object]], above: str = "") -> list[str]:
    """`media`, `media.duration_seconds`, ..."""
    found = []
    for column in columns:
        path = f"{above}{column['name']}"
        fields = column.get("fields", [])
        assert isinstance(fields, list)
        found += [path, *paths_of(fields, f"{path}.")]
    return found
