"""V4 signed URLs, checked by rebuilding the canonical request that the signer hashed.

Stands on `cryptography`, which google-auth requires and so every Google client brings.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from infra.emulators.storage.errors import ExpiredUrlError, ForbiddenError, InvalidRequestError, SignatureMismatchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ALGORITHM = "GOOG4-RSA-SHA256"
MAX_LIFETIME = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it arrived: `path` is still quoted, `parameters` are not, `headers` go by lower-case name."""

    method: str
    path: str
    parameters: Sequence[tuple[str, str]]
    headers: Mapping[str, str]

    def canonical(self, signed_headers: str) -> str:
        """What the signer hashed; `signed_headers` are lower-case names joined by semicolons."""
        path = quote(unquote_to_bytes(self.path), safe="/~")
        signed = [(name, value) for name, value in self.parameters if name != "X-Goog-Signature"]
        query = "&".join(sorted(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in signed))
        headers = {name: " ".join(self.headers.get(name, "").split()) for name in signed_headers.split(";")}
        header_lines = [f"{name}:{value}" for name, value in headers.items()]
        payload = headers.get("x-goog-content-sha256", "UNSIGNED-PAYLOAD")
        return "\n".join([self.method, path, query, *header_lines, "", signed_headers, payload])


@dataclass(frozen=True, slots=True)
class Claim:
    """What a signed URL says about its own signature."""

    credential_scope: str
    """DATE/REGION/storage/goog4_request"""
    signed_at: datetime
    lifetime: timedelta
    signed_headers: str
    signature: bytes

    @classmethod
    def read(cls, parameters: Mapping[str, str]) -> Claim:
        """Read the X-Goog parameters; ForbiddenError without a signature, InvalidRequestError for a malformed one."""
        if "X-Goog-Signature" not in parameters:
            raise ForbiddenError("Anonymous caller does not have storage.objects.get access to the object.")
        try:
            claim = cls(
                credential_scope=parameters["X-Goog-Credential"].partition("/")[2],
                signed_at=datetime.strptime(parameters["X-Goog-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC),
                lifetime=timedelta(seconds=int(parameters["X-Goog-Expires"])),
                signed_headers=parameters["X-Goog-SignedHeaders"],
                signature=bytes.fromhex(parameters["X-Goog-Signature"]),
            )
            algorithm = parameters["X-Goog-Algorithm"]
        except (KeyError, ValueError, OverflowError) as error:
            raise InvalidRequestError(f"A parameter of the signed URL is missing or malformed: {error}") from error
        if (
            algorithm != ALGORITHM
            or not timedelta(0) < claim.lifetime <= MAX_LIFETIME
            or "host" not in claim.signed_headers.split(";")
        ):
            raise InvalidRequestError("The parameters of the signed URL are not those of a V4 signature.")
        return claim

    def string_to_sign(self, canonical_request: str) -> str:
        """What the signer's key was applied to."""
        digest = hashlib.sha256(canonical_request.encode()).hexdigest()
        return "\n".join([ALGORITHM, f"{self.signed_at:%Y%m%dT%H%M%SZ}", self.credential_scope, digest])


class SignedUrlVerifier:
    """Knows the one public key (PEM, RSA) whose signatures count; without a key none do."""

    def __init__(self, public_key_pem: bytes | None) -> None:
        self._key = None if public_key_pem is None else _rsa_public_key(public_key_pem)

    def verify(self, request: SignedRequest, now: datetime) -> None:
        """Raise a StorageError unless `request` may be answered at `now`."""
        claim = Claim.read(dict(request.parameters))
        string_to_sign = claim.string_to_sign(request.canonical(claim.signed_headers))
        try:
            if self._key is None:
                raise InvalidSignature
            self._key.verify(claim.signature, string_to_sign.encode(), PKCS1v15(), SHA256())
        except InvalidSignature:
            raise SignatureMismatchError(
                f"The request signature we calculated does not match the signature you provided: {string_to_sign!r}"
            ) from None
        expires_at = claim.signed_at + claim.lifetime
        if now > expires_at:
            raise ExpiredUrlError(
                f"The provided token has expired. Request signature expired at: {expires_at.isoformat()}"
            )


def _rsa_public_key(pem: bytes) -> RSAPublicKey:
    key = load_pem_public_key(pem)
    if not isinstance(key, RSAPublicKey):
        raise TypeError("V4 signed URLs are signed with RSA keys.")
    return key
