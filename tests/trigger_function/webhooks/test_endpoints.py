"""Whom outcomes are posted to: of uploads' own URLs those alone that lead to an allowed origin."""

from __future__ import annotations

import pytest

from shared.enums import Outcome
from shared.errors import Rejected
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import LoopbackCloud
from trigger_function.handle_upload import handle
from trigger_function.webhooks.endpoints import MAX_ENDPOINTS, check_allowed, endpoint_id, endpoints, origin_of

ALLOWED = ("https://hooks.example.org", "https://other.example.org:8443/")


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.org/a?b=c",
        "https://HOOKS.example.org:443/",
        "https://other.example.org:8443",
    ],
)
def test_an_allowed_origin(url: str) -> None:
    check_allowed(url, ALLOWED)
    assert list(endpoints((), url, ALLOWED)) == [url]


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.org/",
        "https://hooks.example.org.evil.example/",
        "https://hooks.example.org@evil.example/",
        "https://hooks.example.org:444/",
        "https://hooks.example.org\\@evil.example/",
        "https://evil.example/?https://hooks.example.org",
        "https://[::1/",
        "https://hooks.example.org:x/",
        "file:///etc/passwd",
        "hooks.example.org",
        "",
    ],
)
def test_any_other_is_refused_and_posted_to_by_nobody(url: str) -> None:
    with pytest.raises(Rejected, match="transcribe-webhook"):
        check_allowed(url, ALLOWED)
    assert list(endpoints(("https://own.example/",), url, ALLOWED)) == ["https://own.example/"]


def test_without_a_list_nothing_is_allowed() -> None:
    with pytest.raises(Rejected, match="WEBHOOK_ALLOWED_ORIGINS is not set"):
        check_allowed("https://hooks.example.org/", ())
    # An entry that is no origin allows nothing, not everything without one.
    with pytest.raises(Rejected):
        check_allowed("nonsense", ("nonsense",))


def test_each_url_once_and_no_more_than_can_be_posted_to_at_once() -> None:
    own = tuple(f"https://own.example/{number}" for number in range(MAX_ENDPOINTS + 5))
    assert len(list(endpoints(own, None, ALLOWED))) == MAX_ENDPOINTS
    assert list(endpoints(own, "https://hooks.example.org/a", ALLOWED))[MAX_ENDPOINTS:] == [
        "https://hooks.example.org/a"
    ]
    assert list(endpoints(own[:1] * 2, own[0], ("https://own.example",))) == [own[0]]


def test_a_url_is_named_without_what_may_be_secret_in_it() -> None:
    url = "https://hooks.example.org/T0KEN?key=S3CRET"
    assert origin_of(url) == "https://hooks.example.org"
    assert "T0KEN" not in endpoint_id(url)
    assert endpoint_id(url) != endpoint_id(f"{url}x")


def test_that_a_file_is_rejected_is_posted_to_where_it_asks_for_it(
    cloud: LoopbackCloud, make_services: MakeServices
) -> None:
    services = make_services(WEBHOOK_ALLOWED_ORIGINS="https://hooks.example.org")
    for url, kept in (("https://hooks.example.org/a", "https://hooks.example.org/a"), ("https://evil.example/", None)):
        upload = cloud.drop(b"no recording", "call.mp3", {"transcribe-webhook": url})
        handle(services, upload)
        (outcome,) = cloud.terminal_messages()
        job = services.jobs.load(upload.job_id)
        assert job is not None
        assert (outcome.outcome, job.record.options.webhook) == (Outcome.REJECTED, kept)
        assert url not in outcome.model_dump_json()
