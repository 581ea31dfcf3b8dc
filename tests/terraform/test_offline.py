"""The stand-in for Google's provider, and what happens where there is no Terraform."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from infra.terraform_offline import __main__ as command
from infra.terraform_offline.provider import SCHEMA, SOURCE, schema_response
from infra.terraform_offline.terraform import ROOT, SKIPPED

GOOGLE = json.loads(SCHEMA.read_text())["provider_schemas"][SOURCE]


def test_without_terraform_a_line_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TERRAFORM", "/nowhere/terraform")
    assert command.main() == 0
    assert capsys.readouterr().out == f"{SKIPPED}\n"


def test_the_schema_has_what_the_configuration_uses_and_no_more() -> None:
    text = "\n".join(path.read_text() for path in (ROOT / "terraform").rglob("*.tf"))
    for kind, schemas in (("resource", "resource_schemas"), ("data", "data_source_schemas")):
        used = set(re.findall(rf'^{kind} "(google_\w+)"', text, re.MULTILINE))
        assert used == set(GOOGLE[schemas])


def test_a_schema_is_encoded_as_the_protocol_has_it() -> None:
    name = {"type": "string", "required": True}
    nested = {"nesting_mode": "list", "min_items": 1, "max_items": 300, "block": block()}
    provider = {"version": 0, "block": block()}
    google = {
        "provider": provider,
        "resource_schemas": {"r": {"version": 1, "block": block({"name": name}, {"b": nested})}},
        "data_source_schemas": {},
    }
    # Read by hand off tfplugin6.proto: field numbers, lengths, and 300 in two bytes.
    attribute = b"\x12\x12" + b"\x0a\x04name" + b"\x12\x08" + b'"string"' + b"\x20\x01"
    block_type = b"\x0a\x01b" + b"\x12\x00" + b"\x18\x02" + b"\x20\x01" + b"\x28\xac\x02"
    inside = attribute + b"\x1a" + bytes([len(block_type)]) + block_type
    schema = b"\x08\x01" + b"\x12" + bytes([len(inside)]) + inside
    entry = b"\x0a\x01r" + b"\x12" + bytes([len(schema)]) + schema
    assert schema_response(google) == b"\x0a\x02\x12\x00" + b"\x12" + bytes([len(entry)]) + entry


def block(attributes: Any = None, nested: Any = None) -> dict[str, Any]:
    return {"attributes": attributes or {}, "block_types": nested or {}}
