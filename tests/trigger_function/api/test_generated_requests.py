"""Requests that schemathesis makes of openapi.yaml: what it allows and what it does not, each answered as it says.

Over WSGI rather than a socket: functions-framework's own app in this process, with the API behind it.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest
import schemathesis
import yaml
from functions_framework import create_app
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from infra.emulators.cloud import FUNCTION
from tests.support.api_server import OPERATOR_KEY, api_keys
from tests.support.loopback_cloud import UPLOADS, LoopbackCloud

DESCRIPTION = schemathesis.openapi.from_dict(
    yaml.safe_load(files("trigger_function.api").joinpath("openapi.yaml").read_text())
)
# Two of them wait for transcripts, as their own clients' tests do.
ROUTES = DESCRIPTION.exclude(path_regex="^/v1/")


@pytest.fixture(scope="module")
def app(api_cloud: LoopbackCloud, shared_environment: pytest.MonkeyPatch) -> Any:
    """functions-framework's, in front of the API."""
    shared_environment.setenv("UPLOADS_BUCKET", UPLOADS)
    shared_environment.setenv("API_AUTHORISATION", "keys")
    shared_environment.setenv("API_KEYS", api_keys())
    shared_environment.setenv("API_MAX_BODY_BYTES", "1000")
    return create_app("api", str(FUNCTION), "http")


@ROUTES.parametrize()
@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_described(case: schemathesis.Case, app: Any) -> None:
    response = case.call(app=app, base_url="http://localhost", headers={"X-API-Key": OPERATOR_KEY})
    assert response.status_code < 500 or response.status_code == 501, response.text
    # What is right by its form may be wrong all the same: a recording is not there, options exclude each other.
    case.validate_response(response, headers={"X-API-Key": OPERATOR_KEY}, excluded_checks=[positive_data_acceptance])
