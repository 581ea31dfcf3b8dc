"""Faults of the infrastructure: they pass, and no upload is at fault."""

from __future__ import annotations

import errno

from google.api_core.exceptions import Forbidden
from google.cloud.storage.exceptions import DataCorruption
from urllib3.exceptions import HTTPError

from shared.errors import (
    MAX_REASON_CHARACTERS,
    SERVICE_UNAVAILABLE_ERRORS,
    DropscribeError,
    StateConflict,
    shortened,
)
from shared.unreadable import NewerVersion

_SERVICE_FAULTS = (*SERVICE_UNAVAILABLE_ERRORS, ConnectionError, TimeoutError, HTTPError, DataCorruption)
"""What Google's clients and their transports raise, and content that does not have its checksum when it arrives."""

_FULL_OR_BROKEN = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENETDOWN, errno.ENETUNREACH}
    | {errno.EHOSTUNREACH, errno.ETIMEDOUT}
)
"""Of an OSError: the disk is full or failing, files have run out, there is no network."""


def is_infrastructure_fault(error: BaseException) -> bool:
    """Whether a service, the network or the disk failed, and nothing about the upload or an engine: what was tried may
    work in a while, however often it failed, and counts as no attempt. So may what only a newer release can read."""
    match error:
        case DropscribeError():
            return isinstance(error, StateConflict | NewerVersion)
        case OSError() if error.errno in _FULL_OR_BROKEN:
            return True
        case _:
            return isinstance(error, _SERVICE_FAULTS)


def reason_of(error: BaseException) -> str:
    """What went wrong with a request to a service, or with the disk, in one sentence."""
    match error:
        case Forbidden():
            text = f"Cloud Storage does not let the service account read or write (403, forbidden): {error.message}"
        case DropscribeError():
            return error.reason
        case _:
            text = f"{type(error).__name__}: {error}"
    return shortened(text, MAX_REASON_CHARACTERS)
