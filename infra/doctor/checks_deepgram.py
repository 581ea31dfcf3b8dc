"""Checks of Deepgram: its key is there, may be used, and is taken; what takes its callbacks can be called by it."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterator
from http import HTTPStatus

import requests

from infra.doctor.context import Context
from infra.doctor.findings import Finding, fail, ok, unknown, warn
from infra.doctor.google import Missing, Unanswered
from infra.doctor.resources import SecretAccess, SecretVariable, SecretVersion

VARIABLE = "DEEPGRAM_API_KEY"
CALLBACK_URL = "DEEPGRAM_CALLBACK_URL"
RENEW = "Make a new one at https://console.deepgram.com and add it to the secret."

_SECRETS = "secretmanager.googleapis.com"


def key(context: Context) -> Iterator[Finding]:
    """Before a deployment the environment's key is tried, after it the secret's."""
    if not context.deployed:
        given = context.settings.deepgram_api_key
        if given is None:
            how = f"Optional: {VARIABLE} in the environment is tried here before it is added to the secret."
            yield ok("Deepgram key", f"None to try. {how}")
        else:
            yield _tried(given.get_secret_value(), context)
        return
    used = _variable(context)
    if used is None:
        add = f"gcloud secrets versions add {context.names.secret} --project={context.names.project} --data-file=-"
        says = "Deepgram is not enabled: only the job transcribes."
        yield warn("Deepgram key", says, f"{add}, then deepgram = {{ enabled = true }}")
        return
    yield _stored(context, used)


def callbacks(context: Context) -> Iterator[Finding]:
    """Anybody reaches the function that takes callbacks, as Deepgram has to: it says of a GET that only POST is taken.

    Where IAM refuses to call it, no request gets so far.
    """
    subject = "Deepgram's callbacks"
    url = context.function("upload").service_config.environment_variables.get(CALLBACK_URL)
    if not url:
        yield ok(subject, "None: every answer is waited for.")
        return
    name = context.names.function("callback")
    where = f"--region={context.names.region} --project={context.names.project}"
    try:
        answer = requests.get(url, timeout=context.settings.doctor_timeout_seconds, allow_redirects=False)
    except requests.RequestException as error:
        yield unknown(subject, f"{name} was not reached from here ({type(error).__name__}).", "Try again.")
        return
    if answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        yield ok(subject, f"{name} can be called by Deepgram.")
    elif answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        says = f"{name} is not public ({answer.status_code}): Deepgram's answers about long audio are lost."
        yield fail(
            subject,
            says,
            f"gcloud run services add-iam-policy-binding {name} {where} --member=allUsers"
            " --role=roles/run.invoker; where the organization forbids that: deepgram = { callbacks = false }",
        )
    else:
        says = f"{name} answers {answer.status_code} at the address that Deepgram is given."
        yield fail(subject, says, f"gcloud functions logs read {name} {where}; then: {context.names.make('deploy')}")


def _variable(context: Context) -> SecretVariable | None:
    """Where the function has its key from; None where it has none."""
    given = context.function("upload").service_config.secret_environment_variables
    return next((one for one in given if one.key == VARIABLE), None)


def _stored(context: Context, used: SecretVariable) -> Finding:
    name = f"v1/projects/{context.names.project}/secrets/{used.secret}/versions/{used.version or 'latest'}"
    add = f"gcloud secrets versions add {used.secret} --project={context.names.project} --data-file=-"
    try:
        version = context.google.get(SecretVersion, _SECRETS, name)
    except Missing:
        return fail("Deepgram key", f"The secret {used.secret} has no version {used.version or 'latest'}.", add)
    if version.state != "ENABLED":
        return fail("Deepgram key", f"Version {version.name.rpartition('/')[2]} is {version.state.lower()}.", add)
    try:
        held = context.google.get(SecretAccess, _SECRETS, f"{name}:access").payload.data
        secret = b64decode(held, validate=True).decode()
    except Unanswered as error:
        needs = "Trying it takes roles/secretmanager.secretAccessor on the secret."
        return unknown("Deepgram key", f"It is enabled, but could not be tried: {error.says}", needs)
    except (binascii.Error, UnicodeDecodeError):
        return fail("Deepgram key", "The secret holds no text.", add)
    return _tried(secret, context)


def _tried(secret: str, context: Context) -> Finding:
    """What Deepgram says of a key: `GET /v1/auth/token`, the test request of its documentation on authenticating."""
    secret = secret.strip()
    if not (secret.isascii() and secret.isprintable() and secret):
        return fail("Deepgram key", "It is no key: empty, or with characters that no key has.", RENEW)
    url = f"{context.settings.deepgram_base_url.rstrip('/')}/v1/auth/token"
    try:
        answer = requests.get(
            url, headers={"Authorization": f"Token {secret}"}, timeout=context.settings.doctor_timeout_seconds
        )
    except requests.RequestException as error:
        return unknown("Deepgram key", f"Deepgram was not reached ({type(error).__name__}).", "Try again.")
    if answer.ok:
        return ok("Deepgram key", "Deepgram takes it.")
    if answer.status_code in (401, 403):
        return fail("Deepgram key", f"Deepgram refuses it ({answer.status_code}).", RENEW)
    return unknown("Deepgram key", f"Deepgram answered {answer.status_code}.", "Try again.")
