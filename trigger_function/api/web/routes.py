"""The type of the route table, and which of its entries a request is for. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property
from http import HTTPStatus

from trigger_function.api.web.answers import Answer
from trigger_function.api.web.call import Call
from trigger_function.api.web.problems import Problem

PARAMETERS = {"job_id": "[0-9a-f]{24}"}
"""What each parameter of a path may be. Anything else, however it is written, is the path of nothing."""

_PARAMETER = re.compile(r"\{(\w+)\}")


class Access(Enum):
    """Who may use a route."""

    ANYBODY = auto()
    """Without a key. Cloud Run's IAM, where it stands before the API, lets nobody through all the same."""
    FOLDER = auto()
    """Everyone who is let in; a key with a folder reaches what is in its folder, and nothing else exists for it."""
    DEPLOYMENT = auto()
    """Who may see every folder: callers let in by IAM, and keys without a folder."""


@dataclass(frozen=True)
class Route:
    """One operation of the API."""

    method: str
    path: str
    """Each `{parameter}` is one of PARAMETERS."""
    operation: str
    """`operationId` in openapi.yaml."""
    handler: Callable[[Call], Answer]
    access: Access = Access.FOLDER
    once: bool = False
    """Whether an `Idempotency-Key` has a repeated request answered as the first one was, and done once."""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Of the paths it is for."""
        parts = _PARAMETER.split(self.path)
        # Every second part is a parameter's name.
        return re.compile("".join(re.escape(part) if i % 2 == 0 else _group(part) for i, part in enumerate(parts)))


@dataclass(frozen=True)
class Match:
    """The route of a request."""

    route: Route
    parameters: Mapping[str, str]


def match(routes: Sequence[Route], method: str, path: str) -> Match:
    """Raises Problem: 404, or 405 with what the path allows. HEAD is answered as GET is, without the body."""
    found = {route.method: (route, hit) for route in routes if (hit := route.pattern.fullmatch(path)) is not None}
    if not found:
        raise Problem(HTTPStatus.NOT_FOUND, "There is nothing at this path.")
    wanted = "GET" if method == "HEAD" else method
    if wanted not in found:
        allowed = ", ".join(sorted({*found, *(["HEAD"] if "GET" in found else [])}))
        raise Problem(HTTPStatus.METHOD_NOT_ALLOWED, f"This path takes {allowed}.", headers={"Allow": allowed})
    route, hit = found[wanted]
    return Match(route, hit.groupdict())


def _group(name: str) -> str:
    return f"(?P<{name}>{PARAMETERS[name]})"
