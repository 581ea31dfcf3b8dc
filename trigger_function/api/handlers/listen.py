"""POST /v1/listen: Deepgram's pre-recorded audio, for clients that speak it already."""

from __future__ import annotations

from http import HTTPStatus

from shared.media import Upload
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


def listen(call: Call) -> Answer:
    """Take a recording or a URL, wait for its transcript, answer as it was asked for; 202 where it takes too long."""
    services = call.services
    query = dict(call.request.args.lists())
    asked = parse_parameters(query, services.deployment.settings)
    if asked.callback is not None:
        refuse("callback", "callback is not supported here.")
    within_budget(services, call.caller)
    upload = accept(call, _from_url(call, asked) if call.request.mimetype == JSON else _from_body(call, asked))
    # Deepgram's clients send again what is answered with 500 or more.
    found = finished(services, upload, HTTPStatus.BAD_REQUEST)
    if found is None:
        return pending_answer(upload, asked.ignored, {"request_id": upload.job_id})
    answer = to_deepgram_answer(found.transcript, found.outcome, asked)
    return Answer(HTTPStatus.OK, answer, answer_headers(found.outcome, asked.ignored))


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
