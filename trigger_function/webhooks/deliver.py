"""Delivery: each outcome is posted to each of its endpoints until that takes it, for a day.

Pub/Sub pushes an outcome, and pushes it again, 10 s to 10 min later, as long as it is not answered with a 2xx; so what
a function that is killed had not posted is posted then. The outcome stands before it is published, and nothing here
changes it.

    what the endpoint answers                  what becomes of it
    2xx                                        done
    410                                        done, and nothing is posted there for a day
    anything else, redirects too, or nothing   tried again, until WEBHOOK_RETRY_HOURS after the outcome was published
    (a URL that leads to no public address)    refused, and not tried again

A 4xx may pass as well as a 5xx does: a receiver that is deployed anew answers 404, one with an old secret 401.
An outcome may be posted twice, where this process ends between answer and note; `webhook-id` is the outcome's event_id.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from shared.clock import now
from shared.errors import best_effort
from shared.messages import TerminalMessage
from shared.options.model import UploadOptions, WebhookBody
from shared.public_http.client import Limits, PublicHttp
from shared.public_http.errors import RequestFailed, UrlRefused
from shared.state.jobs.store import JobStore
from shared.state.result_files import ResultFiles
from shared.telemetry.logs import job_context
from shared.transcript.deepgram_json import to_deepgram
from trigger_function.webhooks.delivered import Delivered
from trigger_function.webhooks.endpoints import endpoint_id, endpoints, origin_of
from trigger_function.webhooks.signature import signed_headers

_log = logging.getLogger(__name__)

GONE = 410


class Delivery(Enum):
    """What became of one outcome at one endpoint."""

    DONE = "done"
    """Now, or before: by an earlier push."""
    REFUSED = "refused"
    """For good."""
    AGAIN = "again"


@dataclass(frozen=True)
class WebhookRules:
    """Whom outcomes are posted to, and how."""

    urls: tuple[str, ...]
    """Of every outcome."""
    origins: tuple[str, ...]
    """That uploads may name a URL of."""
    secrets: tuple[bytes, ...]
    """Each signs."""
    timeout_seconds: float
    """Of one attempt, name server and handshakes included."""
    retry_hours: float


@dataclass(frozen=True)
class Webhooks:
    """What delivers them. Used from any thread."""

    rules: WebhookRules
    jobs: JobStore
    delivered: Delivered
    http: PublicHttp
    results: ResultFiles

    def deliver(self, outcome: TerminalMessage, published_at: datetime) -> bool:
        """Post an outcome to whom has not taken it yet; False where it is to be pushed again.

        Raises what the storage client raises: then it is to be pushed again, too."""
        with job_context(outcome.job_id):
            requested = self._requested(outcome)
            urls = tuple(endpoints(self.rules.urls, requested.webhook if requested else None, self.rules.origins))
            if not urls:
                return True
            bodies = dict.fromkeys(urls, webhook_body(outcome))
            if requested and requested.webhook in bodies and requested.webhook_body is WebhookBody.DEEPGRAM:
                bodies[requested.webhook] = self._deepgram_body(outcome)
            with ThreadPoolExecutor(len(urls), thread_name_prefix="webhook") as threads:
                deliveries = list(threads.map(lambda url: self._deliver(outcome, url, bodies[url]), urls))
            left = [url for url, delivery in zip(urls, deliveries, strict=True) if delivery is Delivery.AGAIN]
            if left and now() - published_at > timedelta(hours=self.rules.retry_hours):
                self._given_up(left)
                return True
            return not left

    def _requested(self, outcome: TerminalMessage) -> UploadOptions | None:
        """What the upload asks for, where any may ask for a URL."""
        job = self.jobs.find(outcome.job_id) if self.rules.origins else None
        return job.record.options if job is not None else None

    def _deepgram_body(self, outcome: TerminalMessage) -> bytes:
        """What Deepgram's callbacks have: all of the transcript, with punctuation, paragraphs and utterances."""
        transcript = self.results.stored_transcript(outcome.upload, outcome.run)
        if transcript is None:
            reason = outcome.reason or "There is no transcript."
            content = {"err_code": outcome.outcome.value.upper(), "err_msg": reason, "request_id": outcome.job_id}
        else:
            content = to_deepgram(transcript)
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()

    def _deliver(self, outcome: TerminalMessage, url: str, body: bytes) -> Delivery:
        with job_context(outcome.job_id):
            if self.delivered.is_done(outcome, url) or self.delivered.is_gone(url):
                return Delivery.DONE
            said = {"endpoint": endpoint_id(url), "origin": origin_of(url)}
            headers = signed_headers(outcome.event_id, now(), body, self.rules.secrets)
            try:
                status = self.http.post(
                    url,
                    body,
                    {"Content-Type": "application/json", **headers},
                    Limits(total_seconds=self.rules.timeout_seconds),
                ).status
            except UrlRefused as error:
                _log.error("a webhook's URL is refused", extra={"fields": {**said, "reason": error.reason}})
                self._note(outcome, url, 0)
                return Delivery.REFUSED
            except RequestFailed as error:
                _log.warning("a webhook was not delivered", extra={"fields": {**said, "reason": error.reason}})
                return Delivery.AGAIN
            if status == GONE:
                _log.warning("a webhook's endpoint is gone", extra={"fields": said})
                with best_effort("that a webhook's endpoint is gone was not written down"):
                    self.delivered.gone(url, status)
            elif not 200 <= status < 300:
                _log.warning("a webhook was not delivered", extra={"fields": {**said, "status": status}})
                return Delivery.AGAIN
            else:
                _log.info("webhook delivered", extra={"fields": {**said, "status": status}})
            self._note(outcome, url, status)
            return Delivery.DONE

    def _note(self, outcome: TerminalMessage, url: str, status: int) -> None:
        # Else it is posted once more, which its receiver knows by its id.
        with best_effort("that a webhook was delivered was not written down"):
            self.delivered.done(outcome, url, status)

    def _given_up(self, urls: Collection[str]) -> None:
        for url in urls:
            _log.error(
                "a webhook is given up",
                extra={"fields": {"endpoint": endpoint_id(url), "origin": origin_of(url)}},
            )


def webhook_body(outcome: TerminalMessage) -> bytes:
    """`{"type": "transcription.completed", "timestamp": ..., "data": {the terminal message}}`, the same bytes for every
    attempt."""
    content = {
        "type": f"transcription.{outcome.outcome}",
        "timestamp": outcome.finished_at.isoformat(),
        "data": outcome.model_dump(mode="json"),
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
