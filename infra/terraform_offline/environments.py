"""Whether the environment that terraform/ gives to function and jobs is what their settings accept, and all of it.

Both ways: what is given must be a setting of the right type, whose model takes its value; and every setting must be
there to be given. Terraform itself cannot see either: an object's unknown attributes are dropped without a word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, get_args

from annotated_types import Ge
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from gpu_job.settings import JobSettings
from infra.process_environment import environment
from infra.terraform_offline.terraform import Workspace
from trigger_function.settings.function import FunctionSettings

MODELS: Mapping[str, type[BaseSettings]] = {
    'google_cloudfunctions2_function.this["on_upload"]': FunctionSettings,
    'google_cloudfunctions2_function.this["reconcile"]': FunctionSettings,
    "google_cloudfunctions2_function.callback[0]": FunctionSettings,
    "google_cloudfunctions2_function.webhook[0]": FunctionSettings,
    "google_cloud_run_v2_job.gpu[0]": JobSettings,
    "google_cloud_run_v2_job.cpu[0]": JobSettings,
}
"""The settings model of each function and job."""

NOT_DEPLOYED = {
    "parakeet_model_release": "the images say what model is in them",
    "run_endpoint": "for a Cloud Run that is not Google's: the laptop's",
    "chunk_duration_minutes": "an older name of chunk_seconds",
}
"""Settings that Terraform leaves alone, and why."""

_KNOWN_LATER = {"deepgram_callback_url": "the callback function's, in no plan before that is there"}
_NEEDLESS = "a secret that it does not need"
_SIGNS_NOTHING = {"webhook_secrets": _NEEDLESS}
NOT_GIVEN: Mapping[str, Mapping[str, str]] = {
    'google_cloudfunctions2_function.this["on_upload"]': {**_KNOWN_LATER, **_SIGNS_NOTHING},
    'google_cloudfunctions2_function.this["reconcile"]': {**_KNOWN_LATER, **_SIGNS_NOTHING},
    "google_cloudfunctions2_function.webhook[0]": {
        **_KNOWN_LATER,
        "deepgram_api_key": _NEEDLESS,
        "deepgram_callback_key": _NEEDLESS,
    },
    "google_cloudfunctions2_function.callback[0]": {
        **_KNOWN_LATER,
        **_SIGNS_NOTHING,
        "deepgram_api_key": "what anybody can call is to have no key that it does not need",
    },
}
"""Settings that no plan gives to one component, and why."""

SERVER_VARIABLES = frozenset({"THREADS"})
"""What functions-framework reads itself when it starts gunicorn."""

_FUNCTION, _JOB = FunctionSettings.model_fields, JobSettings.model_fields
_VARIABLES: Mapping[str, Mapping[str, FieldInfo]] = {
    "settings": {name: field for name, field in _FUNCTION.items() if name in _JOB},
    "function_settings": {name: field for name, field in _FUNCTION.items() if name not in _JOB},
    "job_settings": {name: field for name, field in _JOB.items() if name not in _FUNCTION},
}
_OBJECT = re.compile(r'^variable "(\w*settings)" \{.*?object\(\{(.*?)\}\)', re.MULTILINE | re.DOTALL)
_ATTRIBUTE = re.compile(r"^\s+(\w+)\s+= optional\((\w+)\)$", re.MULTILINE)
_PROBE = """
mock_provider "google" {{}}

variables {{
  project = "a-project"
  release = "v1"
}}

run "least" {{
  command = plan
}}

