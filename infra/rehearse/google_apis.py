"""Google's admin APIs on loopback, each below the name of its host: what a deployment's owner can look up over REST.

Only what the doctor asks, in the shapes of Google's discovery documents, to which
tests/infra/google_apis.json holds it. Deepgram's `GET /v1/auth/token` is here too, below api.deepgram.com, and the
rehearsal's gcloud, below gcloud.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import flask

from infra.emulators.http_server import HttpServer

TOKEN = "ya29.laptop"  # noqa: S105 - opens nothing
STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}

Json = dict[str, Any]


@dataclass(frozen=True)
class ApiRequest:
    """One request."""

    verb: str
    host: str
    path: str
    query: str


@dataclass
class GoogleState:
    """What the APIs know. Keys are `HOST/PATH`, as resources are got."""

    resources: dict[str, Json] = field(default_factory=dict)
    enabled: set[str] = field(default_factory=set)
    """APIs, by host."""
    secrets: dict[str, str] = field(default_factory=dict)
    """Payloads of secret versions."""
    measured: dict[tuple[str, str], int] = field(default_factory=dict)
    """Newest value of a subscription's metric."""
    deepgram_keys: set[str] = field(default_factory=set)
    foreign_projects: set[str] = field(default_factory=set)
    """Other projects, in which no API is on: what is asked in their name is refused."""


@dataclass(frozen=True)
class _Fault:
    prefix: str
    status: int = 0
    body: bytes = b""
    seconds: float = 0.0


class GoogleApis(HttpServer):
    """Answers out of `google`, which may be changed at any time, to whoever brings the token it gives out."""

    def __init__(self, google: GoogleState, gcloud: Callable[[list[str]], Json] | None = None) -> None:
        app = flask.Flask("google-apis", static_folder=None)
        app.before_request(self._answer)
        super().__init__(app)
        self.google = google
        self.requests: list[ApiRequest] = []
        """Every request so far."""
        self._gcloud = gcloud
        self._faults: list[_Fault] = []
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Stop as every server does, stalled answers included."""
        self._stopping.set()
        super().stop()

    def refuse(self, prefix: str, status: int, message: str = "no", reason: str = "") -> None:
        """Answer whatever begins with `prefix` (`HOST/PATH`) with an error in Google's shape."""
        self._faults.append(_Fault(prefix, status, json.dumps(_error(status, message, reason)).encode()))

    def garble(self, prefix: str, body: bytes) -> None:
        """Answer whatever begins with `prefix` with 200 and `body`."""
        self._faults.append(_Fault(prefix, 200, body))

    def stall(self, prefix: str, seconds: float) -> None:
        """Answer whatever begins with `prefix` only after `seconds`."""
        self._faults.append(_Fault(prefix, seconds=seconds))

    def _answer(self) -> flask.Response:
        key = flask.request.path.removeprefix("/")
        host, _, path = key.partition("/")
        self.requests.append(ApiRequest(flask.request.method, host, path, flask.request.query_string.decode()))
        for fault in self._faults:
            if key.startswith(fault.prefix):
                self._stopping.wait(fault.seconds)
                if fault.status:
                    return flask.Response(fault.body, fault.status, mimetype="application/json")
        if host == "gcloud" and self._gcloud is not None:
            return _json(self._gcloud(flask.request.get_json()))
        if host == "oauth2.googleapis.com":
            return _json({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"})
        if host == "api.deepgram.com":
            return self._deepgram_token()
        if flask.request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _refusal(401, "Request had invalid authentication credentials.")
        asking = flask.request.headers.get("X-Goog-User-Project", "")
        if asking in self.google.foreign_projects:
            return _refusal(403, f"{host} has not been used in project {asking} before.", "SERVICE_DISABLED")
        found = self._found(host, path)
        return _refusal(404, f"Resource {path} was not found.") if found is None else _json(found)

    def _found(self, host: str, path: str) -> Mapping[str, Any] | None:
        key, google = f"{host}/{path}", self.google
        resource, _, verb = key.partition(":")
        match verb:
            case "batchGet":
                return {"services": [self._service(name) for name in flask.request.args.getlist("names")]}
            case "run":
                return google.resources.get(resource) if flask.request.method == "POST" else None
            case "access":
                return self._secret(path.partition(":")[0], resource)
        return self._series() if path.endswith("/timeSeries") else google.resources.get(key)

    def _service(self, name: str) -> Json:
        api = name.rpartition("/")[2]
        state = "ENABLED" if api in self.google.enabled else "DISABLED"
        return {"name": name, "state": state, "config": {"name": api}}

    def _secret(self, path: str, resource: str) -> Json | None:
        held = self.google.secrets.get(resource)
        if held is None:
            return None
        return {
            "name": path.removeprefix("v1/"),
            "payload": {"data": base64.b64encode(held.encode()).decode()},
        }

    def _series(self) -> Json:
        wanted = flask.request.args["filter"]
        series = [
            {
                "metric": {"type": f"pubsub.googleapis.com/subscription/{metric}"},
                "resource": {"type": "pubsub_subscription", "labels": {"subscription_id": subscription}},
                "metricKind": "GAUGE",
                "valueType": "INT64",
                "points": [{"interval": {"endTime": _now()}, "value": {"int64Value": str(value)}}],
            }
            for (subscription, metric), value in self.google.measured.items()
            if f'"{subscription}"' in wanted and f'subscription/{metric}"' in wanted
        ]
        return {"timeSeries": series} if series else {}

    def _deepgram_token(self) -> flask.Response:
        scheme, _, key = flask.request.headers.get("Authorization", "").partition(" ")
        if scheme == "Token" and key in self.google.deepgram_keys:
            return _json({"api_key_id": "laptop", "scopes": ["usage:write"]})
        body = {"err_code": "INVALID_AUTH", "err_msg": "Invalid credentials.", "request_id": "laptop"}
        return flask.make_response(body, 401)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _json(body: Mapping[str, Any]) -> flask.Response:
    return flask.jsonify(body)


def _refusal(status: int, message: str, reason: str = "") -> flask.Response:
    return flask.make_response(_error(status, message, reason), status)


def _error(status: int, message: str, reason: str = "") -> Json:
    error: Json = {"code": status, "message": message, "status": STATUS_NAMES.get(status, "UNKNOWN")}
    if reason:
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}
        error["details"] = [info]
    return {"error": error}
