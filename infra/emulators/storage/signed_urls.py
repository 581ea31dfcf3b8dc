"""V4 signed URLs, checked by rebuilding the canonical request that the signer hashed.

`cryptography` comes with google-auth, and so with every Google client.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote_to_bytes

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from infra.emulators.storage.errors import StorageError, invalid

ALGORITHM = "GOOG4-RSA-SHA256"
MAX_LIFETIME = timedelta(days=7)


class SignedUrlVerifier:
    """Knows the one public key (PEM, RSA) whose signatures count; without a key none do."""

    def __init__(self, public_key_pem: bytes | None) -> None:
        key = None if public_key_pem is None else load_pem_public_key(public_key_pem)
        if not isinstance(key, RSAPublicKey | None):
            raise TypeError("V4 signed URLs are signed with RSA keys.")
        self._key = key

    def verify(
        self, method: str, path: str, parameters: Sequence[tuple[str, str]], headers: Mapping[str, str], now: datetime
    ) -> None:
        """Raise StorageError unless the request may be answered at `now`.

        `path` is still quoted, `parameters` are not, `headers` have lower-case names.
        """
        given = dict(parameters)
        if "X-Goog-Signature" not in given:
            raise StorageError(403, "AccessDenied", "Anonymous caller does not have storage.objects.get access.")
        try:
            signature = bytes.fromhex(given["X-Goog-Signature"])
            signed_at = datetime.strptime(given["X-Goog-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            lifetime = timedelta(seconds=int(given["X-Goog-Expires"]))
            scope = given["X-Goog-Credential"].partition("/")[2]
            signed_headers = given["X-Goog-SignedHeaders"]
            algorithm = given["X-Goog-Algorithm"]
        except (KeyError, ValueError, OverflowError) as error:
            raise invalid(f"A parameter of the signed URL is missing or malformed: {error}") from error
        well_formed = algorithm == ALGORITHM and "host" in signed_headers.split(";")
        if not well_formed or not timedelta(0) < lifetime <= MAX_LIFETIME:
            raise invalid("The parameters of the signed URL are not those of a V4 signature.")
        canonical = _canonical_request(method, path, parameters, headers, signed_headers)
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        string_to_sign = "\n".join([ALGORITHM, f"{signed_at:%Y%m%dT%H%M%SZ}", scope, digest])
        try:
            if self._key is None:
                raise InvalidSignature
            self._key.verify(signature, string_to_sign.encode(), PKCS1v15(), SHA256())
        except InvalidSignature:
            message = f"The signature does not match the one calculated for {string_to_sign!r}"
            raise StorageError(403, "SignatureDoesNotMatch", message) from None
        if now > signed_at + lifetime:
            # 400 and not 403, as in Cloud Storage.
            raise StorageError(400, "ExpiredToken", f"The signature expired at {signed_at + lifetime}")


def _canonical_request(
    method: str, path: str, parameters: Sequence[tuple[str, str]], headers: Mapping[str, str], signed_headers: str
) -> str:
    """What the signer hashed; `signed_headers` are lower-case names joined by semicolons."""
    signed = [(name, value) for name, value in parameters if name != "X-Goog-Signature"]
    query = "&".join(sorted(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in signed))
    lines = [f"{name}:{' '.join(headers.get(name, '').split())}" for name in signed_headers.split(";")]
    path = quote(unquote_to_bytes(path), safe="/~")
    return "\n".join([method, path, query, *lines, "", signed_headers, "UNSIGNED-PAYLOAD"])
