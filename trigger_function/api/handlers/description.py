"""GET /openapi.yaml: the description of this API (OpenAPI 3.1)."""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from importlib.resources import files

from trigger_function.api.web.answers import Answer
from trigger_function.api.web.call import Call

MEDIA_TYPE = "application/yaml"
"""RFC 9512."""


@lru_cache(maxsize=1)
def openapi_yaml() -> str:
    """The file that is packaged beside the code."""
    return files("trigger_function.api").joinpath("openapi.yaml").read_text(encoding="utf-8")


def describe(call: Call) -> Answer:
    """The description."""
    return Answer(HTTPStatus.OK, openapi_yaml(), content_type=MEDIA_TYPE)
