"""Which answers of Cloud Storage are final, from its JSON, its XML and the plain text of downloads."""

from __future__ import annotations

import json

import pytest
from google.api_core.exceptions import Forbidden, GoogleAPICallError, NotFound

from shared.enums import Outcome
from shared.errors import FailureKind, Rejected
from shared.storage_errors import refusal, refusal_of
from tests.support.final_answers import FINAL_ANSWER_NAMES, FINAL_ANSWERS

XML = "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{}</Code><Message>No.</Message></Error>"


def as_json(status: int, message: str, reason: str = "invalid") -> str:
    errors = [{"message": message, "domain": "global", "reason": reason}]
    return json.dumps({"error": {"code": status, "message": message, "errors": errors}}, indent=1)


@pytest.mark.parametrize(("status", "message", "outcome", "kind", "reason"), FINAL_ANSWERS, ids=FINAL_ANSWER_NAMES)
@pytest.mark.parametrize("is_json", [True, False], ids=["json", "plain text"])
def test_a_final_answer_ends_the_job_with_its_reason(
    status: int, message: str, outcome: Outcome, kind: FailureKind, reason: str, is_json: bool
) -> None:
    found = refusal(status, as_json(status, message) if is_json else message)
    assert found is not None
    assert (isinstance(found, Rejected), found.kind, found.reason) == (outcome is Outcome.REJECTED, kind, reason)


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (400, "ResourceIsEncryptedWithCustomerEncryptionKey", "customer-supplied key"),
        (400, "UserProjectMissing", "requester pays"),
        (404, "NoSuchBucket", "bucket does not exist"),
        (404, "NoSuchKey", "deleted or replaced"),
    ],
)
def test_the_codes_of_the_xml_api_say_the_same(status: int, code: str, said: str) -> None:
    found = refusal(status, XML.format(code))
    assert found is not None
    assert said in found.reason


def test_the_reason_of_the_json_api_is_enough() -> None:
    found = refusal(400, as_json(400, "No.", "resourceIsEncryptedWithCustomerEncryptionKey"))
    assert isinstance(found, Rejected)


@pytest.mark.parametrize("status", [0, 308, 401, 408, 416, 429, 500, 501, 502, 503, 504])
def test_another_answer_may_be_another_next_time(status: int) -> None:
    assert refusal(status, as_json(status, "The specified bucket does not exist.")) is None


@pytest.mark.parametrize("reason", ["forbidden", "rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"])
def test_a_403_about_no_object_passes(reason: str) -> None:
    assert refusal(403, as_json(403, "job@p.iam.gserviceaccount.com has no access.", reason)) is None


@pytest.mark.parametrize("code", ["ResourceIsEncryptedWithCustomerEncryptionKey", "UserProjectMissing"])
def test_a_403_about_the_object_is_final_as_a_400_is(code: str) -> None:
    said = [found.reason for status in (400, 403) if (found := refusal(status, XML.format(code)))]
    assert len(said) == 2
    assert said[0] == said[1]


def test_an_error_without_an_answer_is_judged_by_its_class() -> None:
    assert isinstance(refusal_of(NotFound("x")), Rejected)
    assert refusal_of(Forbidden("x")) is None
    assert refusal_of(GoogleAPICallError("without a code")) is None
