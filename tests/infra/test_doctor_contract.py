"""The doctor's questions and the local answers are those of Google's own discovery documents.

google_apis.json holds the methods that are called with the schemas of their answers, out of the documents that
google-api-python-client 2.202.0 ships (November 2026). Cloud Quotas has no such document: its part is written from its
REST reference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin
from urllib.parse import parse_qs

import pytest
import requests

from infra.cli.estimate import NO_DEPLOYMENT
from infra.doctor import checks_project, resources
from infra.doctor.checks_project import L4_REGIONS, limit_in, quota_link
from infra.doctor.names import Names
from infra.doctor.resources import Answer, DimensionsInfo, QuotaDetails, QuotaInfo
from infra.rehearse.google_apis import TOKEN, ApiRequest
from infra.terraform_offline.terraform import ROOT
from tests.support.doctor_deployment import NAMES, DoctorDeployment
from tests.support.waiting import PATIENCE
from trigger_function.settings.function import FunctionSettings

APIS: Mapping[str, Any] = json.loads((Path(__file__).parent / "google_apis.json").read_text())

READ_AS: dict[type[Answer], tuple[str, str]] = {
    resources.UserInfo: ("www.googleapis.com", "Userinfo"),
    resources.Services: ("serviceusage.googleapis.com", "BatchGetServicesResponse"),
    resources.QuotaInfo: ("cloudquotas.googleapis.com", "QuotaInfo"),
    resources.Subscription: ("pubsub.googleapis.com", "Subscription"),
    resources.CloudFunction: ("cloudfunctions.googleapis.com", "Function"),
    resources.RunJob: ("run.googleapis.com", "GoogleCloudRunV2Job"),
    resources.SchedulerJob: ("cloudscheduler.googleapis.com", "Job"),
    resources.SecretVersion: ("secretmanager.googleapis.com", "SecretVersion"),
    resources.SecretAccess: ("secretmanager.googleapis.com", "AccessSecretVersionResponse"),
    resources.TimeSeriesPage: ("monitoring.googleapis.com", "ListTimeSeriesResponse"),
}


def resolved(host: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema itself, where it is only named."""
    named: Mapping[str, Any] = APIS[host]["schemas"][schema["$ref"]] if "$ref" in schema else schema
    return named


def models_in(annotation: object) -> Iterator[type[Answer]]:
    """The models in a field's type."""
    if isinstance(annotation, type) and issubclass(annotation, Answer):
        yield annotation
    elif get_origin(annotation) in (tuple, Union, UnionType):
        for part in get_args(annotation):
            yield from models_in(part)


def unknown_fields(model: type[Answer], host: str, schema: Mapping[str, Any]) -> Iterator[str]:
    """What a model reads and Google does not write."""
    properties = resolved(host, schema).get("properties", {})
    for field in model.model_fields.values():
        name = str(field.alias)
        if name not in properties:
            yield f"{model.__name__}.{name}"
            continue
        below = resolved(host, properties[name])
        below = resolved(host, below["items"]) if below.get("type") == "array" else below
        for inner in models_in(field.annotation):
            yield from unknown_fields(inner, host, below)


@pytest.mark.parametrize("model", READ_AS, ids=lambda model: model.__name__)
def test_every_field_that_is_read_is_one_of_googles(model: type[Answer]) -> None:
    host, schema = READ_AS[model]
    assert list(unknown_fields(model, host, {"$ref": schema})) == []


def faults_of(value: Any, host: str, schema: Mapping[str, Any], where: str) -> Iterator[str]:
    """What is wrong with an answer."""
    schema = resolved(host, schema)
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": float}
    kind = schema.get("type", "object")
    if kind == "any":
        return
    if not isinstance(value, kinds[kind]):
        yield f"{where} is no {kind}: {value!r}"
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value} is none of {schema['enum']}"
    elif kind == "array":
        for one in value:
            yield from faults_of(one, host, schema["items"], f"{where}[]")
    elif kind == "object":
        properties, more = schema.get("properties", {}), schema.get("additionalProperties")
        for name, part in value.items():
            if name not in properties and more is None:
                yield f"{where}.{name} is unknown"
            else:
                yield from faults_of(part, host, properties.get(name) or more or {}, f"{where}.{name}")


def method_of(sent: ApiRequest) -> Mapping[str, Any]:
    """The documented method that a request calls."""
    for method in APIS[sent.host]["methods"]:
        pattern = "".join(
            "[^/:]+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{\w+\})", method["path"])
        )
        if method["verb"] == sent.verb and re.fullmatch(pattern, sent.path):
            return method
    raise AssertionError(f"{sent.verb} {sent.host}/{sent.path} is no method of Google's")


