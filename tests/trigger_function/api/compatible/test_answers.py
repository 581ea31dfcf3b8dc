"""Transcripts in the JSON of OpenAI and Deepgram, and problems in theirs."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from http import HTTPStatus

import pytest
from openai.types.audio import TranscriptionDiarized

from shared.enums import Engine, Outcome
from shared.media import Upload
from shared.messages import TerminalMessage, event_id
from shared.options.model import UploadOptions
from shared.transcript.compose import compose
from shared.transcript.model import Coverage, Gap, Passage, Transcript, Word
from trigger_function.api.compatible.deepgram_answer import to_deepgram_answer
from trigger_function.api.compatible.deepgram_request import DeepgramRequest
from trigger_function.api.compatible.openai_answer import to_openai, to_openai_diarized, to_openai_verbose
from trigger_function.api.compatible.openai_request import Granularity
from trigger_function.api.web.error_shapes import problem_response
from trigger_function.api.web.problems import Problem

UPLOAD = Upload(bucket="uploads", name="a.mp3", generation=1)
OUTCOME = TerminalMessage(
    event_id=event_id(UPLOAD.job_id),
    job_id=UPLOAD.job_id,
    upload=UPLOAD,
    outcome=Outcome.COMPLETED,
    received_at=datetime(2026, 11, 28, tzinfo=UTC),
    finished_at=datetime(2026, 11, 28, 1, tzinfo=UTC),
)


def transcript(*, confidence: float | None = 0.5, language: str = "de-CH") -> Transcript:
    words = [
        Word(text="Hello,", start=1.0, end=1.5, confidence=confidence),
        Word(text="Ann.", start=1.5, end=2.0, confidence=confidence),
        Word(text="Yes.", start=9.0, end=9.5),
    ]
    return compose(
        job_id=UPLOAD.job_id,
        source=UPLOAD.uri,
        duration=10.2,
        language=language,
        model="parakeet",
        passages=[Passage(Engine.PARAKEET_CPU, words)],
        coverage=Coverage(
            speech_seconds=4.0, covered_seconds=3.0, gaps=(Gap(start=4.0, end=5.0, reason="damaged here"),)
        ),
    )


def deepgram_request(**changes: object) -> DeepgramRequest:
    nothing = {"punctuate": False, "paragraphs": False, "utterances": False, "callback": None, "extra": {}}
    return DeepgramRequest(**{"options": UploadOptions(), "ignored": (), **nothing, **changes})  # type: ignore[arg-type]


def test_openai_json_is_text_and_what_is_billed() -> None:
    assert to_openai(transcript()) == {"text": "Hello, Ann. Yes.", "usage": {"type": "duration", "seconds": 11}}


def test_openai_verbose_json_lists_what_was_asked_for() -> None:
    words = to_openai_verbose(transcript(), {Granularity.WORD})
    assert (words["language"], words["duration"], words["text"]) == ("german", 10.2, "Hello, Ann. Yes.")
    assert words["words"][0] == {"word": "Hello", "start": 1.0, "end": 1.5}
    assert words["coverage"] == {"gaps": [{"start": 4.0, "end": 5.0, "reason": "damaged here"}]}
    assert "segments" not in words
    segments = to_openai_verbose(transcript(), {Granularity.SEGMENT})
    assert "words" not in segments
    first, second = segments["segments"]
    assert (first["id"], first["seek"], first["start"], first["end"]) == (0, 100, 1.0, 2.0)
    assert first["text"] == "Hello, Ann."
    assert first["avg_logprob"] == pytest.approx(math.log(0.5))
    assert second["avg_logprob"] == 0.0  # its only word has no confidence
    assert 0 < first["compression_ratio"] < 2.4


def test_openai_diarized_json_is_what_their_client_reads() -> None:
    said = [(1.0, 0), (3.0, 27), (5.0, None)]
    words = [Word(text="Yes.", start=start, end=start + 0.5, speaker=speaker) for start, speaker in said]
    answer = to_openai_diarized(
        compose(
            job_id=UPLOAD.job_id,
            source=UPLOAD.uri,
            duration=10.2,
            language="en",
            model="parakeet",
            passages=[Passage(Engine.PARAKEET_CPU, words)],
        )
    )
    read = TranscriptionDiarized.model_validate(answer, strict=True)
    assert (read.text, read.duration) == ("Yes. Yes. Yes.", 10.2)
    assert [(one.start, one.text, one.speaker) for one in read.segments] == [
        (1.0, "Yes.", "A"),
        (3.0, "Yes.", "AB"),
        (5.0, "Yes.", "unknown"),
    ]
    assert len({one.id for one in read.segments}) == 3


def test_openai_languages_without_a_name_keep_their_tag() -> None:
    assert to_openai_verbose(transcript(language="gsw"), set())["language"] == "gsw"


def test_deepgram_answers_have_what_was_asked_for() -> None:
    bare = to_deepgram_answer(transcript(), OUTCOME, deepgram_request())
    (alternative,) = bare["results"]["channels"][0]["alternatives"]
    assert alternative["transcript"] == "hello ann yes"
    assert "paragraphs" not in alternative
    assert "utterances" not in bare["results"]
    assert alternative["words"][0] == {"word": "hello", "start": 1.0, "end": 1.5, "confidence": 0.5}
    assert bare["metadata"]["created"] == "2026-11-28T01:00:00Z"
    assert "extra" not in bare["metadata"]
    full = to_deepgram_answer(
        transcript(),
        OUTCOME,
        deepgram_request(punctuate=True, paragraphs=True, utterances=True, extra={"a": "b"}),
    )
    (alternative,) = full["results"]["channels"][0]["alternatives"]
    assert alternative["transcript"] == "Hello, Ann. Yes."
    assert alternative["paragraphs"]["paragraphs"]
    assert [each["transcript"] for each in full["results"]["utterances"]] == ["Hello, Ann.", "Yes."]
    assert full["metadata"]["extra"] == {"a": "b"}
    unpunctuated = to_deepgram_answer(transcript(), OUTCOME, deepgram_request(utterances=True))
    assert [each["transcript"] for each in unpunctuated["results"]["utterances"]] == ["hello ann", "yes"]
    assert "punctuated_word" not in json.dumps(unpunctuated)


PROBLEM = Problem(
    HTTPStatus.UNPROCESSABLE_ENTITY, "Not so.", "unusable-fields", errors=[{"field": "name", "message": "Not so."}]
)


def test_problems_are_in_the_shape_of_the_path() -> None:
    openai = problem_response(PROBLEM, "/v1/audio/transcriptions")
    assert (openai.status_code, openai.content_type) == (400, "application/json")
    assert openai.json == {
        "error": {"message": "Not so.", "type": "invalid_request_error", "param": "name", "code": "unusable_fields"}
    }
    deepgram = problem_response(PROBLEM, "/v1/listen")
    body = dict(deepgram.json or {})
    assert len(body.pop("request_id")) == 36
    assert (deepgram.status_code, body) == (400, {"err_code": "Bad Request", "err_msg": "Not so."})
    own = problem_response(PROBLEM, "/transcribe")
    assert (own.status_code, own.content_type) == (422, "application/problem+json")


@pytest.mark.parametrize(
    ("status", "kind", "openai", "deepgram"),
    [
        (HTTPStatus.UNAUTHORIZED, None, "invalid_api_key", "INVALID_AUTH"),
        (HTTPStatus.FORBIDDEN, None, "forbidden", "INSUFFICIENT_PERMISSIONS"),
        (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "upload-instead", "upload_instead", "PAYLOAD_TOO_LARGE"),
        (HTTPStatus.TOO_MANY_REQUESTS, "budget-spent", "insufficient_quota", "TOO_MANY_REQUESTS"),
        (HTTPStatus.INTERNAL_SERVER_ERROR, "job-failed", "job_failed", "JOB_FAILED"),
        (HTTPStatus.BAD_GATEWAY, None, "bad_gateway", "BAD_GATEWAY"),
    ],
)
def test_problems_have_the_codes_that_clients_know(
    status: HTTPStatus, kind: str | None, openai: str, deepgram: str
) -> None:
    problem = Problem(status, "Why.", kind, headers={"Retry-After": "5"}, job_id="0" * 24)
    answers = [problem_response(problem, path) for path in ("/v1/audio/transcriptions", "/v1/listen")]
    assert [answer.status_code for answer in answers] == [status, status]
    assert [answer.headers["Retry-After"] for answer in answers] == ["5", "5"]
    first, second = (dict(answer.json or {}) for answer in answers)
    assert (first["error"]["code"], second["err_code"]) == (openai, deepgram)
    assert (first["error"]["job_id"], second["request_id"]) == ("0" * 24, "0" * 24)
