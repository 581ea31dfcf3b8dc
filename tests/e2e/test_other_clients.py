"""Programs written for OpenAI and Deepgram, whose base URL is this deployment's: their own clients, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator

import deepgram
import openai
import pytest
import requests
from deepgram.core.api_error import ApiError
from deepgram.environment import DeepgramClientEnvironment

from infra.emulators.cloud import UPLOADS, CloudOptions, LaptopCloud
from infra.recordings import recording
from tests.support.api_server import OPERATOR_KEY, TENANT_KEY, api_keys
from tests.support.faulty_cloud import FaultyLaptopCloud
from tests.support.waiting import PATIENCE

MEMO, CALL = recording("memo"), recording("call")
LIMIT_BYTES = 6_000_000
"""Of a body: more than is held in memory before the object is begun."""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopCloud]:
    settings = {
        "API_AUTHORISATION": "keys",
        "API_KEYS": api_keys(),
        "API_WAIT_SECONDS": str(PATIENCE),
        "API_MAX_BODY_BYTES": str(LIMIT_BYTES),
        # One execution for all tests.
        "WORK_IDLE_SECONDS": "120",
    }
    options = CloudOptions(api=True, settings=settings, deepgram=False, stop_grace_seconds=0.0)
    with FaultyLaptopCloud(tmp_path_factory.mktemp("api"), options) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def openai_client(api: LaptopCloud) -> openai.OpenAI:
    return openai.OpenAI(api_key=OPERATOR_KEY, base_url=f"{api.api_url}/v1", timeout=PATIENCE)


@pytest.fixture(scope="module")
def deepgram_client(api: LaptopCloud) -> deepgram.DeepgramClient:
    url = str(api.api_url)
    environment = DeepgramClientEnvironment(base=url, production=url, agent=url, agent_rest=url)
    return deepgram.DeepgramClient(api_key=TENANT_KEY, environment=environment, timeout=PATIENCE)


def uploads(api: LaptopCloud) -> list[str]:
    return [str(blob.name) for blob in api.storage().list_blobs(UPLOADS)]


def test_openai_clients_get_text_segments_and_words(api: LaptopCloud, openai_client: openai.OpenAI) -> None:
    create, key = openai_client.audio.transcriptions, {"Idempotency-Key": "memo"}
    with MEMO.path.open("rb") as file:
        plain = create.with_raw_response.create(model="whisper-1", file=file, prompt="names", extra_headers=key)
    assert plain.parse().text == MEMO.text
    assert plain.headers["X-Dropscribe-Outcome"] == "completed"
    assert plain.headers["X-Dropscribe-Ignored"] == "prompt"
    # The same recording in every other format, by the job of the first.
    data = MEMO.path.read_bytes()
    verbose = create.create(
        model="gpt-4o-transcribe",
        file=("memo.wav", data),
        language="en",
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
        extra_headers=key,
    )
    assert (verbose.text, verbose.language) == (MEMO.text, "english")
    assert verbose.duration == pytest.approx(MEMO.duration, abs=0.01)
    assert verbose.words
    assert [word.word for word in verbose.words] == [word.word.strip(".,?") for word in MEMO.words]
    assert all(abs(word.start - true.start) < 0.3 for word, true in zip(verbose.words, MEMO.words, strict=True))
    assert verbose.segments
    assert " ".join(segment.text for segment in verbose.segments) == MEMO.text
    assert [segment.id for segment in verbose.segments] == list(range(len(verbose.segments)))
    assert all(-1 < segment.avg_logprob < 0 for segment in verbose.segments)
    assert create.create(model="whisper-1", file=("memo.wav", data), response_format="text", extra_headers=key) == (
        f"{MEMO.text}\n"
    )
    srt = create.create(model="whisper-1", file=("memo.wav", data), response_format="srt", extra_headers=key)
    vtt = create.create(model="whisper-1", file=("memo.wav", data), response_format="vtt", extra_headers=key)
    assert srt.startswith("1\n00:00:00,")
    assert vtt.startswith("WEBVTT\n\n")
    assert MEMO.words[0].word in srt
    jobs = [name for name in uploads(api) if name.endswith("memo.wav")]
    assert len(jobs) == 1
    assert plain.headers["X-Dropscribe-Job"]


def test_openai_clients_understand_what_is_refused(openai_client: openai.OpenAI, api: LaptopCloud) -> None:
    create, memo = openai_client.audio.transcriptions.create, ("memo.wav", MEMO.path.read_bytes())
    with pytest.raises(openai.BadRequestError) as bad:
        create(model="whisper-1", file=memo, language="no language")
    assert (bad.value.param, bad.value.type) == ("language", "invalid_request_error")
    with pytest.raises(openai.BadRequestError) as bad:
        create(model="whisper-9", file=memo)
    assert bad.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError, match="not supported"):
        create(model="whisper-1", file=memo, extra_body={"known_speaker_names[]": "me"})
    with pytest.raises(openai.BadRequestError) as bad:  # no recording: its job is rejected
        create(model="whisper-1", file=("a.mp3", b"no recording at all"))
    assert bad.value.code == "rejected"
    with pytest.raises(openai.AuthenticationError) as wrong:
        openai_client.with_options(api_key="wrong").audio.transcriptions.create(model="whisper-1", file=memo)
    assert wrong.value.code == "invalid_api_key"
    with pytest.raises(openai.APIStatusError, match="POST /transcribe") as large:
        create(model="whisper-1", file=("a.wav", bytes(LIMIT_BYTES + 1)))
    assert large.value.status_code == 413
    with pytest.raises(openai.NotFoundError) as missing:
        openai_client.audio.translations.create(model="whisper-1", file=memo)
    assert missing.value.code == "not_found"


def test_a_form_may_have_its_file_first_where_it_is_small(api: LaptopCloud) -> None:
    url, headers = f"{api.api_url}/v1/audio/transcriptions", {"Authorization": f"Bearer {OPERATOR_KEY}"}
    before = uploads(api)

    def sent(size: int, *, file_first: bool) -> requests.Response:
        # Not read as a recording: what is asked is whether it is taken.
        parts = [("file", ("a.bin", bytes(size))), ("model", (None, "deepgram"))]
        files = parts if file_first else parts[::-1]
        return requests.post(url, files=files, headers=headers, timeout=PATIENCE)

    late = sent(5_000_000, file_first=True)
    assert (late.status_code, late.json()["error"]["code"]) == (400, "fields_after_file")
    assert uploads(api) == before
    for size, file_first in ((1000, True), (5_000_000, False)):
        answer = sent(size, file_first=file_first)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "rejected")
    assert len(uploads(api)) == len(before) + 2


def test_deepgram_clients_get_words_utterances_and_paragraphs(deepgram_client: deepgram.DeepgramClient) -> None:
    answer = deepgram_client.listen.v1.media.with_raw_response.transcribe_file(
        request=CALL.path.read_bytes(),
        model="nova-3",
        language="en-US",
        smart_format=True,
        utterances=True,
        extra="ticket:7",
        keyterm=["doctor"],
    )
    assert "x-dropscribe-ignored" not in answer.headers
    results, metadata = answer.data.results, answer.data.metadata
    (channel,) = results.channels
    (alternative,) = channel.alternatives
    assert alternative.transcript == CALL.text
    assert [word.punctuated_word for word in alternative.words] == [word.word for word in CALL.words]
    assert alternative.paragraphs.paragraphs
    assert " ".join(utterance.transcript for utterance in results.utterances) == CALL.text
    assert metadata.duration == pytest.approx(CALL.duration, abs=0.01)
    assert metadata.request_id == answer.headers["x-dropscribe-job"]
    assert metadata.extra == {"ticket": "7"}


def test_deepgram_clients_understand_what_is_refused(
    deepgram_client: deepgram.DeepgramClient, api: LaptopCloud
) -> None:
    media, audio = deepgram_client.listen.v1.media, MEMO.path.read_bytes()
    before = uploads(api)
    for refused, said in (
        ({"diarize_model": "v9"}, "diarize_model has to be"),
        ({"encoding": "linear16"}, "Send a file with a header"),
        ({"redact": "pci"}, "redact has to be some of pii, numbers"),
        ({"language": "no language"}, "language"),
        ({"model": "nova-9"}, "model"),
        ({"callback": "https://example.com/"}, "callback"),
        ({"request_options": {"additional_query_parameters": {"no_such": "1"}}}, "no_such"),
    ):
        with pytest.raises(ApiError) as error:
            media.transcribe_file(request=audio, **refused)
        assert error.value.status_code == 400
        assert said in json.dumps(error.value.body, default=vars)
    for url in ("http://127.0.0.1/a.mp3", "https://127.0.0.1/a.mp3", "https://[::1]/", "https://2130706433/"):
        with pytest.raises(ApiError) as error:
            media.transcribe_url(url=url)
        assert error.value.status_code == 400
    assert uploads(api) == before
    unknown = requests.post(
        f"{api.api_url}/v1/listen", data=audio, headers={"Authorization": "Token no"}, timeout=PATIENCE
    )
    assert (unknown.status_code, unknown.json()["err_code"]) == (401, "INVALID_AUTH")
    empty = requests.post(
        f"{api.api_url}/v1/listen", headers={"Authorization": f"Token {TENANT_KEY}"}, timeout=PATIENCE
    )
    assert empty.status_code == 400
