"""The production adapter against the laptop's Deepgram: what it makes of answers, and what it asks for twice."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import flask
import pytest
import stamina
from deepgram.core.unchecked_base_model import construct_type
from deepgram.listen.v1.media.types.media_transcribe_response import MediaTranscribeResponse
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from infra.emulators.deepgram_server import DeepgramServer, ListenRequest
from infra.emulators.http_server import HttpServer
from infra.recordings import recording
from shared.deepgram import Deepgram, answer_in_time, parse_response
from shared.deepgram_request import DeepgramRequest
from shared.enums import Engine
from shared.errors import EngineFailed, FailureKind
from shared.settings.deepgram import DeepgramSettings
from shared.transcript.model import Word
from tests.support.faulty_deepgram import FaultyDeepgramServer
from tests.support.waiting import PATIENCE

ENGLISH = DeepgramRequest("en")
AUDIO = "http://127.0.0.1:9/a.mp3"
"""Nobody fetches it: the faults come before the work."""


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=10, cap=True):
        yield


def adapter(url: str, key: str | None, *, timeout: float = PATIENCE, attempts: int = 3) -> Deepgram:
    settings = DeepgramSettings(
        deepgram_api_key=key,
        deepgram_base_url=url,
        deepgram_timeout_seconds=timeout,
        deepgram_late_seconds=0,
        deepgram_attempts=attempts,
    )
    return Deepgram(settings, "nova-3")


def answer(*words: object, **metadata: object) -> dict[str, Any]:
    """Deepgram's JSON around these words."""
    return {
        "metadata": {"request_id": "r-1", "duration": 9.0, "channels": 1, **metadata},
        "results": {"channels": [{"alternatives": [{"transcript": "", "confidence": 0.9, "words": list(words)}]}]},
    }


def word(text: str = "yes", start: object = 1.0, end: object = 1.5, **more: object) -> dict[str, object]:
    return {"word": text, "start": start, "end": end, "confidence": 0.9} | more


def parsed(body: object) -> Any:
    """What the SDK makes of a JSON body."""
    return construct_type(type_=MediaTranscribeResponse, object_=body)


def words_of(body: object) -> list[Word]:
    return list(parse_response(parsed(body), "nova-3").passage.words)


# A recording, really transcribed


def test_a_recording_comes_back_as_written_words_with_their_times(
    shared_deepgram_server: DeepgramServer, deepgram_key: str, recordings_url: str
) -> None:
    memo = recording("memo.wav")
    before = len(shared_deepgram_server.requests)

    result = adapter(shared_deepgram_server.url, deepgram_key).transcribe(f"{recordings_url}/{memo.path.name}", ENGLISH)

    words = result.passage.words
    please = next(w for w in words if w.text == "Please")
    truly = next(w for w in memo.words if w.word == "Please")
    assert "Please wait behind the kitchen soon." in " ".join(w.text for w in words)
    assert please.start == pytest.approx(truly.start, abs=0.3)
    assert [w.start for w in words] == sorted(w.start for w in words)
    assert all(w.start <= w.end <= memo.duration and w.confidence is not None for w in words)
    assert result.passage.engine is Engine.DEEPGRAM
    assert result.duration_seconds == pytest.approx(memo.duration, abs=0.1)
    assert UUID(result.request_id)
    assert result.model == "deepgram nova-3"
    assert shared_deepgram_server.requests[before:] == (
        ListenRequest(
            "nova-3", "en", "127.0.0.1", audio_seconds=pytest.approx(memo.duration, abs=0.1), mip_opt_out=True
        ),
    )


@pytest.mark.parametrize("opts_out", [True, False])
def test_every_call_says_whether_the_recording_may_be_kept_for_training(
    shared_deepgram_server: DeepgramServer, deepgram_key: str, *, opts_out: bool
) -> None:
    settings = DeepgramSettings(
        deepgram_api_key=deepgram_key,
        deepgram_base_url=shared_deepgram_server.url,
        deepgram_mip_opt_out=opts_out,
    )
    before = len(shared_deepgram_server.requests)
    for audio in (AUDIO, b"no sound at all"):
        with pytest.raises(EngineFailed):
            Deepgram(settings, "nova-3").transcribe(audio, ENGLISH)
    made = shared_deepgram_server.requests[before:]
    assert [one.mip_opt_out for one in made] == [opts_out, opts_out]


