"""V4 signed URLs, made by Google's client and fetched by others."""

from __future__ import annotations

import http.client
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from google.cloud.storage._signing import generate_signed_url_v4
from google.oauth2.service_account import Credentials

from infra.emulators.storage.server import StorageServer
from tests.support.hostile_names import HOSTILE_NAMES
from tests.support.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from google.cloud import storage

CONTENT = bytes(range(256)) * 1000
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=1024)


@pytest.fixture(scope="module")
def server(private_key: rsa.RSAPrivateKey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageServer]:
    public_pem = private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with StorageServer(tmp_path_factory.mktemp("signed"), signing_key_pem=public_pem) as server:
        yield server


@pytest.fixture
def endpoint(server: StorageServer) -> str:
    return server.url


@pytest.fixture
def blob(bucket: storage.Bucket) -> storage.Blob:
    blob: storage.Blob = bucket.blob("calls/a b.mp3")
    blob.upload_from_string(CONTENT, content_type="audio/mpeg")
    return blob


@pytest.fixture
def sign(endpoint: str, private_key: rsa.RSAPrivateKey) -> Callable[..., str]:
    """Signs a URL for a blob the way production code does."""
    return lambda blob, expiration=HOUR, **options: blob.generate_signed_url(
        version="v4",
        expiration=expiration,
        api_access_endpoint=endpoint,
        credentials=credentials_of(private_key),
        **options,
    )


def credentials_of(key: rsa.RSAPrivateKey) -> Credentials:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    account = {"private_key": pem.decode(), "client_email": "job@local.iam.gserviceaccount.com", "token_uri": "none"}
    credentials: Credentials = Credentials.from_service_account_info(account)
    return credentials


def error_code(response: requests.Response) -> str | None:
    return ElementTree.fromstring(response.content).findtext("Code")


def test_anyone_with_the_url_may_read(blob: storage.Blob, sign: Callable[..., str]) -> None:
    response = requests.get(sign(blob), timeout=PATIENCE)
    assert (response.status_code, response.content) == (200, CONTENT)
    assert response.headers["Content-Type"] == "audio/mpeg"


def test_ranges_are_honoured(blob: storage.Blob, sign: Callable[..., str]) -> None:
    response = requests.get(sign(blob), headers={"Range": "bytes=100-199"}, timeout=PATIENCE)
    assert (response.status_code, response.content) == (206, CONTENT[100:200])
    assert response.headers["Content-Range"] == f"bytes 100-199/{len(CONTENT)}"
    beyond = requests.get(sign(blob), headers={"Range": f"bytes={len(CONTENT)}-"}, timeout=PATIENCE)
    assert (beyond.status_code, error_code(beyond)) == (416, "InvalidRange")


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=lambda name: ascii(name[:20]))
def test_any_name_can_be_signed(bucket: storage.Bucket, sign: Callable[..., str], name: str) -> None:
    blob = bucket.blob(name)
    blob.upload_from_string(b"words")
    address = urlsplit(sign(blob))
    # Unlike requests, http.client leaves dots and slashes of the path as they are.
    connection = http.client.HTTPConnection(address.netloc, timeout=PATIENCE)
    connection.request("GET", f"{address.path}?{address.query}")
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b"words")
    connection.close()


def test_order_of_parameters_does_not_matter(blob: storage.Blob, sign: Callable[..., str]) -> None:
    path, _, query = sign(blob).partition("?")
    assert requests.get(f"{path}?{'&'.join(reversed(query.split('&')))}", timeout=PATIENCE).content == CONTENT


def test_signed_generation_is_the_one_that_is_read(blob: storage.Blob, sign: Callable[..., str]) -> None:
    url = sign(blob, generation=blob.generation)
    assert requests.get(url, timeout=PATIENCE).content == CONTENT
    blob.upload_from_string(b"replaced")
    gone = requests.get(url, timeout=PATIENCE)
    assert (gone.status_code, error_code(gone)) == (404, "NoSuchKey")


def test_signed_headers_must_come_with_the_request(blob: storage.Blob, sign: Callable[..., str]) -> None:
    url = sign(blob, headers={"X-Goog-Note": "two   words"})
    assert requests.get(url, headers={"x-goog-note": "two words"}, timeout=PATIENCE).status_code == 200
    assert requests.get(url, headers={"x-goog-note": "others"}, timeout=PATIENCE).status_code == 403
    assert requests.get(url, timeout=PATIENCE).status_code == 403


