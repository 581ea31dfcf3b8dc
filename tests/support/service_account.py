"""The key of a service account that exists nowhere."""

from __future__ import annotations

import json
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


def write_service_account(path: Path, project: str) -> bytes:
    """Write a key file as Google hands them out, but short; its public key as PEM.

    Each client that is made checks the key: of 2048 bits that takes 36 ms of CPU, of 1024 bits 5 ms.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    info = {
        "type": "service_account",
        "project_id": project,
        "private_key_id": "test",
        "private_key": private.decode(),
        "client_email": f"test@{project}.iam.gserviceaccount.com",
        "client_id": "0",
        "token_uri": "http://127.0.0.1:9/token",
    }
    path.write_text(json.dumps(info))
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