def test_audio_as_bytes_is_transcribed_like_audio_at_an_address(
    shared_deepgram_server: DeepgramServer, deepgram_key: str, recordings_url: str
) -> None:
    memo, engine = recording("memo.wav").path, adapter(shared_deepgram_server.url, deepgram_key)
    by_address, in_hand = (
        engine.transcribe(audio, ENGLISH) for audio in (f"{recordings_url}/{memo.name}", memo.read_bytes())
    )
    assert in_hand.passage == by_address.passage
    assert in_hand.passage.words


@pytest.mark.parametrize("status", [429, 503])
def test_a_request_that_was_refused_is_repeated_and_transcribed_once(
    shared_deepgram_server: DeepgramServer, deepgram_key: str, recordings_url: str, status: int
) -> None:
    before = len(shared_deepgram_server.requests)
    shared_deepgram_server.fail_next(2, status)

    result = adapter(shared_deepgram_server.url, deepgram_key).transcribe(f"{recordings_url}/memo.wav", ENGLISH)

    assert result.passage.words
    assert [asked.audio_seconds is not None for asked in shared_deepgram_server.requests[before:]] == [
        False,
        False,
        True,
    ]


# Failures


@pytest.mark.parametrize(
    ("status", "kind", "may_be_billed"),
    [
        (400, FailureKind.REFUSED, False),
        (401, FailureKind.CREDENTIALS, False),
        (402, FailureKind.QUOTA, False),
        (403, FailureKind.CREDENTIALS, False),
        (408, FailureKind.TIMEOUT, True),
        (500, FailureKind.NETWORK, True),
        (502, FailureKind.NETWORK, True),
        (504, FailureKind.TIMEOUT, True),
    ],
)
def test_a_failure_that_may_have_been_billed_is_not_repeated(
    deepgram_server: DeepgramServer, deepgram_key: str, status: int, kind: FailureKind, may_be_billed: bool
) -> None:
    deepgram_server.fail_next(1, status)
    with pytest.raises(EngineFailed) as failure:
        adapter(deepgram_server.url, deepgram_key).transcribe(AUDIO, ENGLISH)
    assert (failure.value.kind, len(deepgram_server.requests)) == (kind, 1)
    assert failure.value.may_be_billed is may_be_billed


@pytest.mark.parametrize(("status", "kind"), [(429, FailureKind.RATE_LIMIT), (503, FailureKind.NETWORK)])
@pytest.mark.parametrize("attempts", [1, 3])
def test_being_turned_away_is_final_after_the_last_attempt(
    deepgram_server: DeepgramServer, deepgram_key: str, status: int, kind: FailureKind, attempts: int
) -> None:
    deepgram_server.fail_next(attempts + 1, status)
    with pytest.raises(EngineFailed) as failure:
        adapter(deepgram_server.url, deepgram_key, attempts=attempts).transcribe(AUDIO, ENGLISH)
    assert (failure.value.kind, len(deepgram_server.requests)) == (kind, attempts)
    assert not failure.value.may_be_billed


def test_a_broken_connection_is_not_repeated(deepgram_server: DeepgramServer, deepgram_key: str) -> None:
    deepgram_server.cut_next(1)
    with pytest.raises(EngineFailed) as failure:
        adapter(deepgram_server.url, deepgram_key).transcribe(AUDIO, ENGLISH)
    assert (failure.value.kind, len(deepgram_server.requests)) == (FailureKind.NETWORK, 1)
    assert failure.value.may_be_billed


def test_silence_beyond_the_time_limit_is_not_repeated(deepgram_server: DeepgramServer, deepgram_key: str) -> None:
    deepgram_server.stall_next(1, PATIENCE)
    with pytest.raises(EngineFailed) as failure:
        adapter(deepgram_server.url, deepgram_key, timeout=1.0).transcribe(AUDIO, ENGLISH)
    assert (failure.value.kind, len(deepgram_server.requests)) == (FailureKind.TIMEOUT, 1)
    assert failure.value.may_be_billed


def test_a_repeated_call_has_the_rest_of_the_time(deepgram_server: FaultyDeepgramServer, deepgram_key: str) -> None:
    deepgram_server.fail_next(1, 503)
    deepgram_server.stall_next(1, PATIENCE)
    with pytest.raises(EngineFailed, match=r"no answer within [12] s") as failure:
        adapter(deepgram_server.url, deepgram_key, timeout=2.0).transcribe(AUDIO, ENGLISH)
    assert (failure.value.kind, len(deepgram_server.requests)) == (FailureKind.TIMEOUT, 2)


