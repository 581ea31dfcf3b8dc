"""A Terraform provider that serves google.json and nothing else.

Terraform attaches to it over a Unix socket (TF_REATTACH_PROVIDERS). To every question but the one for the schema the
empty message is the right answer: no complaints. So what is held against a configuration is what Terraform itself knows
from the schema: names, types and what is required. Values that the real provider or Google would refuse pass;
terraform/tests looks at those.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from infra.terraform_offline.mock_resources import Applied, MockResources, refuse_nothing
from infra.terraform_offline.wire import field, number

SCHEMA = Path(__file__).with_name("google.json")
SOURCE = "registry.terraform.io/hashicorp/google"

_PROTOCOL = 6
_NESTING = {"single": 1, "list": 2, "set": 3, "map": 4}
_QUIET = (
    "ValidateProviderConfig",
    "ValidateResourceConfig",
    "ValidateDataResourceConfig",
    "ConfigureProvider",
    "StopProvider",
)


@contextmanager
def schema_provider(applied: Applied = refuse_nothing) -> Iterator[dict[str, str]]:
    """Serve the provider in this process; yields the environment by which Terraform finds it.

    `applied` is called before each change, and may refuse it as Google would.
    """
    google = json.loads(SCHEMA.read_text())["provider_schemas"][SOURCE]
    response = schema_response(google)
    answers: dict[str, Callable[..., bytes]] = dict.fromkeys(_QUIET, lambda _, __: b"")
    answers |= MockResources(google, applied).answers()
    answers["GetProviderSchema"] = lambda _, __: response
    handlers = {name: grpc.unary_unary_rpc_method_handler(answer) for name, answer in answers.items()}
    server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.max_send_message_length", -1)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("tfplugin6.Provider", handlers),))
    # A socket's path may have about 100 characters: not below a test's own long folder.
    with tempfile.TemporaryDirectory(prefix="provider-") as folder:
        address = f"{folder}/socket"
        server.add_insecure_port(f"unix:{address}")
        server.start()
        attach = {
            "Protocol": "grpc",
            "ProtocolVersion": _PROTOCOL,
            "Pid": os.getpid(),
            "Test": True,  # Terraform does not end a process that it did not start
            "Addr": {"Network": "unix", "String": address},
        }
        try:
            yield {"TF_REATTACH_PROVIDERS": json.dumps({SOURCE: attach})}
        finally:
            server.stop(grace=None).wait()


def schema_response(google: Mapping[str, Any]) -> bytes:
    """`terraform providers schema -json` of one provider -> GetProviderSchema.Response of tfplugin6.proto."""
    response = field(1, _schema(google["provider"]))
    for place, kind in ((2, "resource_schemas"), (3, "data_source_schemas")):
        for name, schema in google[kind].items():
            response += field(place, field(1, name.encode()) + field(2, _schema(schema)))
    return response


def _schema(schema: Mapping[str, Any]) -> bytes:
    return number(1, schema["version"]) + field(2, _block(schema["block"]))


def _block(block: Mapping[str, Any]) -> bytes:
    attributes = (field(2, _attribute(name, one)) for name, one in block["attributes"].items())
    nested = (field(3, _nested(name, one)) for name, one in block["block_types"].items())
    return b"".join((*attributes, *nested))


def _attribute(name: str, attribute: Mapping[str, Any]) -> bytes:
    usage = ((4, "required"), (5, "optional"), (6, "computed"))
    flags = b"".join(number(place, attribute.get(flag, False)) for place, flag in usage)
    return field(1, name.encode()) + field(2, json.dumps(attribute["type"]).encode()) + flags


def _nested(name: str, nested: Mapping[str, Any]) -> bytes:
    shape = number(3, _NESTING[nested["nesting_mode"]])
    limits = number(4, nested.get("min_items", 0)) + number(5, nested.get("max_items", 0))
    return field(1, name.encode()) + field(2, _block(nested["block"])) + shape + limits
