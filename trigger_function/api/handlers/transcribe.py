"""POST /transcribe: a recording from Cloud Storage, from the web, or in the body of the request."""

from __future__ import annotations

import io
from http import HTTPStatus
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.enums import Method
from shared.errors import Rejected
from shared.media import Upload
from shared.options.metadata_keys import (
    CHANNELS_METADATA,
    DEADLINE_METADATA,
    FILLERS_METADATA,
    KEYTERMS_FILE_METADATA,
    KEYTERMS_METADATA,
    LANGUAGE_METADATA,
    MAX_COST_METADATA,
    METHOD_METADATA,
    MIN_COVERAGE_METADATA,
    NUMBERS_METADATA,
    PRIVACY_METADATA,
    PROFANITY_METADATA,
    REDACT_AUDIO_METADATA,
    REDACT_METADATA,
    REDACT_TERMS_METADATA,
    SECOND_OPINION_METADATA,
    SPEAKER_NAMES_METADATA,
    SPEAKERS_METADATA,
    SUBTITLES_METADATA,
    TRACK_METADATA,
    VIDEO_ID_METADATA,
    VOICES_METADATA,
)
from shared.options.model import UploadOptions, VideoId
from shared.options.parsing import parse_upload_options
from trigger_function.api.submissions.accepted import accept, accepted_answer
from trigger_function.api.submissions.copied import copy
from trigger_function.api.submissions.direct import upload_address
from trigger_function.api.submissions.fetched import fetch
from trigger_function.api.submissions.key_budget import within_budget
from trigger_function.api.submissions.new_upload import DEFAULT_CONTENT_TYPE, NewUpload, new_upload, write_once
from trigger_function.api.submissions.recording_name import name_of_url, usable_name
from trigger_function.api.web.answers import JSON, Answer
from trigger_function.api.web.call import Call
from trigger_function.api.web.problems import Problem

Text = Annotated[str, Field(min_length=1, max_length=1024)]
Given = Annotated[str, Field(min_length=1)]
"""`?privacy=` is refused: who sends it has forgotten something, and would get what nobody asked for."""


class RequestedOptions(UploadOptions):
    """The options of an upload, as its metadata has them."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LargeRecording(BaseModel):
    """A recording that is to be uploaded to an address."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size_bytes: Annotated[int, Field(gt=0)]
    content_type: Annotated[str, Field(max_length=127, pattern=r"^[\w.+-]+/[\w.+-]+$")] = "application/octet-stream"


class TranscribeRequest(BaseModel):
    """What is to be transcribed, and how: either `uri` or `upload`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """`gs://BUCKET/NAME` or `https://...`"""
    upload: LargeRecording | None = None
    name: Text | None = None
    folder: Text | None = None
    video_id: VideoId | None = None
    force_method: Literal["auto"] | Method | None = None
    options: RequestedOptions = RequestedOptions()

    @model_validator(mode="after")
    def _names_one_recording(self) -> TranscribeRequest:
        if (self.uri is None) == (self.upload is None):
            raise ValueError("one of uri and upload has to be given")
        if self.force_method and self.options.method not in (None, self.force_method):
            raise ValueError("force_method and options.method contradict each other")
        return self

    @property
    def upload_options(self) -> UploadOptions:
        """With what stands beside the options."""
        options = self.options
        method, video_id = self.force_method or options.method, self.video_id or options.video_id
        return UploadOptions(**{**dict(options), "method": method, "video_id": video_id})


class BodyParameters(BaseModel):
    """The same in the query, where the body is the recording."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Text | None = None
    folder: Text | None = None
    video_id: VideoId | None = None
    force_method: Literal["auto"] | Method | None = None
    channels: Given = ""
    track: Given = ""
    language: Given = ""
    subtitles: Given = ""
    speakers: Given = ""
    speaker_names: Given = ""
    voices: Given = ""
    numbers: Given = ""
    fillers: Given = ""
    profanity: Given = ""
    keyterms: Given = ""
    keyterms_file: Given = ""
    second_opinion_usd: Given = ""
    min_coverage: Given = ""
    redact: Given = ""
    redact_terms: Given = ""
    redact_audio: Given = ""
    privacy: Given = ""
    deadline_minutes: Given = ""
    max_cost_usd: Given = ""

    @property
    def options(self) -> UploadOptions:
        """Raises Rejected."""
        return parse_upload_options(
            {
                METHOD_METADATA: self.force_method or "",
                CHANNELS_METADATA: self.channels,
                TRACK_METADATA: self.track,
                LANGUAGE_METADATA: self.language,
                SUBTITLES_METADATA: self.subtitles,
                SPEAKERS_METADATA: self.speakers,
                SPEAKER_NAMES_METADATA: self.speaker_names,
                VOICES_METADATA: self.voices,
                NUMBERS_METADATA: self.numbers,
                FILLERS_METADATA: self.fillers,
                PROFANITY_METADATA: self.profanity,
                KEYTERMS_METADATA: self.keyterms,
                KEYTERMS_FILE_METADATA: self.keyterms_file,
                SECOND_OPINION_METADATA: self.second_opinion_usd,
                MIN_COVERAGE_METADATA: self.min_coverage,
                REDACT_METADATA: self.redact,
                REDACT_TERMS_METADATA: self.redact_terms,
                REDACT_AUDIO_METADATA: self.redact_audio,
                PRIVACY_METADATA: self.privacy,
                DEADLINE_METADATA: self.deadline_minutes,
                MAX_COST_METADATA: self.max_cost_usd,
                VIDEO_ID_METADATA: self.video_id or "",
            }
        )


