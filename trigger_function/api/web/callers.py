"""Who calls, and what that caller may reach.

By default Cloud Run lets in whom IAM allows, and everyone who gets this far may do everything. With API_AUTHORISATION
`keys` each request needs one of the keys of API_KEYS as well: as `Authorization: Bearer KEY` or `Token KEY` (what
Deepgram's clients send), or as `X-API-Key`. Only hashes of keys are known here, and no key is logged or echoed.

Where Cloud Run's IAM stands before the API too, its identity token goes into `X-Serverless-Authorization`.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

import flask
from pydantic import BaseModel, ConfigDict, Field, model_validator

from trigger_function.api.web.problems import Problem

KEY_HEADER = "X-API-Key"
SCHEMES = ("bearer", "token")

FOLDER_PATTERN = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,62}$"
"""Of a key's folder: the first part of names in the uploads bucket, as the ledger sums by it."""


def is_source(text: str) -> bool:
    """Whether it is `BUCKET/` or `BUCKET/FOLDER/`: without its last slash `a/news` would allow `a/newsroom/`, too."""
    return text.endswith("/") and not text.startswith(("/", "gs:"))


class ApiKey(BaseModel):
    """One key of API_KEYS, without the key itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    """In logs and records."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of the key's UTF-8. Keys are random, of 256 bits, so nothing slower is needed."""
    folder: Annotated[str, Field(pattern=FOLDER_PATTERN)] | None = None
    """What the key reaches; None: everything."""
    monthly_budget_usd: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """For the folder, in a month of UTC."""
    sources: tuple[str, ...] = ()
    """Beginnings of `gs://` addresses without the scheme, `BUCKET/` or `BUCKET/FOLDER/`, that it may have copied."""

    @model_validator(mode="after")
    def _check(self) -> ApiKey:
        if self.monthly_budget_usd is not None and self.folder is None:
            raise ValueError("a budget is a folder's: a key with monthly_budget_usd needs a folder")
        if not all(map(is_source, self.sources)):
            raise ValueError("sources have to be like BUCKET/ or BUCKET/FOLDER/")
        return self


@dataclass(frozen=True)
class Caller:
    """Who is let in."""

    id: str
    """The key's; `iam` where IAM alone decides."""
    folder: str | None = None
    """None: everything."""
    monthly_budget_usd: float | None = None
    sources: tuple[str, ...] = ()

    def may_see(self, name: str) -> bool:
        """Whether an upload of this name is the caller's."""
        return self.folder is None or name.startswith(f"{self.folder}/")


def caller_of(request: flask.Request, keys: tuple[ApiKey, ...] | None, sources: tuple[str, ...]) -> Caller:
    """Who calls. `keys`: None where IAM alone decides. `sources`: of callers without a folder. Raises Problem."""
    if keys is None:
        return Caller("iam", sources=sources)
    given = hashlib.sha256(_key_of(request).encode(errors="surrogateescape")).hexdigest()
    # Each is compared, and in the same time, so that the answer's time says nothing of the right ones.
    found = [key for key in keys if hmac.compare_digest(key.sha256, given)]
    if not found:
        raise _unauthorized("The API key is not known.")
    key = found[0]
    return Caller(key.id, key.folder, key.monthly_budget_usd, key.sources if key.folder else (*sources, *key.sources))


def _key_of(request: flask.Request) -> str:
    if key := request.headers.get(KEY_HEADER, "").strip():
        return key
    scheme, _, key = request.headers.get("Authorization", "").strip().partition(" ")
    if scheme.lower() not in SCHEMES or not key.strip():
        raise _unauthorized("The request needs an API key, as Authorization: Bearer KEY.")
    return key.strip()


def _unauthorized(detail: str) -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": 'Bearer realm="dropscribe"'})
