"""The HTTP API as functions-framework serves it, with keys of the test's own, and a client that holds one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from infra.emulators.cloud import FUNCTION
from infra.emulators.function_host import FunctionHost
from tests.support.forked_process import ForkedProcessGroup
from tests.support.waiting import PATIENCE

ARCHIVE = "archive"
"""A bucket that recordings may be copied from."""

OPERATOR_KEY = "operator-" + "o" * 32
TENANT_KEY = "tenant-" + "t" * 32
"""Of the folder `tenant`."""
POOR_KEY = "poor-" + "p" * 32
"""Of the folder `poor`, whose budget is a cent."""


def api_keys() -> str:
    """API_KEYS with these."""
    return json.dumps(
        [
            {"id": "operator", "sha256": sha256(OPERATOR_KEY)},
            {"id": "tenant", "sha256": sha256(TENANT_KEY), "folder": "tenant", "sources": [f"{ARCHIVE}/tenant/"]},
            {"id": "poor", "sha256": sha256(POOR_KEY), "folder": "poor", "monthly_budget_usd": 0.01},
        ]
    )


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class ApiClient:
    """Sends requests with one key."""

    url: str
    log: Path
    """What the function prints."""
    key: str | None = OPERATOR_KEY

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {**({"X-API-Key": self.key} if self.key else {}), **options.pop("headers", {})}
        return requests.request(method, f"{self.url}{path}", headers=headers, timeout=PATIENCE, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.request("POST", path, **options)

    def delete(self, path: str, **options: Any) -> requests.Response:
        return self.request("DELETE", path, **options)

    def with_key(self, key: str | None) -> ApiClient:
        return ApiClient(self.url, self.log, key)


@contextmanager
def api_server(log: Path, **environment: str) -> Iterator[ApiClient]:
    """Serve the API over the cloud that this process's environment names, for its own host alone."""
    settings = {
        **os.environ,
        "UPLOADS_BUCKET": "uploads",
        "API_AUTHORISATION": "keys",
        "API_KEYS": api_keys(),
        "API_SOURCE_BUCKETS": f"{ARCHIVE}/",
        "API_MAX_BODY_BYTES": "100000",
        "WEBHOOK_ALLOWED_ORIGINS": "https://hooks.example.com",
        # Nothing transcribes here.
        "API_WAIT_SECONDS": "0",
        "BUDGET_CACHE_SECONDS": "0",
        "THREADS": "4",
        **environment,
    }
    host = FunctionHost("api", FUNCTION, "http", settings, log, grace_seconds=0.0, process_type=ForkedProcessGroup)
    settings["API_HOSTS"] = host.url.removeprefix("http://")
    with host:
        yield ApiClient(host.url, log)
