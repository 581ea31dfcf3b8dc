"""What counts as a fault of the infrastructure, and what is said of it."""

from __future__ import annotations

import errno

import pytest
import requests
from google.api_core import exceptions as google_errors
from google.auth.exceptions import RefreshError
from google.cloud.storage.exceptions import DataCorruption
from urllib3.exceptions import ProtocolError

from shared.errors import MAX_REASON_CHARACTERS, BadMedia, EngineFailed, FailureKind, StateConflict
from shared.state.faults import is_infrastructure_fault, reason_of


@pytest.mark.parametrize(
    "error",
    [
        google_errors.Forbidden("no access"),
        google_errors.ServiceUnavailable("not now"),
        google_errors.TooManyRequests("slower"),
        google_errors.RetryError("no answer", None),
        requests.ConnectionError("reset"),
        ProtocolError("broken"),
        RefreshError("no token"),
        ConnectionResetError(),
        TimeoutError("no answer"),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EIO, "Input/output error"),
        DataCorruption(None, "checksum"),
        StateConflict("changed by another process"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_services_network_and_disk_are_no_fault_of_an_upload(error: Exception) -> None:
    assert is_infrastructure_fault(error)


@pytest.mark.parametrize(
    "error",
    [
        BadMedia("damaged"),
        EngineFailed("hung", FailureKind.MODEL_HUNG),
        EngineFailed("no answer", FailureKind.NETWORK),
        MemoryError(),
        ValueError("a mistake of ours"),
        FileNotFoundError(errno.ENOENT, "No such file"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_verdicts_of_engines_and_mistakes_of_ours_count(error: Exception) -> None:
    assert not is_infrastructure_fault(error)


def test_a_missing_permission_is_said_in_words() -> None:
    said = reason_of(google_errors.Forbidden("job@p does not have storage.objects.get access"))
    assert said.startswith(
        "Cloud Storage does not let the service account read or write (403, forbidden): job@p does not"
    )


def test_a_reason_is_our_own_where_there_is_one_and_never_long() -> None:
    assert reason_of(BadMedia("It is damaged.")) == "It is damaged."
    assert len(reason_of(ValueError("x" * 100_000))) == MAX_REASON_CHARACTERS
