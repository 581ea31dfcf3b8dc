"""Why a published model is not on this machine, in one sentence, and what to do then in another."""

from __future__ import annotations

import errno

import httpx2
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

from shared.errors import EngineFailed, FailureKind

WAYS_ON = (
    "Ways on: --model PATH (in Python: engine=PATH) takes a folder made by `dropscribe prepare-model`, or one copied"
    " from a machine that has the model; --model tiny takes the built-in model of the demo, which knows 145 words and"
    " no others; HF_ENDPOINT names a mirror of the hub; HF_HOME a folder that holds the model already; with"
    " HF_HUB_OFFLINE=1 the network is never asked."
)

_KEPT = "What was fetched is kept, and the next attempt goes on from there."

_OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class ModelNotFetched(EngineFailed):
    """A published model is not here and cannot be fetched. The reason names the ways on."""

    kind = FailureKind.MODEL_LOAD

    def __init__(self, model: str, why: str) -> None:
        super().__init__(f"The model {model} is not on this machine: {why} {WAYS_ON}")


class FetchFailed(Exception):
    """Why a fetch ended, as a sentence."""


def why_not_fetched(error: BaseException, endpoint: str, repository: str, cache: str) -> str:
    """One sentence for a person."""
    match error:
        case FetchFailed():
            return str(error)
        case OfflineModeIsEnabled():
            return f"HF_HUB_OFFLINE is set, and {cache} does not hold it."
        case GatedRepoError():
            return f"{endpoint}/{repository} is gated: accept its terms there, and set HF_TOKEN."
        case HfHubHTTPError() if isinstance(error, RepositoryNotFoundError) or error.response.status_code in (401, 404):
            return (
                f"{endpoint} has no repository {repository}, or shows it to its owners only"
                f" (HTTP {error.response.status_code}): check the name, or set HF_TOKEN."
            )
        case HfHubHTTPError():
            return f"{endpoint} answered with HTTP {error.response.status_code}."
        case httpx2.TimeoutException() | TimeoutError():
            return f"{endpoint} does not answer."
        case httpx2.ConnectError():
            return f"{endpoint} cannot be reached ({error})."
        case httpx2.TransportError():
            return f"the connection to {endpoint} broke ({error}). {_KEPT}"
        case OSError(errno=int(number)) if number in _OUT_OF_SPACE:
            return f"there is no room left in {cache} ({error.strerror}). HF_HOME names another place. {_KEPT}"
        case OSError(strerror=str(reason)):
            return f"{error.filename or cache}: {reason}."
        case _:
            return f"{endpoint} does not answer as the hub does ({type(error).__name__}): a sign-in page, or a proxy?"
