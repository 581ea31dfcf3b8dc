"""What is published fits the topic's schema and the costs table, and the views ask for columns that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.api_core.exceptions import InvalidArgument
from google.cloud import pubsub_v1
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.schema_service import SchemaServiceClient
from google.pubsub_v1.services.schema_service.transports import SchemaServiceGrpcTransport

from infra.message_schemas import SCHEMAS, rendered
from shared.costs.bill import Bill, LineItem, LineItemKind
from shared.costs.quote import Limit, Quote, Refusal
from shared.enums import Engine, Method, Outcome
from shared.errors import FailureKind
from shared.media import Media, Upload
from shared.messages import CoverageSummary, Decision, Saving, TerminalMessage
from shared.progress.model import Progress, Stage, progress_of_outcome
from shared.transcript.model import Coverage, Gap
from tests.support.google_pubsub_emulator import PubSubEmulator, find_emulator
from tests.support.waiting import PATIENCE

AT = datetime(2026, 8, 1, 12, 0, 0, 123456, UTC)
UPLOAD = Upload(bucket="uploads", name="calls/ü.mp3", generation=2**62)
BILL = Bill(items=(LineItem(kind=LineItemKind.GPU, resource="r", quantity=2, unit="s", usd_per_unit=0.1),))
REFUSALS = (Refusal(limit=Limit.BUDGET, why="The month's budget is spent"),)
LEAST = TerminalMessage(
    event_id="e", job_id="j", upload=UPLOAD, outcome=Outcome.REJECTED, received_at=AT, finished_at=AT
)
MOST = TerminalMessage(
    event_id="e",
    job_id="j",
    upload=UPLOAD,
    outcome=Outcome.COMPLETED_WITH_GAPS,
    reason="No words for 1 stretch.",
    failure_kind=FailureKind.TIMEOUT,
    decision=Decision(
        method=Method.HYBRID,
        rule="cheapest",
        reason="Cheapest.",
        quotes=(Quote(method=Method.HYBRID, bill=BILL, completion_seconds=9, refusals=REFUSALS),),
    ),
    media=Media(container="mp3", codec="mp3", duration_seconds=60, sample_rate_hz=16000, channels=2, size_bytes=9),
    engines=(Engine.PARAKEET_GPU, Engine.DEEPGRAM),
    model="m",
    word_count=3,
    coverage=CoverageSummary.of(
        Coverage(speech_seconds=9, covered_seconds=8, gaps=(Gap(start=1, end=2, reason="Noise."),))
    ),
    results={"transcript.json": "gs://results/a"},
    bill=BILL,
    saving=Saving(deepgram_model="nova-3", deepgram_usd=1, bill_usd=0.2),
    execution="x",
    received_at=AT,
    finished_at=AT,
)

TABLE = json.loads((SCHEMAS / "outcomes_table.json").read_text())
PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "STRING": (str,),
    "TIMESTAMP": (str,),
    "INTEGER": (int,),
    "FLOAT": (int, float),
    "BOOLEAN": (bool,),
    "RECORD": (dict,),
}


@pytest.mark.parametrize(("file", "text"), rendered().items(), ids=rendered())
def test_the_schemas_are_up_to_date(file: str, text: str) -> None:
    assert (SCHEMAS / file).read_text() == text, "run `python -m infra.message_schemas`"


@pytest.mark.parametrize("message", [LEAST, MOST], ids=["least", "most"])
def test_a_message_fits_the_table(message: TerminalMessage) -> None:
    assert list(misfits(json.loads(message.model_dump_json()), TABLE)) == []


def test_a_message_of_another_shape_does_not_fit() -> None:
    data = json.loads(MOST.model_dump_json())
    spoilt = {**data, "upload": "gs://uploads/a", "engines": "deepgram", "media": {**data["media"], "channels": "two"}}
    assert {name for name, _ in misfits(spoilt, TABLE)} == {"upload", "engines", "media.channels"}


def test_the_table_has_every_field_but_for_maps() -> None:
    columns = {column["name"] for column in TABLE}
    assert set(json.loads(MOST.model_dump_json())) - columns == {"results"}


def misfits(data: Mapping[str, Any], columns: list[dict[str, Any]], at: str = "") -> Iterator[tuple[str, str]]:
    """Values that BigQuery would not write into these columns."""
    for column in columns:
        name, value = f"{at}{column['name']}", data.get(column["name"])
        if value is None:
            continue
        if column["mode"] == "REPEATED" and not isinstance(value, list):
            yield name, "not a list"
            continue
        for one in value if column["mode"] == "REPEATED" else [value]:
            if not isinstance(one, PYTHON_TYPES[column["type"]]):
                yield name, f"{one!r} is no {column['type']}"
            elif column["type"] == "RECORD":
                yield from misfits(one, column["fields"], f"{name}.")


VIEWS = sorted((SCHEMAS.parent / "views").glob("*.sql"))


@pytest.mark.parametrize("view", VIEWS, ids=lambda path: path.stem)
def test_a_view_asks_for_columns_that_exist(view: Any) -> None:
    # Keywords and functions are written in capitals, so what is left are columns, and names that the view gives.
    sql = re.sub(r"`[^`]*`|'[^']*'", "", view.read_text())
    given = set(re.findall(r"AS (\w+)", sql))
    asked = set(re.findall(r"\b[a-z_]+(?:\.[a-z_]+)*\b", sql)) - given
    assert asked
    assert {name for name in asked if not exists(name.split("."), TABLE)} == set()


def exists(path: list[str], columns: list[dict[str, Any]]) -> bool:
    found = next((column for column in columns if column["name"] == path[0]), None)
    return found is not None and (len(path) == 1 or exists(path[1:], found.get("fields", [])))


@pytest.fixture(scope="module")
def topics() -> Iterator[Any]:
    """Makes a topic of Google's emulator that is held to an Avro schema."""
    install = find_emulator()
    if install is None:
        pytest.skip("Google's Pub/Sub emulator is not installed: it takes gcloud's pubsub-emulator component and Java")
    with PubSubEmulator(install) as server, grpc.insecure_channel(server.address) as channel:
        schemas = SchemaServiceClient(transport=SchemaServiceGrpcTransport(channel=channel))
        publisher = pubsub_v1.PublisherClient(transport=PublisherGrpcTransport(channel=channel))

        def topic(name: str, avro: str) -> Any:
            schema = schemas.create_schema(
                parent="projects/p", schema_id=name, schema={"type_": "AVRO", "definition": avro}
            )
            settings = {"schema": schema.name, "encoding": "JSON"}
            path = publisher.create_topic(
                request={"name": f"projects/p/topics/{name}", "schema_settings": settings}
            ).name
            return lambda data: publisher.publish(path, json.dumps(data).encode()).result(timeout=PATIENCE)

        yield topic


