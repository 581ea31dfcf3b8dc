"""Key terms of uploads: from metadata, and from lists in the bucket, which are no uploads themselves."""

from __future__ import annotations

import gzip

import pytest

from infra.recordings import recording
from shared.keyterms.terms import MOST_FILE_BYTES, parse_keyterms
from shared.options.metadata_keys import KEYTERMS_FILE_METADATA, KEYTERMS_METADATA
from tests.support.loopback_cloud import UPLOADS, LoopbackCloud
from trigger_function.handle_upload import handle
from trigger_function.services import Services

AUDIO = recording("call.opus").path.read_bytes()
LIST = "lists/ward.keyterms.txt"


def put_list(services: Services, content: bytes, name: str = LIST) -> None:
    services.storage.bucket(UPLOADS).blob(name).upload_from_string(content)


def test_terms_of_metadata_and_of_a_list_come_together(cloud: LoopbackCloud, services: Services) -> None:
    put_list(services, "# ward\nÅngström:2\nCloud Run:3\n".encode())
    metadata = {KEYTERMS_METADATA: "Cloud Run; Parakeet", KEYTERMS_FILE_METADATA: LIST}
    handle(services, cloud.drop(AUDIO, metadata=metadata))
    (item,) = cloud.work_items()
    assert item.options.keyterms == parse_keyterms("Cloud Run:3; Parakeet; Ångström:2")


def test_an_empty_list_is_one(cloud: LoopbackCloud, services: Services) -> None:
    put_list(services, b"")
    handle(services, cloud.drop(AUDIO, metadata={KEYTERMS_FILE_METADATA: LIST}))
    (item,) = cloud.work_items()
    assert item.options.keyterms == ()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "is not in the upload's bucket"),
        (b"a\nb;c\n", "line 2"),
        (b"x\n" * MOST_FILE_BYTES, "longer than 64 KiB"),
        (gzip.compress(b"a\n" * 10**6), "UTF-8"),
        ("\n".join(f"w{number}" for number in range(150)).encode(), "more than 200"),
    ],
)
def test_a_list_that_cannot_be_used_rejects_the_upload(
    cloud: LoopbackCloud, services: Services, content: bytes | None, why: str
) -> None:
    if content is not None:
        put_list(services, content)
    own = "; ".join(f"v{number}" for number in range(60))
    handle(services, cloud.drop(AUDIO, metadata={KEYTERMS_METADATA: own, KEYTERMS_FILE_METADATA: LIST}))
    (message,) = cloud.terminal_messages()
    assert message.reason is not None
    assert why in message.reason
    assert LIST in message.reason


@pytest.mark.parametrize(
    ("key", "value"),
    [(KEYTERMS_METADATA, "x:9"), (KEYTERMS_FILE_METADATA, "a.mp3"), (KEYTERMS_FILE_METADATA, "a\nkeyterms.txt")],
)
def test_metadata_that_cannot_be_used_is_named(cloud: LoopbackCloud, services: Services, key: str, value: str) -> None:
    handle(services, cloud.drop(AUDIO, metadata={key: value}))
    (message,) = cloud.terminal_messages()
    assert key in (message.reason or "")


def test_lists_are_no_uploads(services: Services) -> None:
    assert services.settings.ignores(LIST) == "list of key terms"
    assert services.settings.ignores("lists/ward.txt") is None
