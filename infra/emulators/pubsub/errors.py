"""Why a request is refused; the gRPC surface answers each type with its own status."""

from __future__ import annotations


class PubSubError(Exception):
    """A request that is answered with an error status."""


class InvalidArgumentError(PubSubError):
    """The request can never succeed."""


class NotFoundError(PubSubError):
    """No such topic or subscription."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Resource not found (resource={name}).")


class AlreadyExistsError(PubSubError):
    """The name is taken."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Resource already exists in the project (resource={name}).")


class UnsupportedError(PubSubError):
    """Google's service can do this, the laptop's cannot: better refused than silently ignored."""


class StoppedError(PubSubError):
    """The server is going away; a client that sees this may reconnect."""