def test_an_answer_is_waited_for_no_longer_than_its_caller_will(
    deepgram_server: FaultyDeepgramServer, deepgram_key: str
) -> None:
    deepgram_server.stall_next(1, PATIENCE)
    answer_to_come = adapter(deepgram_server.url, deepgram_key, timeout=2.0).begin(AUDIO, ENGLISH)
    with pytest.raises(EngineFailed, match="no answer within 0 s") as failure:
        answer_in_time(answer_to_come, 0.1)
    assert (failure.value.kind, failure.value.may_be_billed) == (FailureKind.TIMEOUT, True)
    assert not answer_to_come.done()
    with pytest.raises(EngineFailed, match="no answer within 2 s"):
        answer_to_come.result(PATIENCE)


def test_a_refused_connection_is_repeated(deepgram_key: str) -> None:
    retries: list[RetryDetails] = []
    set_on_retry_hooks([retries.append])
    try:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{closed.getsockname()[1]}"
            with pytest.raises(EngineFailed) as failure:
                adapter(url, deepgram_key).transcribe(AUDIO, ENGLISH)
    finally:
        set_on_retry_hooks(None)
    assert (failure.value.kind, len(retries)) == (FailureKind.NETWORK, 2)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"<html>Welcome</html>", {}),
        (b"\xff\xfe", {}),
        (b"{}", {"Content-Encoding": "gzip"}),
        (b"null", {}),
        (b"[" * 100_000, {}),
        (b'{"results":' + b'{"a":' * 100_000, {}),
    ],
    ids=["html", "not-utf-8", "not-gzip", "null", "deep", "deep-inside"],
)
def test_an_answer_that_cannot_be_read_is_not_asked_for_again(
    deepgram_key: str, body: bytes, headers: dict[str, str]
) -> None:
    calls = []
    app = flask.Flask("gibberish", static_folder=None)

    @app.post("/v1/listen")
    def listen() -> flask.Response:
        calls.append(flask.request.url)
        return flask.Response(body, headers=headers)

    with HttpServer(app) as server, pytest.raises(EngineFailed) as failure:
        adapter(server.url, deepgram_key).transcribe(AUDIO, ENGLISH)
    assert (failure.value.kind, len(calls)) == (FailureKind.INTERNAL, 1)


# Credentials


def test_without_a_key_there_is_no_deepgram() -> None:
    with pytest.raises(EngineFailed) as failure:
        adapter("http://127.0.0.1:9", None)
    assert failure.value.kind is FailureKind.CREDENTIALS


@pytest.mark.parametrize(
    ("around", "kind"),
    [("{}", FailureKind.REFUSED), ("{}\n", FailureKind.REFUSED), ("not {}", FailureKind.CREDENTIALS)],
    ids=["the key", "as a secret often ends", "another key"],
)
def test_the_key_is_sent_without_the_line_break_that_secrets_end_with(
    deepgram_server: DeepgramServer, deepgram_key: str, around: str, kind: FailureKind
) -> None:
    # Whoever passes the door is refused for the address.
    with pytest.raises(EngineFailed) as failure:
        adapter(deepgram_server.url, around.format(deepgram_key)).transcribe("https://example.com/a.mp3", ENGLISH)
    assert failure.value.kind is kind


# Answers, read


def test_the_written_form_of_a_word_is_taken_where_there_is_one() -> None:
    body = answer(word("hello", punctuated_word="Hello,"), word("world"))
    assert [w.text for w in words_of(body)] == ["Hello,", "world"]


def test_the_speaker_of_a_word_is_kept() -> None:
    assert [w.speaker for w in words_of(answer(word(speaker=0), word(speaker=1), word()))] == [0, 1, None]


def test_split_channels_are_speakers_and_their_words_are_in_order() -> None:
    body = answer(word("one", 1.0), word("three", 3.0))
    body["results"]["channels"] += answer(word("two", 2.0, speaker=7))["results"]["channels"]
    together, apart = parse_response(parsed(body), "nova-3"), parse_response(parsed(body), "nova-3", split=True)
    assert [(w.text, w.speaker) for w in apart.passage.words] == [("one", 0), ("two", 1), ("three", 0)]
    assert [w.text for w in together.passage.words] == ["one", "three"]
    assert (together.channels, apart.channels) == (1, 2)


