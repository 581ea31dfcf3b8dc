"""What the stand-in for Google's provider answers where Terraform plans and applies: every resource is as it was asked.

Terraform keeps the state, so nothing is held here. Values that Google would make up are made up; whether Google would
take the others is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import msgpack

from infra.terraform_offline.wire import field, fields, number

Values = dict[str, Any]
Schema = Mapping[str, Any]
Applied = Callable[[str, Values | None, Values | None], str | None]
"""(type, values before, values after; None: not there) -> why Google refuses that; None: it does not."""

PROJECT_NUMBER = "123456789012"

_UNKNOWN = msgpack.ExtType(0, b"\0")
"""How Terraform writes a value that is known after an apply only."""
_ERROR = 1


def refuse_nothing(_: str, __: Values | None, ___: Values | None) -> None:
    """What Google does in a project that has all that is needed."""


class MockResources:
    """Answers Terraform's questions about resources of the given schemas."""

    def __init__(self, google: Mapping[str, Any], applied: Applied = refuse_nothing) -> None:
        self._resources: Mapping[str, Schema] = google["resource_schemas"]
        self._data: Mapping[str, Schema] = google["data_source_schemas"]
        self._applied = applied

    def answers(self) -> dict[str, Callable[[bytes, object], bytes]]:
        """By the method's name in tfplugin6.proto; messages as they are on the wire."""
        return {
            "UpgradeResourceState": lambda asked, _: field(1, field(2, fields(fields(asked)[3])[1])),
            "ReadResource": lambda asked, _: field(1, fields(asked)[2]),
            "ReadDataSource": lambda asked, _: self._read(fields(asked)),
            "PlanResourceChange": lambda asked, _: self._plan(fields(asked)),
            "ApplyResourceChange": lambda asked, _: self._apply(fields(asked)),
        }

    def _read(self, asked: Mapping[int, bytes]) -> bytes:
        kind = asked[1].decode()
        config = _decoded(asked[2])
        if (why := self._applied(kind, None, config)) is not None:
            return field(2, number(1, _ERROR) + field(2, why.encode()))
        return field(1, _encoded(_completed(self._data[kind]["block"], config, partial(_made, kind, config))))

    def _plan(self, asked: Mapping[int, bytes]) -> bytes:
        proposed = _decoded(asked[3])
        if proposed is not None:
            proposed = _completed(self._resources[asked[1].decode()]["block"], proposed, lambda _, __: _UNKNOWN)
        return field(1, _encoded(proposed)) + number(5, 1)

    def _apply(self, asked: Mapping[int, bytes]) -> bytes:
        kind, before, after = asked[1].decode(), _decoded(asked[2]), _decoded(asked[3])
        if after is not None:
            after = _completed(self._resources[kind]["block"], after, partial(_made, kind, after))
        if (why := self._applied(kind, before, after)) is not None:
            return field(1, asked[2]) + field(3, number(1, _ERROR) + field(2, why.encode()))
        return field(1, _encoded(after)) + number(4, 1)


def _decoded(dynamic_value: bytes) -> Any:
    return msgpack.unpackb(fields(dynamic_value)[1], ext_hook=lambda *_: _UNKNOWN, strict_map_key=False)


def _encoded(value: Any) -> bytes:
    return field(1, msgpack.packb(value))


def _completed(block: Schema, values: Values, make: Callable[[str, Any], Any]) -> Values:
    """`values` with what the provider has to fill in: computed attributes that nobody has set."""
    return dict(_filled(block, values, make))


def _filled(block: Schema, values: Values, make: Callable[[str, Any], Any]) -> Iterator[tuple[str, Any]]:
    for name, attribute in block["attributes"].items():
        value = values.get(name)
        is_open = value is None or value == _UNKNOWN
        yield name, make(name, attribute["type"]) if is_open and attribute.get("computed") else value
    for name, nested in block["block_types"].items():
        value = values.get(name)
        if isinstance(value, list):
            value = [_completed(nested["block"], one, make) for one in value]
        elif isinstance(value, dict):
            value = _completed(nested["block"], value, make)
        yield name, value


def _made(kind: str, values: Values, attribute: str, of: Any) -> Any:
    """What Google would have made up."""
    if of == "bool":
        return False
    if of == "number":
        return 0
    if of != "string":
        return {} if of[0] in ("map", "object") else []
    values = {name: value for name, value in values.items() if value != _UNKNOWN}
    project = values.get("project") or values.get("project_id") or "a-project"
    account = values.get("account_id")
    name = values.get("name") or account or attribute
    match attribute:
        case "number":
            return PROJECT_NUMBER
        case "email":
            return f"{account}@{project}.iam.gserviceaccount.com"
        case "email_address":
            return f"service-{PROJECT_NUMBER}@gs-project-accounts.iam.gserviceaccount.com"
        case "uri":
            return f"https://{name}-uc.a.run.app"
        case "id" if kind == "google_project_service":
            return f"{project}/{values['service']}"
        case "id":
            return f"projects/{project}/{kind.rpartition('_')[2]}s/{name}"
    return name
