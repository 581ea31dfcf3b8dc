"""The webhook function of the laptop, for functions-framework: receivers on this machine are reached, over http, too.

All else is a deployment's own: this file is none of it, so that no setting can open a deployment's network.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_address

import flask
import functions_framework

from shared.public_http.client import PublicHttp, TestingAccess
from shared.public_http.urls import UrlRules
from trigger_function.services import services_from_environment
from trigger_function.webhooks.answer import answer_push
from trigger_function.webhooks.deliver import Webhooks
from trigger_function.webhooks.from_settings import webhooks_of

_THIS_MACHINE = TestingAccess(
    rules=UrlRules(schemes=frozenset({"https", "http"}), ports=None),
    also_allowed=frozenset({ip_address("127.0.0.1"), ip_address("::1")}),
)


@lru_cache(maxsize=1)
def _webhooks() -> Webhooks:
    return replace(webhooks_of(services_from_environment()), http=PublicHttp(_THIS_MACHINE))


@functions_framework.http
def webhook(request: flask.Request) -> flask.Response:
    """Post one pushed outcome to whom it is for."""
    return answer_push(_webhooks(), request)
