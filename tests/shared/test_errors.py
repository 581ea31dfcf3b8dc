"""The kind of a failure, from the classes the libraries really raise."""

from __future__ import annotations

import flask
import google.api_core.exceptions as google_errors
import pytest
import requests
from google.auth.exceptions import RefreshError, TransportError

from infra.emulators.http_server import HttpServer
from shared.errors import (
    REMEDIES,
    BadMedia,
    DropscribeError,
    EngineFailed,
    FailureKind,
    LaunchFailed,
    Rejected,
    kind_of,
)
from tests.support.loopback_cloud import STATE, LoopbackCloud
from tests.support.waiting import PATIENCE

KINDS = [
    (BadMedia("x"), FailureKind.BAD_MEDIA),
    (Rejected("x"), FailureKind.REFUSED),
    (EngineFailed("x"), FailureKind.INTERNAL),
    (LaunchFailed("x", FailureKind.QUOTA), FailureKind.QUOTA),
    (MemoryError(), FailureKind.OUT_OF_MEMORY),
    (google_errors.ResourceExhausted("x"), FailureKind.QUOTA),
    (google_errors.TooManyRequests("x"), FailureKind.QUOTA),
    (google_errors.DeadlineExceeded("x"), FailureKind.TIMEOUT),
    (google_errors.GatewayTimeout("x"), FailureKind.TIMEOUT),
    (TimeoutError(), FailureKind.TIMEOUT),
    (requests.ReadTimeout(), FailureKind.TIMEOUT),
    (requests.ConnectTimeout(), FailureKind.TIMEOUT),
    (google_errors.Unauthenticated("x"), FailureKind.CREDENTIALS),
    (google_errors.PermissionDenied("x"), FailureKind.CREDENTIALS),
    (google_errors.Forbidden("x"), FailureKind.CREDENTIALS),
    (google_errors.NotFound("x"), FailureKind.REFUSED),
    (google_errors.BadRequest("x"), FailureKind.REFUSED),
    (google_errors.ServiceUnavailable("x"), FailureKind.NETWORK),
    (google_errors.InternalServerError("x"), FailureKind.NETWORK),
    (google_errors.RetryError("x", cause=None), FailureKind.NETWORK),
    (requests.ConnectionError(), FailureKind.NETWORK),
    (ConnectionResetError(), FailureKind.NETWORK),
    (TransportError("x"), FailureKind.NETWORK),
    (RefreshError("x"), FailureKind.CREDENTIALS),
    (google_errors.GoogleAPICallError("without a code"), FailureKind.INTERNAL),
    (ValueError("quota exceeded, connection timed out"), FailureKind.INTERNAL),
]


@pytest.mark.parametrize(("error", "kind"), KINDS, ids=[type(error).__name__ for error, _ in KINDS])
def test_each_class_has_its_kind(error: BaseException, kind: FailureKind) -> None:
    assert kind_of(error) is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, FailureKind.REFUSED),
        (403, FailureKind.CREDENTIALS),
        (404, FailureKind.REFUSED),
        (501, FailureKind.NETWORK),
    ],
)
def test_what_googles_client_raises_for_a_status(cloud: LoopbackCloud, status: int, kind: FailureKind) -> None:
    cloud.storage_server.fail_next(1, status)
    with pytest.raises(google_errors.GoogleAPICallError) as caught:
        cloud.storage.bucket(STATE).blob("a").download_as_bytes()
    assert kind_of(caught.value) is kind


def test_a_server_that_is_gone_is_a_network_failure() -> None:
    with HttpServer(flask.Flask("gone")) as server:
        url = server.url
    with pytest.raises(requests.RequestException) as caught:
        requests.get(url, timeout=PATIENCE)
    assert kind_of(caught.value) is FailureKind.NETWORK


def test_a_kind_can_be_given_without_changing_the_class() -> None:
    assert DropscribeError("x", FailureKind.QUOTA).kind is FailureKind.QUOTA
    assert DropscribeError("x").kind is FailureKind.INTERNAL
    assert str(DropscribeError("Why.")) == DropscribeError("Why.").reason == "Why."


def test_every_kind_has_its_remedy() -> None:
    assert set(REMEDIES) == set(FailureKind)
