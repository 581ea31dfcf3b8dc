"""Signatures are those of Standard Webhooks, by its own library."""

from __future__ import annotations

import base64

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from shared.clock import now
from trigger_function.webhooks.signature import BadSecret, parse_secrets, signed_headers

OLD, NEW, FOREIGN = (f"whsec_{base64.b64encode(bytes([number]) * 24).decode()}" for number in (1, 2, 3))
BODY = '{"type":"transcription.completed","data":{"name":"ü.mp3"}}'


@pytest.mark.parametrize("receivers", [OLD, NEW])
def test_while_a_secret_is_replaced_a_receiver_may_have_either(receivers: str) -> None:
    headers = signed_headers("job-terminal", now(), BODY.encode(), parse_secrets(f"{OLD}, {NEW}"))
    assert Webhook(receivers).verify(BODY.encode(), headers)["type"] == "transcription.completed"


def test_another_secret_body_or_id_is_refused() -> None:
    headers = signed_headers("job-terminal", now(), BODY.encode(), parse_secrets(NEW))
    for secret, body, changed in (
        (FOREIGN, BODY, {}),
        (NEW, BODY.replace("completed", "failed"), {}),
        (NEW, BODY, {"webhook-id": "another"}),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body.encode(), {**headers, **changed})


@pytest.mark.parametrize("text", ["whsec_", "whsec_!!!", "whsec_c2hvcnQ=", f"{OLD},ü", "whsec_" + "A" * 100])
def test_what_is_no_secret_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(BadSecret) as refused:
        parse_secrets(text)
    assert text.removeprefix("whsec_")[:8] not in str(refused.value) or text == "whsec_"
