"""Final answers of Cloud Storage to who reads an upload, and how the upload ends."""

from __future__ import annotations

from shared.enums import Outcome
from shared.errors import FailureKind

_ANSWERS = {
    "customer-supplied key": (
        400,
        "The target object is encrypted by a customer-supplied encryption key.",
        Outcome.REJECTED,
        FailureKind.REFUSED,
        "The file is encrypted with a customer-supplied key, so it cannot be read.",
    ),
    "requester pays": (
        400,
        "Bucket is a requester pays bucket but no user project provided.",
        Outcome.FAILED,
        FailureKind.REFUSED,
        "The file's bucket charges whoever reads it (requester pays), so it is not read.",
    ),
    "bad request": (
        400,
        "Invalid argument.",
        Outcome.FAILED,
        FailureKind.REFUSED,
        "Cloud Storage refuses to read the file (400, bad request).",
    ),
    "bucket gone": (
        404,
        "The specified bucket does not exist.",
        Outcome.REJECTED,
        FailureKind.REFUSED,
        "The file's bucket does not exist any more.",
    ),
    "object gone": (
        404,
        "No such object: uploads/calls/a.mp3",
        Outcome.REJECTED,
        FailureKind.REFUSED,
        "The file was deleted or replaced before it could be read.",
    ),
}
FINAL_ANSWER_NAMES = tuple(_ANSWERS)
FINAL_ANSWERS = tuple(_ANSWERS.values())
"""Status, message, outcome, kind and reason."""
