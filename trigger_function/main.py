"""Entry points of the function: an upload's event, the reconciler's tick, Deepgram's callback, and the HTTP API."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import flask
import functions_framework
from cloudevents.http import CloudEvent
from google.auth.exceptions import DefaultCredentialsError
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException, InternalServerError

from shared.costs.prices import UnusablePriceBook
from shared.errors import best_effort, first_line, validation_message
from shared.media import Upload
from shared.telemetry import export, tracing
from shared.telemetry.logs import job_context
from trigger_function.callback.receive import receive
from trigger_function.handle_upload import handle
from trigger_function.reconciler.erasures import finish_erasures
from trigger_function.reconciler.open_jobs import reconcile_all
from trigger_function.reconciler.sweep import sweep
from trigger_function.services import Services, services_from_environment

_log = logging.getLogger(__name__)

SWEEP_ENDS_SECONDS = 180.0
"""Of a tick, after which no upload is begun with: one may take DEEPGRAM_TIMEOUT_SECONDS, and the function has 540 s."""


ERASURES_END_SECONDS = 240.0
"""Of a tick, after which no erasure is gone on with: one takes seconds."""


@functions_framework.cloud_event
def on_upload(event: CloudEvent) -> None:
    """Handle one `google.cloud.storage.object.v1.finalized` event.

    Returning acknowledges it; an exception has it delivered again. So what can never succeed is logged and swallowed.
    """
    services = _services()
    upload = _upload(event)
    if upload is None:
        return
    with job_context(upload.job_id):
        if (why := _ignored(services, upload)) is not None:
            _log.info("ignored", extra={"fields": {"upload": upload.uri, "why": why}})
            return
        try:
            with tracing.span("upload", parent=_incoming(), kind=SpanKind.CONSUMER, job_id=upload.job_id):
                handle(services, upload)
        except Exception as error:
            # Logged here, with the job's id, and not once more by the framework.
            _log.exception("the event will be delivered again")
            raise InternalServerError(original_exception=error) from error
        finally:
            # Cloud Run may give this process no CPU until the next event.
            services.late_answers.wait()
            services.events.flush()
            export.flush()


@functions_framework.http
def reconcile(_: flask.Request) -> Mapping[str, int]:
    """Bring every job forward that is not terminal and has gone quiet, and now and then look for uploads whose event
    was lost. A scheduler calls this."""
    services, began = _services(), time.monotonic()
    try:
        done = reconcile_all(services)
        left_seconds = SWEEP_ENDS_SECONDS - (time.monotonic() - began)
        with best_effort("uploads without a job were not looked for"):
            if left_seconds > 0 and (found := sweep(services, left_seconds)):
                done = {**done, "found": found}
        with best_effort("erasures did not go on"):
            if erased := finish_erasures(services, ERASURES_END_SECONDS - (time.monotonic() - began)):
                done = {**done, "erased": erased}
        return done
    finally:
        services.late_answers.wait()
        services.events.flush()
        export.flush()


@functions_framework.http
def deepgram_callback(request: flask.Request) -> flask.Response:
    """Take an answer that Deepgram posts. Open to the internet: `callback/receive.py` says what is taken."""
    services = _services()
    try:
        received = receive(services, request)
    except Exception as error:
        _log.exception("the callback is to be posted again")
        raise InternalServerError(original_exception=error) from error
    finally:
        services.events.flush()
        export.flush()
    # As a stream: behind any other answer functions-framework reads the body, a forged one's too.
    return flask.Response(iter([f"{received.what}\n"]), received.status, mimetype="text/plain")


@functions_framework.http
def webhook(request: flask.Request) -> flask.Response:
    """Post an outcome that Pub/Sub pushes: `webhooks/deliver.py` says to whom, and what is tried again."""
    # Here, for no other entry point sends requests to addresses that somebody else gave.
    from trigger_function.webhooks.answer import answer_push
    from trigger_function.webhooks.from_settings import webhooks_from_environment
    from trigger_function.webhooks.signature import BadSecret

    try:
        with _settings_errors_logged():
            webhooks = webhooks_from_environment()
        return answer_push(webhooks, request)
    except BadSecret as error:
        _log.error(first_line(error))
        raise InternalServerError(original_exception=error) from error
    finally:
        export.flush()


@functions_framework.http
def api(request: flask.Request) -> flask.Response:
    """Answer a request to the HTTP API: `api/routes.py` lists what it takes."""
    # Here, for no other entry point needs any of it.
    from trigger_function.api.app import problem_of, respond
    from trigger_function.api.services import api_services_from_environment

    try:
        with _settings_errors_logged():
            services = api_services_from_environment()
        return respond(services, request)
    except InternalServerError as error:
        return problem_of(error)
    finally:
        export.flush()


def _prepare_api() -> None:
    """Where the process serves the API: load it before the first request, and answer as it does what Flask refuses."""
    if not flask.has_app_context() or flask.current_app.name != api.__name__:
        return
    from trigger_function.api.app import problem_of

    flask.current_app.register_error_handler(HTTPException, problem_of)
    # Else `//` is redirected, whatever the method.
    flask.current_app.url_map.merge_slashes = False


_prepare_api()


def _services() -> Services:
    with _settings_errors_logged():
        return services_from_environment()


@contextmanager
def _settings_errors_logged() -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        # Logged here, by the setting's name, and not once more by the framework.
        _log.error(validation_message(error))
        raise InternalServerError(original_exception=error) from error
    except (UnusablePriceBook, DefaultCredentialsError) as error:
        _log.error(first_line(error))
        raise InternalServerError(original_exception=error) from error


def _incoming() -> Context:
    """The span of Cloud Run's own that brought the event, by its header."""
    return tracing.context_of(flask.request.headers.get(tracing.TRACEPARENT) if flask.has_request_context() else None)


def _upload(event: CloudEvent) -> Upload | None:
    data: Any = event.data
    if event["type"] != "google.cloud.storage.object.v1.finalized" or not isinstance(data, Mapping):
        _log.error("not an upload event", extra={"fields": {"type": event["type"], "event": event["id"]}})
        return None
    try:
        return Upload.model_validate({key: data.get(key) for key in ("bucket", "name", "generation")})
    except ValidationError as error:
        _log.error("malformed event", extra={"fields": {"event": event["id"], "errors": str(error)}})
        return None


def _ignored(services: Services, upload: Upload) -> str | None:
    settings = services.settings
    if upload.bucket == settings.state_bucket:
        return "state bucket"
    folder = settings.results_prefix.strip("/")
    if upload.bucket == settings.results_bucket and (not folder or upload.name.startswith(f"{folder}/")):
        return "result"
    return settings.ignores(upload.name)
