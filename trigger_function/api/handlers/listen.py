"""POST /v1/listen: Deepgram's pre-recorded audio, for clients that speak it already."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus

from shared.errors import Rejected
from shared.media import Upload
from shared.options.model import UploadOptions, WebhookBody
from trigger_function.api.compatible.awaited import (
    answer_headers,
    check_length,
    finished,
    pending_answer,
    recording_blocks,
    token_of,
)
from trigger_function.api.compatible.deepgram_answer import to_deepgram_answer
from trigger_function.api.compatible.deepgram_request import DeepgramRequest, UrlBody, parse_parameters
from trigger_function.api.compatible.requested import refuse
from trigger_function.api.submissions.accepted import accept
from trigger_function.api.submissions.fetched import fetch
from trigger_function.api.submissions.key_budget import within_budget
from trigger_function.api.submissions.new_upload import NewUpload, media_type, new_upload
from trigger_function.api.submissions.streamed import StreamedRecording
from trigger_function.api.web.answers import JSON, Answer
from trigger_function.api.web.call import Call
from trigger_function.webhooks.endpoints import check_allowed


def listen(call: Call) -> Answer:
    """Take a recording or a URL, wait for its transcript, answer as it was asked for; 202 where it takes too long.

    With a `callback` nobody waits: the transcript is posted there, as webhooks are.
    """
    services = call.services
    query = dict(call.request.args.lists())
    asked = parse_parameters(query, services.deployment.settings)
    if asked.callback is not None:
        asked = replace(asked, options=_with_callback(call, asked))
    within_budget(services, call.caller)
    upload = accept(call, _from_url(call, asked) if call.request.mimetype == JSON else _from_body(call, asked))
    if asked.callback is not None:
        headers = answer_headers(upload, asked.ignored)
        return Answer(HTTPStatus.OK, {"request_id": upload.job_id}, headers)
    # Deepgram's clients send again what is answered with 500 or more.
    found = finished(services, upload, HTTPStatus.BAD_REQUEST, call.began)
    if found is None:
        return pending_answer(upload, asked.ignored, {"request_id": upload.job_id})
    answer = to_deepgram_answer(found.transcript, found.outcome, asked)
    return Answer(HTTPStatus.OK, answer, answer_headers(upload, asked.ignored, found.outcome))


def _with_callback(call: Call, asked: DeepgramRequest) -> UploadOptions:
    assert asked.callback is not None
    try:
        check_allowed(asked.callback, call.services.deployment.settings.webhook_allowed_origins)
    except Rejected:
        refuse("callback", "The callback leads where nothing may be posted to (WEBHOOK_ALLOWED_ORIGINS).")
    return asked.options.model_copy(update={"webhook": asked.callback, "webhook_body": WebhookBody.DEEPGRAM})


def _from_url(call: Call, asked: DeepgramRequest) -> Upload:
    url = call.json(UrlBody).url
    return fetch(call.services, call.caller, token_of(call, url), url, options=asked.options)


def _from_body(call: Call, asked: DeepgramRequest) -> Upload:
    """Whatever its type is said to be: inspection looks for itself."""
    services, token = call.services, token_of(call)
    check_length(call)

    def described() -> NewUpload:
        content_type = media_type(call.request.mimetype)
        return new_upload(
            services, call.caller, token, name=None, folder=None, options=asked.options, content_type=content_type
        )

    with StreamedRecording(services, described) as recording:
        for block in recording_blocks(call):
            recording.write(block)
        if recording.size == 0:
            refuse("body", "The body has neither audio nor a URL.")
        return recording.finish()
