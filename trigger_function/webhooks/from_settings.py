"""Webhooks as the settings have them."""

from __future__ import annotations

from functools import lru_cache

from shared.public_http.client import PublicHttp
from shared.state.result_files import ResultFiles
from trigger_function.services import Services, services_from_environment
from trigger_function.webhooks.deliver import WebhookRules, Webhooks
from trigger_function.webhooks.delivered import Delivered
from trigger_function.webhooks.signature import BadSecret, parse_secrets


@lru_cache(maxsize=1)
def webhooks_from_environment() -> Webhooks:
    """Those of this process. Raises as `services_from_environment` and `webhooks_of` do."""
    return webhooks_of(services_from_environment())


def webhooks_of(services: Services) -> Webhooks:
    """Raises BadSecret, also where there is none: what nobody can check is not posted."""
    settings = services.settings
    secrets = parse_secrets(settings.webhook_secrets.get_secret_value() if settings.webhook_secrets else "")
    if not secrets:
        raise BadSecret("WEBHOOK_SECRETS is not set")
    rules = WebhookRules(
        urls=settings.webhook_urls,
        origins=settings.webhook_allowed_origins,
        secrets=secrets,
        timeout_seconds=settings.webhook_timeout_seconds,
        retry_hours=settings.webhook_retry_hours,
    )
    results = ResultFiles(services.storage.bucket(settings.results_bucket), settings.results_prefix)
    return Webhooks(rules, services.jobs, Delivered(services.state), PublicHttp(), results)
