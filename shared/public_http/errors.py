"""Why a request to a given URL was not sent, or did not succeed. The reasons name the host that was asked for and never
an address that it resolves to: that would tell strangers what is in a private network."""

from __future__ import annotations

from shared.errors import DropscribeError, FailureKind


class UrlRefused(DropscribeError):
    """The URL is one that is never requested: its form, its port, or where it leads. It will not be another time."""

    kind = FailureKind.REFUSED


class RequestFailed(DropscribeError):
    """The server could not be reached, or did not answer as it should; `kind` says whether trying again may help."""

    kind = FailureKind.NETWORK


class TooLarge(DropscribeError):
    """The answer has more bytes than the caller allowed."""

    kind = FailureKind.REFUSED
