"""POST /v1/audio/transcriptions: OpenAI's transcriptions, for clients that speak them already."""

from __future__ import annotations

from http import HTTPStatus

from shared import objects
from shared.enums import ResultFormat
from shared.media import Upload
from shared.options.model import UploadOptions
from shared.options.subtitle_rules import SubtitleRules
from shared.transcript.render import rendered
from trigger_function.api.compatible.awaited import (
    Finished,
    answer_headers,
    check_length,
    finished,
    pending_answer,
    recording_blocks,
    token_of,
)
from trigger_function.api.compatible.form import Form, boundary_of, read_form
from trigger_function.api.compatible.openai_answer import to_openai, to_openai_diarized, to_openai_verbose
from trigger_function.api.compatible.openai_request import Format, OpenAiRequest, options_of_fields, parse_request
from trigger_function.api.compatible.requested import refuse
from trigger_function.api.services import ApiServices
from trigger_function.api.submissions.accepted import accept
from trigger_function.api.submissions.key_budget import within_budget
from trigger_function.api.submissions.new_upload import NewUpload, media_type, new_upload
from trigger_function.api.submissions.recording_name import usable_name
from trigger_function.api.submissions.streamed import StreamedRecording, fields_after_file
from trigger_function.api.web.answers import Answer
from trigger_function.api.web.call import Call
from trigger_function.api.web.problems import Problem

TEXT = "text/plain; charset=utf-8"

_FILES = {Format.SRT: ResultFormat.SRT, Format.VTT: ResultFormat.VTT}
"""Results that are answered as they are stored, where they are."""


def transcriptions(call: Call) -> Answer:
    """Take a file, wait for its transcript, answer in the format that was asked for; 202 where it takes too long."""
    services, boundary, token = call.services, boundary_of(call.request), token_of(call)
    check_length(call)
    within_budget(services, call.caller)
    form = Form()
    begun_with: list[UploadOptions] = []

    def described() -> NewUpload:
        begun_with.append(options_of_fields(form.fields, services.deployment.settings))
        return new_upload(
            services,
            call.caller,
            token,
            name=usable_name(services.deployment.settings, form.file_name),
            folder=None,
            options=begun_with[-1],
            content_type=media_type(form.content_type),
        )

    with StreamedRecording(services, described) as recording:
        read_form(recording_blocks(call), boundary, form, recording)
        asked = parse_request(form.fields, services.deployment.settings)
        if begun_with and begun_with[-1] != asked.options:
            # The upload is written as it comes, and its options were those of the fields until then.
            raise fields_after_file()
        if recording.size == 0:
            refuse("file", "The file is empty.")
        upload = accept(call, recording.finish())
    found = finished(services, upload, HTTPStatus.INTERNAL_SERVER_ERROR, call.began)
    if found is None:
        return pending_answer(upload, asked.ignored, {"job_id": upload.job_id})
    return _answer(services, upload, found, asked)


def _answer(services: ApiServices, upload: Upload, found: Finished, asked: OpenAiRequest) -> Answer:
    headers, transcript = answer_headers(upload, asked.ignored, found.outcome), found.transcript
    match asked.format:
        case Format.JSON:
            return Answer(HTTPStatus.OK, to_openai(transcript), headers)
        case Format.VERBOSE_JSON:
            return Answer(HTTPStatus.OK, to_openai_verbose(transcript, asked.granularities), headers)
        case Format.DIARIZED_JSON:
            return Answer(HTTPStatus.OK, to_openai_diarized(transcript), headers)
        case Format.TEXT:
            return Answer(HTTPStatus.OK, f"{transcript.text}\n", headers, TEXT)
        case Format.SRT | Format.VTT:
            file = _FILES[asked.format]
            if file not in found.outcome.results:
                options = (services.deployment.settings.subtitles, asked.options.subtitles)
                rules = SubtitleRules.of(transcript.language, *options)
                return Answer(HTTPStatus.OK, rendered(transcript, file, rules), headers, TEXT)
            bucket, name = objects.bucket_and_name(found.outcome.results[file])
            stored = objects.read(services.deployment.storage.bucket(bucket), name)
            if stored is None:
                raise Problem(HTTPStatus.GONE, "The subtitles were deleted.", headers=headers)
            return Answer(HTTPStatus.OK, stored.data, headers, TEXT)
