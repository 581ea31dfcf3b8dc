"""What the storage server refuses: an HTTP status, and the XML API's code for it."""

from __future__ import annotations

from collections.abc import Mapping


class StorageError(Exception):
    """An answer other than success; `headers` go with it."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}


def invalid(message: str) -> StorageError:
    """The request cannot be understood, or breaks a rule of names and values."""
    return StorageError(400, "InvalidArgument", message)


def not_supported(what: str) -> StorageError:
    """Cloud Storage can do this and this server cannot: silently ignored, it would make a test pass wrongly."""
    return StorageError(501, "NotImplemented", f"Not supported: {what}")