def test_every_question_is_documented_and_every_answer_has_its_shape(deployment: DoctorDeployment) -> None:
    deployment.google.measured[(NAMES.work_subscription, "oldest_unacked_message_age")] = 60
    deployment.report()
    calls = [one for one in deployment.apis.requests if one.host in APIS]
    assert {one.host for one in deployment.apis.requests} - set(APIS) == {"oauth2.googleapis.com", "api.deepgram.com"}
    called = set()
    for sent in calls:
        method = method_of(sent)
        called.add(method["id"])
        assert set(parse_qs(sent.query)) <= set(method["query"])
        url = f"{deployment.apis.url}/{sent.host}/{sent.path}?{sent.query}"
        answer = requests.request(sent.verb, url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=PATIENCE)
        assert answer.ok, sent
        assert list(faults_of(answer.json(), sent.host, {"$ref": method["answer"]}, sent.path)) == []
    documented = {method["id"] for api in APIS.values() for method in api["methods"]}
    assert documented - called == {"oauth2.userinfo.get"}, "only a person's credentials ask who they are"


def test_nobody_is_answered_without_the_token(deployment: DoctorDeployment) -> None:
    key = next(iter(deployment.google.resources))
    assert requests.get(f"{deployment.apis.url}/{key}", timeout=PATIENCE).status_code == 401


def test_apis_are_those_that_terraform_enables() -> None:
    listed = (ROOT / "terraform" / "apis.tf").read_text().partition("toset([")[2].partition("])")[0]
    assert sorted(re.findall(r'"(\w+)"', listed)) == sorted(checks_project.APIS)


def test_names_are_limited_as_the_module_limits_them() -> None:
    variables = (ROOT / "terraform" / "variables.tf").read_text()
    patterns = re.findall(r'regex\("\^([^"]+)\$", var\.(?:project|region|name)\)', variables)
    assert len(patterns) == 3
    for pattern in patterns:
        assert f'"{pattern}"' in (ROOT / "infra" / "doctor" / "names.py").read_text()


def test_shapes_that_quotes_assume_are_those_of_the_jobs_that_terraform_makes() -> None:
    variables = (ROOT / "terraform" / "variables.tf").read_text()
    settings = FunctionSettings.model_construct()
    assumed = {
        "gpu_job": (settings.job_vcpu, settings.job_memory_gib),
        "cpu_job": (settings.cpu_job_vcpu, settings.cpu_job_memory_gib),
    }
    for job, shape in assumed.items():
        block = variables.partition(f'variable "{job}"')[2].partition("default  =")[0]
        made = [re.search(rf"{name} += optional\(number, (\d+)\)", block) for name in ("cpu", "memory_gib")]
        assert shape == tuple(float(found[1]) for found in made if found)
        disk = re.search(r"disk_gib += optional\(number, (\d+)\)", block)
        assert disk is not None
        assert NO_DEPLOYMENT[f"{job.replace('gpu_', '')}_disk_gib"] == disk[1]
    assert checks_project.SHAPES[0] == settings.shape


def test_regions_with_l4_are_those_that_terraform_names() -> None:
    about = (ROOT / "terraform" / "variables.tf").read_text().partition('variable "region"')[2].partition("default")[0]
    assert sorted(re.findall(r"[a-z]+-[a-z]+\d", about)) == sorted(L4_REGIONS)


def test_the_quotas_page_is_filtered_by_metric_and_region() -> None:
    """Letter by letter a link of the console in a public project's documentation."""
    assert quota_link(Names("a-project", "us-central1")) == (
        "https://console.cloud.google.com/iam-admin/quotas?pageState=(%22allQuotasTable%22:(%22f%22:%22%255B%257B_22k_22"
        "_3A_22Dimensions%2520%2528e.g.%2520location%2529_22_2C_22t_22_3A10_2C_22v_22_3A_22_5C_22us-central1_5C_22_22_2C"
        "_22i_22_3A_22displayDimensions_22%257D_2C%257B_22k_22_3A_22Metric_22_2C_22t_22_3A10_2C_22v_22_3A_22_5C_22"
        "run.googleapis.com%252Fnvidia_l4_gpu_allocation_no_zonal_redundancy_5C_22_22_2C_22s_22_3Atrue_2C_22i_22_3A_22"
        "metricName_22%257D%255D%22))&project=a-project"
    )


def info(value: int, *locations: str, region: str | None = None) -> DimensionsInfo:
    dimensions = {"region": region} if region else {}
    return DimensionsInfo(dimensions=dimensions, details=QuotaDetails(value=value), applicableLocations=locations)


@pytest.mark.parametrize(
    ("infos", "limit"),
    [
        ((), 0),
        ((info(3, "us-central1", region="us-central1"),), 3),
        ((info(0, "us-central1", region="us-central1"), info(5, "us-central1", "us-east4")), 0),
        ((info(3, "us-east4", region="us-east4"), info(1, "us-central1")), 1),
        ((info(3, "us-east4"),), 0),
        ((info(-1, "us-central1"),), -1),
    ],
)
def test_a_regions_own_limit_goes_before_that_of_all_others(infos: tuple[DimensionsInfo, ...], limit: int) -> None:
    assert limit_in("us-central1", QuotaInfo(dimensionsInfos=infos)) == limit
