"""openapi.yaml is held to the route table and to the models that the routes take and give."""

from __future__ import annotations

import re
from http import HTTPStatus
from importlib.resources import files
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from shared.operations.erasure_records import ErasureReceipt
from shared.operations.job_status import JobStatus, State
from shared.progress.model import Stage
from trigger_function.api.handlers.health import Health
from trigger_function.api.handlers.job_list import JobPage, ListParameters
from trigger_function.api.handlers.rerun import RerunOptions
from trigger_function.api.handlers.results import Results
from trigger_function.api.handlers.transcribe import BodyParameters, RequestedOptions, TranscribeRequest
from trigger_function.api.routes import ROUTES
from trigger_function.api.submissions.direct import UploadAddress
from trigger_function.api.web.error_shapes import problem_response
from trigger_function.api.web.problems import Problem
from trigger_function.api.web.routes import PARAMETERS, Access

DESCRIPTION: dict[str, Any] = yaml.safe_load(files("trigger_function.api").joinpath("openapi.yaml").read_text())
METHODS = {"get", "post", "put", "patch", "delete", "head", "options", "trace"}
OPERATIONS = {
    (method.upper(), path): operation
    for path, item in DESCRIPTION["paths"].items()
    for method, operation in item.items()
    if method in METHODS
}


def test_every_route_is_described_and_nothing_else() -> None:
    described = {key: operation["operationId"] for key, operation in OPERATIONS.items()}
    assert described == {(route.method, route.path): route.operation for route in ROUTES}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation)
def test_a_route_is_described_as_it_is(route: Any) -> None:
    operation, item = OPERATIONS[route.method, route.path], DESCRIPTION["paths"][route.path]
    parameters = [resolved(one) for one in [*item.get("parameters", ()), *operation.get("parameters", ())]]
    # Routes of other services wait for their job: a repeated request finds it, and waits on.
    assert ("Idempotency-Key" in {one["name"] for one in parameters}) == (route.once or route.path.startswith("/v1/"))
    in_path = {one["name"]: one["schema"]["pattern"] for one in parameters if one["in"] == "path"}
    assert in_path == {name: f"^{PARAMETERS[name]}$" for name in re.findall(r"\{(\w+)\}", route.path)}
    assert (operation.get("security") == [{}]) == (route.access is Access.ANYBODY)
    responses = operation["responses"]
    assert "default" in responses
    assert ("401" in responses) == (route.access is not Access.ANYBODY)
    problem = problem_response(Problem(HTTPStatus.CONFLICT, "Why."), route.path)
    described = [set(resolved(one)["content"]) for code, one in responses.items() if code > "4"]
    assert all(content == {problem.content_type} for content in described)


@pytest.mark.parametrize(
    ("schema", "model"),
    [
        ("TranscribeRequest", TranscribeRequest),
        ("Options", RequestedOptions),
        ("UploadAddress", UploadAddress),
        ("JobStatus", JobStatus),
        ("Health", Health),
        ("JobPage", JobPage),
        ("RerunOptions", RerunOptions),
        ("Results", Results),
        ("ErasureReceipt", ErasureReceipt),
    ],
)
def test_a_schema_has_the_fields_of_its_model(schema: str, model: type[BaseModel]) -> None:
    assert set(DESCRIPTION["components"]["schemas"][schema]["properties"]) == set(model.model_fields)


@pytest.mark.parametrize(
    ("operation", "model"), [(("POST", "/transcribe"), BodyParameters), (("GET", "/jobs"), ListParameters)]
)
def test_a_query_has_the_fields_of_its_model(operation: tuple[str, str], model: type[BaseModel]) -> None:
    parameters = map(resolved, OPERATIONS[operation]["parameters"])
    assert {one["name"] for one in parameters if one["in"] == "query"} == set(model.model_fields)


def test_states_and_stages_are_listed() -> None:
    schemas = DESCRIPTION["components"]["schemas"]
    properties = schemas["JobStatus"]["properties"]
    assert schemas["State"]["enum"] == [state.value for state in State]
    assert properties["stage"]["enum"] == [stage.value for stage in Stage]


def resolved(value: dict[str, Any]) -> dict[str, Any]:
    """What a `$ref` leads to."""
    while "$ref" in value:
        target: Any = DESCRIPTION
        for part in value["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        value = target
    return value
