"""The receiver of docs/webhooks.md does what it is there for."""

from __future__ import annotations

import base64
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.clock import now
from shared.enums import Outcome
from shared.media import Upload
from shared.messages import TerminalMessage, event_id
from trigger_function.webhooks.deliver import webhook_body
from trigger_function.webhooks.signature import parse_secrets, signed_headers

PAGE = Path(__file__).parents[3] / "docs" / "webhooks.md"
UPLOAD = Upload(bucket="uploads", name="calls/ü.mp3", generation=1)


def test_it_takes_an_outcome_once_and_refuses_what_is_not_ours(capsys: pytest.CaptureFixture[str]) -> None:
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    receiver: dict[str, Any] = {}
    exec(found[1], receiver)
    client, secret = receiver["app"].test_client(), receiver["app"].config["SECRET"]
    at = now()
    outcome = TerminalMessage(
        event_id=event_id(UPLOAD.job_id),
        job_id=UPLOAD.job_id,
        upload=UPLOAD,
        outcome=Outcome.COMPLETED,
        results={"transcript.json": "gs://results/a"},
        received_at=at,
        finished_at=at,
    )
    body = webhook_body(outcome)
    ours = signed_headers(outcome.event_id, at, body, parse_secrets(secret))
    foreign = signed_headers(outcome.event_id, at, body, (b"1" * 32,))
    old = signed_headers(outcome.event_id, at - timedelta(hours=1), body, parse_secrets(secret))
    assert base64.b64decode(secret.removeprefix("whsec_")) in parse_secrets(secret)
    statuses = [client.post("/hook", data=body, headers=headers).status_code for headers in (foreign, old, ours, ours)]
    assert statuses == [401, 401, 204, 204]
    assert capsys.readouterr().out == "transcription.completed calls/ü.mp3 gs://results/a\n"