def test_pubsub_takes_outcomes_and_refuses_others(topics: Any) -> None:
    publish = topics("outcomes", (SCHEMAS / "outcome.avsc").read_text())
    for message in (LEAST, MOST):
        assert publish(json.loads(message.model_dump_json()))
    whole = json.loads(LEAST.model_dump_json())
    for spoilt in ({**whole, "outcome": "done"}, {**whole, "upload": {}}, {**whole, "job_id": None}, {"job_id": "j"}):
        with pytest.raises(InvalidArgument):
            publish(spoilt)


def test_pubsub_takes_progress_and_refuses_what_is_none(topics: Any) -> None:
    publish = topics("events", (SCHEMAS / "progress.avsc").read_text())
    claimed = Progress(job_id="j", upload=UPLOAD, stage=Stage.CLAIMED, at=AT, received_at=AT)
    for progress in (claimed, progress_of_outcome(LEAST), progress_of_outcome(MOST)):
        assert publish(json.loads(progress.model_dump_json()))
    with pytest.raises(InvalidArgument):
        publish({**json.loads(claimed.model_dump_json()), "stage": "elsewhere"})


def test_a_nullable_field_cannot_be_in_the_schema(topics: Any) -> None:
    fields = [{"name": "reason", "type": ["null", "string"], "default": None}]
    publish = topics("nullable", json.dumps({"type": "record", "name": "T", "fields": fields}))
    assert publish({"reason": None})
    assert publish({"reason": {"string": "Why."}})
    with pytest.raises(InvalidArgument):
        publish({"reason": "Why."})
