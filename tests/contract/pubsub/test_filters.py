"""The language of subscription filters, after the examples of Google's documentation."""

from __future__ import annotations

import pytest

from infra.emulators.pubsub.errors import InvalidArgumentError
from infra.emulators.pubsub.filters import parse_filter

EVENT = {"domain": "com", "region": "eu-west1", "iana.org/language_tag": "en", "quote": 'say "\\"'}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "attributes:domain",
        "NOT attributes:missing",
        "-attributes:missing",
        "NOT NOT attributes:domain",
        'attributes.domain = "com"',
        'attributes.domain="com"',
        'attributes.domain != "org"',
        'attributes.missing != "com"',
        'hasPrefix(attributes.region, "eu-")',
        'attributes:"iana.org/language_tag"',
        'attributes."iana.org/language_tag" = "en"',
        r'attributes.quote = "say \"\\\""',
        'attributes:domain AND attributes.region = "eu-west1" AND NOT attributes:missing',
        'attributes:missing OR attributes.domain = "org" OR attributes:region',
        'attributes:domain AND (attributes:missing OR hasPrefix(attributes.region, "eu"))',
        'NOT (attributes:domain AND attributes.domain = "org")',
    ],
)
def test_filters_that_let_the_event_through(text: str) -> None:
    assert parse_filter(text)(EVENT)


@pytest.mark.parametrize(
    "text",
    [
        "attributes:missing",
        "attributes:Domain",
        "NOT attributes:domain",
        'attributes.domain = "Com"',
        'attributes.missing = ""',
        'attributes.domain != "com"',
        'hasPrefix(attributes.region, "us-")',
        'hasPrefix(attributes.missing, "")',
        "attributes:domain AND attributes:missing",
        "attributes:missing OR NOT attributes:domain",
        "NOT attributes:domain AND attributes:missing",
    ],
)
def test_filters_that_keep_the_event_back(text: str) -> None:
    assert not parse_filter(text)(EVENT)


@pytest.mark.parametrize(
    "text",
    [
        "domain",
        "attributes",
        "attributes:",
        "attributes.domain",
        "attributes.domain = com",
        "attributes.domain = 'com'",
        'attributes.domain = "com',
        'attributes.domain == "com"',
        'attributes.domain < "com"',
        'attributes.my key = "x"',
        r'attributes.domain = "\u0063om"',
        "attributes:a and attributes:b",
        "attributes:a attributes:b",
        "attributes:a AND",
        "AND attributes:a",
        "attributes:a AND attributes:b OR attributes:c",
        "(attributes:a",
        "attributes:a)",
        "()",
        'hasPrefix(attributes:region, "eu")',
        "hasPrefix(attributes.region)",
        'hasSuffix(attributes.region, "1")',
        'data = "x"',
        "attributes:" + "a" * 250,
    ],
)
def test_filters_that_are_not_understood_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        parse_filter(text)