def test_expired_url_is_refused(blob: storage.Blob, endpoint: str, private_key: rsa.RSAPrivateKey) -> None:
    url: str = generate_signed_url_v4(
        credentials_of(private_key),
        resource=f"/{blob.bucket.name}/calls/a%20b.mp3",
        expiration=60,
        api_access_endpoint=endpoint,
        _request_timestamp="20260101T000000Z",
    )
    response = requests.get(url, timeout=PATIENCE)
    assert (response.status_code, error_code(response)) == (400, "ExpiredToken")


def test_signature_of_another_key_is_refused(blob: storage.Blob, endpoint: str) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    url = blob.generate_signed_url(
        version="v4", expiration=HOUR, api_access_endpoint=endpoint, credentials=credentials_of(stranger)
    )
    response = requests.get(url, timeout=PATIENCE)
    assert (response.status_code, error_code(response)) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/calls/a%20b.mp3", "/calls/other.mp3"),
        ("X-Goog-Expires=3600", "X-Goog-Expires=604800"),
        ("X-Goog-Signature=", "generation=1&X-Goog-Signature="),
        ("job%40local", "admin%40local"),
        ("X-Goog-Signature=", "X-Goog-Signature=00"),
    ],
    ids=["path", "lifetime", "added parameter", "account", "signature"],
)
def test_altered_url_is_refused(blob: storage.Blob, sign: Callable[..., str], old: str, new: str) -> None:
    blob.bucket.blob("calls/other.mp3").upload_from_string(b"secret")
    url = sign(blob)
    assert old in url
    response = requests.get(url.replace(old, new), timeout=PATIENCE)
    assert (response.status_code, error_code(response)) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("X-Goog-Expires=3600", "X-Goog-Expires=0"),
        ("X-Goog-Expires=3600", "X-Goog-Expires=604801"),
        ("X-Goog-Date=", "X-Goog-Date=x"),
        ("GOOG4-RSA-SHA256", "GOOG4-HMAC-SHA256"),
        ("SignedHeaders=host", "SignedHeaders=date"),
        ("X-Goog-Signature=", "X-Goog-Signature=xyz"),
        ("X-Goog-Credential", "X-Goog-Other"),
    ],
    ids=["no time", "too long", "no date", "algorithm", "without host", "no hexadecimal", "no credential"],
)
def test_malformed_url_is_refused(blob: storage.Blob, sign: Callable[..., str], old: str, new: str) -> None:
    url = sign(blob)
    assert old in url
    assert requests.get(url.replace(old, new), timeout=PATIENCE).status_code == 400


def test_url_signed_for_one_method_is_not_good_for_another(blob: storage.Blob, sign: Callable[..., str]) -> None:
    assert requests.delete(sign(blob), timeout=PATIENCE).status_code == 403
    assert requests.get(sign(blob, method="DELETE"), timeout=PATIENCE).status_code == 403
    assert blob.exists()


def test_unsigned_url_is_refused(blob: storage.Blob, endpoint: str) -> None:
    response = requests.get(f"{endpoint}/{blob.bucket.name}/calls/a%20b.mp3", timeout=PATIENCE)
    assert (response.status_code, error_code(response)) == (403, "AccessDenied")


@pytest.mark.parametrize(
    ("bucket_name", "code"), [("no-such-bucket", "NoSuchBucket"), (None, "NoSuchKey")], ids=["bucket", "object"]
)
def test_what_is_not_there(
    client: storage.Client, bucket: storage.Bucket, sign: Callable[..., str], bucket_name: str | None, code: str
) -> None:
    missing = client.bucket(bucket_name or bucket.name).blob("<missing> & gone")
    response = requests.get(sign(missing), timeout=PATIENCE)
    assert (response.status_code, error_code(response)) == (404, code)


def test_server_without_a_key_honours_no_signature(
    tmp_path: Path, connect: Callable[[str], storage.Client], sign: Callable[..., str]
) -> None:
    with StorageServer(tmp_path) as keyless:
        blob = connect(keyless.url).create_bucket("uploads").blob("a")
        blob.upload_from_string(b"words")
        url = sign(blob)
        response = requests.get(keyless.url + url[url.index("/uploads") :], timeout=PATIENCE)
        assert (response.status_code, error_code(response)) == (403, "SignatureDoesNotMatch")


def test_only_rsa_keys_are_taken(tmp_path: Path) -> None:
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    with pytest.raises(TypeError):
        StorageServer(tmp_path, signing_key_pem=public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