def transcribe(call: Call) -> Answer:
    """Take a recording. 202 with its job; with the address to upload it to where it is large."""
    return _from_json(call) if call.request.mimetype == JSON else _from_body(call)


def _from_json(call: Call) -> Answer:
    asked, services = call.json(TranscribeRequest), call.services
    within_budget(services, call.caller)
    uri, upload = asked.uri, asked.upload
    new = new_upload(
        services,
        call.caller,
        call.token,
        name=asked.name or (_name_of(call, uri) if uri else None),
        folder=asked.folder,
        options=asked.upload_options,
        content_type=upload.content_type if upload else None,
    )
    if upload is not None:
        _check_size(call, upload.size_bytes)
        return _address_answer(call, new)
    assert uri is not None
    match uri.partition(":")[0].lower():
        case "gs":
            return _accepted(call, copy(services, call.caller, new, uri))
        case "https":
            fetched = fetch(
                services,
                call.caller,
                call.token,
                uri,
                name=asked.name,
                folder=asked.folder,
                options=asked.upload_options,
            )
            return _accepted(call, fetched)
        case _:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY, "The uri has to begin with gs:// or https://.", "unusable-fields"
            )


def _from_body(call: Call) -> Answer:
    """The recording itself, of a type that no form of a web page can send by itself."""
    services, request = call.services, call.request
    kind = request.mimetype.partition("/")[0]
    if kind not in ("audio", "video") and request.mimetype != DEFAULT_CONTENT_TYPE:
        detail = f"The body has to be {JSON}, or a recording: audio/*, video/* or {DEFAULT_CONTENT_TYPE}."
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)
    asked = call.query(BodyParameters)
    try:
        options = asked.options
    except Rejected as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, error.reason, "unusable-fields") from None
    if request.content_length is None:
        raise Problem(HTTPStatus.LENGTH_REQUIRED, "A recording in the body needs a Content-Length.")
    if request.content_length == 0:
        raise Problem(HTTPStatus.BAD_REQUEST, "The body is empty.")
    within_budget(services, call.caller)
    new = new_upload(
        services,
        call.caller,
        call.token,
        name=asked.name,
        folder=asked.folder,
        options=options,
        content_type=request.mimetype,
    )
    limit = services.settings.api_max_body_bytes
    if request.content_length > limit:
        _check_size(call, request.content_length)
        detail = f"The body is larger than {limit} bytes: upload the recording to the given address."
        address = upload_address(services, new).model_dump(mode="json")
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, "upload-instead", upload=address)
    data = call.body.read(limit)
    return _accepted(call, write_once(services, new, io.BytesIO(data), len(data)))


def _accepted(call: Call, upload: Upload) -> Answer:
    return accepted_answer(accept(call, upload))


def _address_answer(call: Call, new: NewUpload) -> Answer:
    return Answer(HTTPStatus.ACCEPTED, {"upload": upload_address(call.services, new).model_dump(mode="json")})


def _check_size(call: Call, size_bytes: int) -> None:
    limit = call.services.settings.api_max_upload_bytes
    if size_bytes > limit:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The recording is larger than {limit} bytes.")


def _name_of(call: Call, uri: str) -> str | None:
    """What an address says the recording is called; it names the object, and nothing else."""
    is_object = uri.lower().startswith("gs://")
    return usable_name(call.services.deployment.settings, uri if is_object else name_of_url(uri))