def test_times_never_run_backwards() -> None:
    body = answer(word(start=2.0, end=2.5), word(start=1.0, end=1.2), word(start=3.0, end=2.9), word(start=-1, end=-1))
    assert [(w.start, w.end) for w in words_of(body)] == [(2.0, 2.5), (2.0, 2.0), (3.0, 3.0), (3.0, 3.0)]


def test_times_lie_in_the_audio() -> None:
    body = answer(word(start=8.0, end=1e300), word(start=1e12, end=1e12), duration=9.0)
    assert [(w.start, w.end) for w in words_of(body)] == [(8.0, 9.0), (9.0, 9.0)]


def test_more_channels_than_a_recording_has_are_no_answer() -> None:
    body = answer(word())
    body["results"]["channels"] *= 65
    with pytest.raises(EngineFailed, match="not a transcript"):
        parse_response(parsed(body), "nova-3", split=True)


def test_a_confidence_is_a_share_or_unknown() -> None:
    body = answer(word(confidence=1.0000001), word(confidence=-0.1), word(confidence=None), word(confidence=0.25))
    assert [w.confidence for w in words_of(body)] == [1.0, 0.0, None, 0.25]


def test_words_without_text_are_left_out() -> None:
    assert [w.text for w in words_of(answer(word(" "), {"start": 1.0, "end": 2.0}, word("yes")))] == ["yes"]


def test_nothing_said_is_an_answer() -> None:
    result = parse_response(parsed(answer()), "nova-3")
    assert (list(result.passage.words), result.duration_seconds) == ([], 9.0)


def test_the_language_that_it_found_comes_with_how_sure_it_is() -> None:
    body = answer(word())
    body["results"]["channels"][0] |= {"detected_language": "pt-br", "language_confidence": 1.2}
    result = parse_response(parsed(body), "nova-3")
    assert (result.language, result.language_confidence, result.languages) == ("pt-BR", 1.0, ())
    body["results"]["channels"][0] |= {"detected_language": ["de"], "language_confidence": None}
    assert parse_response(parsed(body), "nova-3").language is None


def test_words_of_several_languages_are_passages_of_each() -> None:
    tags = ["de", "de", "de", "en", None, "xx-nonsense-", "de", "en", "en", "en"]
    body = answer(*(word(f"{at}", at / 2, at / 2 + 0.4, language=tag) for at, tag in enumerate(tags)))
    found = parse_response(parsed(body), "nova-3").passages
    assert [(one.language, "".join(each.text for each in one.words)) for one in found] == [
        ("de", "0123456"),
        ("en", "789"),
    ]


METADATA, RESULTS = answer()["metadata"], answer()["results"]
NO_TRANSCRIPTS = {
    "nothing": {},
    "a list": [],
    "only a receipt": {"request_id": "r-1"},
    "no results": {"metadata": METADATA},
    "empty results": {"metadata": METADATA, "results": {}},
    "no channel": {"metadata": METADATA, "results": {"channels": []}},
    "channels of another kind": {"metadata": METADATA, "results": {"channels": {}}},
    "no alternative": {"metadata": METADATA, "results": {"channels": [{"alternatives": []}]}},
    "no metadata": {"results": RESULTS},
    "no duration": answer(duration=None),
    "a duration that is no number": answer(duration="long"),
    "an undefined duration": answer(duration=float("nan")),
    "a word that is a string": answer("yes"),
    "a word without a start": answer(word(start=None)),
    "an end that is no number": answer(word(end="later")),
    "an endless word": answer(word(end=float("inf"))),
    "a confidence that is no number": answer(word(confidence="high")),
    "a speaker that is no number": answer(word(speaker="Ann")),
    "a speaker below the first": answer(word(speaker=-1)),
    "more speakers than there are people": answer(word(speaker=10**12)),
    "a duration that would spend the budget": answer(duration=1e300),
    "a duration of a year": answer(duration=365 * 24 * 3600.0),
    "a word that is an object": answer(word(punctuated_word={"$gt": ""})),
    "a word of a megabyte": answer(word("a" * 2**20)),
}


@pytest.mark.parametrize("body", NO_TRANSCRIPTS.values(), ids=NO_TRANSCRIPTS.keys())
def test_what_is_no_transcript_is_not_taken_for_one(body: object) -> None:
    with pytest.raises(EngineFailed) as failure:
        parse_response(parsed(body), "nova-3")
    assert failure.value.kind is FailureKind.INTERNAL
