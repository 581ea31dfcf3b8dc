"""What the storage server refuses, in the words of both of Cloud Storage's APIs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping


class StorageError(Exception):
    """An answer other than success: an HTTP status, the JSON API's `reason` and the XML API's `code`."""

    status: int
    reason: ClassVar[str]
    code: ClassVar[str]

    @property
    def headers(self) -> Mapping[str, str]:
        """Header fields that go with this answer."""
        return {}


class InvalidRequestError(StorageError):
    """The request cannot be understood, or breaks a rule of names and values."""

    status, reason, code = 400, "invalid", "InvalidArgument"


class ExpiredUrlError(StorageError):
    """A signed URL whose time is over; 400 and not 403, as in Cloud Storage."""

    status, reason, code = 400, "invalid", "ExpiredToken"


class ForbiddenError(StorageError):
    """A path-style request without a signature."""

    status, reason, code = 403, "forbidden", "AccessDenied"


class SignatureMismatchError(StorageError):
    """A signature that this request and the server's public key do not bear out."""

    status, reason, code = 403, "forbidden", "SignatureDoesNotMatch"


class BucketNotFoundError(StorageError):
    status, reason, code = 404, "notFound", "NoSuchBucket"


class ObjectNotFoundError(StorageError):
    """No object, or no longer that generation of it."""

    status, reason, code = 404, "notFound", "NoSuchKey"


class UploadNotFoundError(StorageError):
    status, reason, code = 404, "notFound", "NoSuchUpload"


class BucketExistsError(StorageError):
    status, reason, code = 409, "conflict", "BucketAlreadyOwnedByYou"


class PreconditionFailedError(StorageError):
    status, reason, code = 412, "conditionNotMet", "PreconditionFailed"


class NotModifiedError(StorageError):
    """A read whose `NotMatch` precondition did not hold."""

    status, reason, code = 304, "notModified", "NotModified"


class RangeNotSatisfiableError(StorageError):
    """A range that begins behind the end of the content."""

    status, reason, code = 416, "requestedRangeNotSatisfiable", "InvalidRange"

    def __init__(self, size: int) -> None:
        super().__init__("The requested range cannot be satisfied.")
        self._size = size

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Content-Range": f"bytes */{self._size}"}


class NotSupportedError(StorageError):
    """Cloud Storage can do this and this server cannot: said aloud, as ignoring it would make a test pass wrongly."""

    status, reason, code = 501, "notImplemented", "NotImplemented"


class InjectedFaultError(StorageError):
    """An answer that a test asked for."""

    reason, code = "backendError", "InternalError"

    def __init__(self, status: int) -> None:
        super().__init__("This fault was injected by a test.")
        self.status = status