run "everything" {{
  command = plan

  variables {{
    deepgram           = {{ enabled = true, callbacks = true }}
    monthly_budget_usd = 100
    keep_unredacted    = true
    webhooks           = {{ enabled = true, urls = ["https://a.example/"], allowed_origins = ["https://b.example"] }}
{settings}
  }}
}}
"""


@dataclass(frozen=True)
class ComponentEnvironment:
    """The environment that one function or job is started with."""

    component: str
    values: Mapping[str, str]
    secrets: frozenset[str]
    """Names whose values come out of Secret Manager."""


def problems(workspace: Workspace) -> list[str]:
    """What is wrong with the environments, a sentence each."""
    declared = declared_settings((workspace.module / "settings.tf").read_text())
    found = list(_misdeclared(declared))
    probe = workspace.module / "tests" / "environment_probe.tftest.hcl"
    probe.write_text(_PROBE.format(settings="\n".join(_samples(declared))))
    try:
        events = workspace.test_events(f"-filter={probe.relative_to(workspace.module)}")
    finally:
        probe.unlink()
    plans = {event["@testrun"]: event["test_plan"] for event in events if event["type"] == "test_plan"}
    for run, plan in plans.items():
        for given in environments(plan):
            found += _unknown(given)
            found += _refused(given)
            found += _missing(given) if run == "everything" else ()
    return list(dict.fromkeys(found))


def declared_settings(text: str) -> dict[str, dict[str, str]]:
    """settings.tf -> variable -> attribute -> its Terraform type."""
    return {match[1]: dict(_ATTRIBUTE.findall(match[2])) for match in _OBJECT.finditer(text)}


def environments(plan: Mapping[str, Any]) -> Iterator[ComponentEnvironment]:
    """The environment of every component of a plan."""
    planned = {change["address"]: change["change"]["after"] for change in plan["resource_changes"]}
    for component in MODELS:
        if component not in planned:  # the least deployment takes no callbacks
            continue
        if component.startswith("google_cloudfunctions2_function"):
            service = planned[component]["service_config"][0]
            secrets = frozenset(one["key"] for one in service["secret_environment_variables"])
            yield ComponentEnvironment(component, service["environment_variables"], secrets)
        else:
            env = planned[component]["template"][0]["template"][0]["containers"][0]["env"]
            secrets = frozenset(one["name"] for one in env if one["value_source"])
            yield ComponentEnvironment(
                component, {one["name"]: one["value"] for one in env if one["name"] not in secrets}, secrets
            )


def terraform_type(field: FieldInfo) -> str:
    """The Terraform type of a setting: lists are text, comma-separated, as in the environment."""
    types = [one for one in (get_args(field.annotation) or (field.annotation,)) if one is not NoneType]
    if types == [bool]:
        return "bool"
    return "number" if set(types) <= {int, float} else "string"


def _misdeclared(declared: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for variable, fields in _VARIABLES.items():
        for name, kind in declared.get(variable, {}).items():
            if name not in fields:
                yield f"var.{variable}.{name} is no setting of theirs."
            elif kind != (wanted := terraform_type(fields[name])):
                yield f"var.{variable}.{name} is a {kind}; the setting is a {wanted}."


def _samples(declared: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """A value for every declared setting, as Terraform reads it."""
    for variable, fields in _VARIABLES.items():
        values = {name: _sample(fields[name]) for name in declared.get(variable, {}) if name in fields}
        yield f"    {variable} = {json.dumps(values)}"


def _sample(field: FieldInfo) -> object:
    if isinstance(field.default, tuple):
        return ",".join(field.default)
    if field.default not in (None, PydanticUndefined):
        return field.default
    if terraform_type(field) != "number":
        return "xxx"  # as short as a bucket may be named
    return next((limit.ge for limit in field.metadata if isinstance(limit, Ge)), 1)


def _unknown(given: ComponentEnvironment) -> Iterator[str]:
    known = {name.upper() for name in MODELS[given.component].model_fields}
    if given.component.startswith("google_cloudfunctions2_function"):
        known |= SERVER_VARIABLES
    for name in sorted((given.values.keys() | given.secrets) - known):
        yield f"{given.component} is given {name}, which is no setting of its."


def _missing(given: ComponentEnvironment) -> Iterator[str]:
    exempt = {**NOT_DEPLOYED, **NOT_GIVEN.get(given.component, {})}
    wanted = {name.upper() for name in MODELS[given.component].model_fields if name not in exempt}
    for name in sorted(wanted - given.values.keys() - given.secrets):
        yield f"{given.component} cannot be given {name}."


def _refused(given: ComponentEnvironment) -> Iterator[str]:
    model = MODELS[given.component]
    # As long as a key of callbacks has to be.
    with environment({**dict.fromkeys(given.secrets, "secret" * 8), **given.values}):
        try:
            model()
        except ValidationError as error:
            yield f"{given.component} does not start: {error}"
