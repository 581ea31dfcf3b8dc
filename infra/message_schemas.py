"""`python -m infra.message_schemas`: terraform/schemas, written from the models of what is published.

`outcomes_table.json` holds the columns of the costs table: every field, but for maps, which BigQuery has no column for.
`outcome.avsc` and `progress.avsc` are what Pub/Sub holds publishers to: only the fields that every release has written.
Others cannot be in them: in Avro's JSON a nullable string is `{"string": "..."}`, and Pub/Sub refuses the plain one
that a pydantic model writes; a field that came with a later release would forbid the rollback to an earlier one.
Fields that the schema does not name pass. All this is measured on Google's emulator by
tests/terraform/test_message_schemas.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.messages import TerminalMessage
from shared.progress.model import Progress

SCHEMAS = Path(__file__).parents[1] / "terraform" / "schemas"

_COLUMN_TYPES = {"string": "STRING", "integer": "INTEGER", "number": "FLOAT", "boolean": "BOOLEAN"}
_AVRO_TYPES = {"string": "string", "integer": "long", "number": "double", "boolean": "boolean"}

_PUBSUB_COLUMNS = [
    {"name": "subscription_name", "type": "STRING", "mode": "NULLABLE"},
    {"name": "message_id", "type": "STRING", "mode": "NULLABLE"},
    {"name": "publish_time", "type": "TIMESTAMP", "mode": "NULLABLE"},
    {"name": "attributes", "type": "JSON", "mode": "NULLABLE"},
]
"""What a subscription with write_metadata adds."""

Json = Mapping[str, Any]


def rendered() -> dict[str, str]:
    """File name -> text of every schema."""
    schema = TerminalMessage.model_json_schema(mode="serialization")
    definitions = schema.get("$defs", {})
    progress = Progress.model_json_schema(mode="serialization")
    files = {
        "outcomes_table.json": [*_columns(schema, definitions), *_PUBSUB_COLUMNS],
        "outcome.avsc": _record("TerminalMessage", schema, definitions),
        "progress.avsc": _record("Progress", progress, progress.get("$defs", {})),
    }
    return {name: json.dumps(content, indent=2) + "\n" for name, content in files.items()}


def _columns(schema: Json, definitions: Json) -> list[dict[str, Any]]:
    fields = ((name, _resolved(field, definitions)) for name, field in schema["properties"].items())
    return [_column(name, field, definitions) for name, field in fields if "additionalProperties" not in field]


def _column(name: str, field: Json, definitions: Json) -> dict[str, Any]:
    if field["type"] == "array":
        return {**_column(name, _resolved(field["items"], definitions), definitions), "mode": "REPEATED"}
    # Nullable all: a field that a later version leaves out must not stop the writing.
    column: dict[str, Any] = {"name": name, "type": "RECORD", "mode": "NULLABLE"}
    if field["type"] == "object":
        return {**column, "fields": _columns(field, definitions)}
    return {**column, "type": "TIMESTAMP" if field.get("format") == "date-time" else _COLUMN_TYPES[field["type"]]}


def _record(name: str, schema: Json, definitions: Json) -> dict[str, Any]:
    fields = [{"name": key, "type": _avro(schema["properties"][key], definitions)} for key in schema["required"]]
    return {"type": "record", "name": name, "fields": fields}


def _avro(field: Json, definitions: Json) -> Any:
    resolved = _resolved(field, definitions)
    if resolved["type"] == "object":
        return _record(resolved["title"], resolved, definitions)
    if "enum" in resolved:
        return {"type": "enum", "name": resolved["title"], "symbols": resolved["enum"]}
    return _AVRO_TYPES[resolved["type"]]


def _resolved(field: Json, definitions: Json) -> Json:
    """The field's schema with its reference followed, and without the null that may stand beside it."""
    for branch in field.get("anyOf", ()):
        if branch.get("type") != "null":
            return _resolved(branch, definitions)
    if "$ref" in field:
        resolved: Json = definitions[field["$ref"].rpartition("/")[2]]
        return resolved
    return field


if __name__ == "__main__":
    SCHEMAS.mkdir(parents=True, exist_ok=True)
    for file, text in rendered().items():
        (SCHEMAS / file).write_text(text)
