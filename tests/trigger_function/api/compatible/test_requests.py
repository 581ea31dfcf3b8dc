"""What clients of OpenAI and Deepgram send, and what is made of it."""

from __future__ import annotations

import pytest

from shared.enums import Channels, Method, Privacy
from shared.options.speaker_count import SpeakerCount
from trigger_function.api.compatible.deepgram_request import DeepgramRequest, parse_parameters
from trigger_function.api.compatible.openai_request import Format, Granularity, OpenAiRequest, parse_request
from trigger_function.api.web.problems import Problem
from trigger_function.settings.function import FunctionSettings

JOB = "projects/p/locations/l/jobs/j"


def settings(**changes: object) -> FunctionSettings:
    fields = {"google_cloud_project": "p", "results_bucket": "results", "state_bucket": "state", "cpu_job": JOB}
    return FunctionSettings(**{**fields, "language": "en-GB", **changes})  # type: ignore[arg-type]


def form(*fields: tuple[str, str]) -> OpenAiRequest:
    return parse_request([("model", "whisper-1"), *fields], settings())


def query(**parameters: str | list[str]) -> DeepgramRequest:
    lists = {name: given if isinstance(given, list) else [given] for name, given in parameters.items()}
    return parse_parameters(lists, settings())


def test_openai_has_defaults() -> None:
    asked = form()
    assert (asked.format, asked.options.method, asked.ignored) == (Format.JSON, None, ())
    assert asked.granularities == {Granularity.SEGMENT}


@pytest.mark.parametrize("name", ["timestamp_granularities[]", "timestamp_granularities", "timestamp_granularities[0]"])
def test_openai_lists_come_in_several_ways(name: str) -> None:
    asked = form(("response_format", "verbose_json"), (name, "word"), (name, "segment"))
    assert asked.granularities == {Granularity.WORD, Granularity.SEGMENT}


@pytest.mark.parametrize("model", ["gpt-4o-transcribe", "gpt-4o-mini-transcribe-2025-12-15", "gpt-transcribe"])
def test_openai_models_are_the_deployments_method(model: str) -> None:
    assert parse_request([("model", model)], settings()).options.method is None


def test_openai_diarized_json_asks_who_speaks() -> None:
    fields = [("model", "gpt-4o-transcribe-diarize"), ("response_format", "diarized_json")]
    assert parse_request(fields, settings()).options.speakers == SpeakerCount()
    assert parse_request(fields[:1], settings()).options.speakers is None


def test_both_take_our_methods_as_models() -> None:
    assert parse_request([("model", "hybrid")], settings()).options.method is Method.HYBRID
    assert query(model="auto").options.method == "auto"
    assert query(model="nova-2-phonecall").options.method is None


def test_openai_hints_are_named_as_ignored() -> None:
    asked = form(("prompt", "names"), ("temperature", "0.2"), ("language", "en"), ("stream", "false"))
    assert asked.ignored == ("prompt", "temperature")
    assert form(("prompt", "")).ignored == ()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ([("model", "WHISPER-1\x00")], "model"),
        ([], "model"),
        ([("model", "whisper-1"), ("model", "whisper-1")], "model"),
        ([("model", "whisper-1"), ("language", "klingon")], "language"),
        ([("model", "whisper-1"), ("language", "!")], "language"),
        ([("model", "whisper-1"), ("response_format", "diarised_json")], "response_format"),
        ([("model", "whisper-1"), ("timestamp_granularities[]", "word")], "timestamp_granularities"),
        (
            [("model", "whisper-1"), ("response_format", "verbose_json"), ("timestamp_granularities", "phone")],
            "timestamp_granularities",
        ),
        ([("model", "whisper-1"), ("stream", "true")], "stream"),
        ([("model", "whisper-1"), ("include[]", "logprobs")], "include"),
        ([("model", "whisper-1"), ("temperature", "nan")], "temperature"),
        ([("model", "whisper-1"), ("temperature", "2")], "temperature"),
        ([("model", "whisper-1"), ("<script>", "1")], "<script>"),
    ],
)
def test_openai_refusals_name_their_parameter(fields: list[tuple[str, str]], param: str) -> None:
    with pytest.raises(Problem) as problem:
        parse_request(fields, settings())
    assert (int(problem.value.status), problem.value.members["errors"][0]["field"]) == (400, param)


def test_deepgram_has_defaults() -> None:
    asked = query()
    assert (asked.punctuate, asked.paragraphs, asked.utterances, asked.callback) == (False, False, False, None)
    assert asked.options.channels is Channels.MIX


def test_deepgram_parameters_mean_what_they_mean_there() -> None:
    assert query(smart_format="true").punctuate
    assert query(smart_format="true").paragraphs
    assert query(paragraphs="1").punctuate
    assert not query(punctuate="true").paragraphs
    assert query(multichannel="TRUE").options.channels is Channels.SPLIT
    assert query(callback="https://a.example/").callback == "https://a.example/"
    assert query(extra=["a:b:c", "d:"]).extra == {"a": "b:c", "d": ""}
    assert query(keywords=["a", "b"], tag="x", version="latest").ignored == ("keywords", "tag", "version")


def test_key_terms_of_deepgrams_door_are_phrases_as_they_stand() -> None:
    asked = query(keyterm=["Cloud Run", "ratio 3:1", "Cloud Run"])
    assert [(term.phrase, term.weight) for term in asked.options.keyterms] == [("Cloud Run", 1), ("ratio 3:1", 1)]
    assert asked.ignored == ()
    for bad in (["a;b"], ["x" * 101], ["a\x00"], [f"w{number}" for number in range(201)]):
        with pytest.raises(Problem):
            query(keyterm=bad)


def test_deepgram_features_that_are_off_need_not_be_known() -> None:
    assert query(diarize="false", redact="", numerals="0", alternatives="1", callback_method="POST").ignored == ()


def test_deepgrams_diarization_asks_for_speakers() -> None:
    assert query().options.speakers is None
    assert query(diarize="true").options.speakers == SpeakerCount()
    assert query(diarize_model="latest").options.speakers == SpeakerCount()


@pytest.mark.parametrize(
    ("parameters", "asked"),
    [
        ({"language": "en-US"}, None),  # the deployment's own
        ({"language": "DE"}, "de"),
        ({"language": "multi"}, "auto"),
        ({"detect_language": "true"}, "auto"),
        ({"detect_language": "false", "language": "fr"}, "fr"),
        ({"detect_language": ["de", "en"]}, "de,en"),
    ],
)
def test_a_language_is_the_uploads_where_it_is_not_the_deployments(
    parameters: dict[str, str | list[str]], asked: str | None
) -> None:
    language = query(**parameters).options.language
    assert (None if language is None else str(language)) == asked


def test_what_may_not_train_deepgrams_models_is_not_sent_there_unless_it_is_opted_out() -> None:
    lists = {"mip_opt_out": ["true"]}
    assert parse_parameters(lists, settings(deepgram_mip_opt_out=False)).options.privacy is Privacy.LOCAL
    assert parse_parameters(lists, settings(deepgram_mip_opt_out=True)).options.privacy is Privacy.ANY


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"diarize_model": "v9"}, "diarize_model"),
        ({"redact": ["pci", "ssn"]}, "redact"),
        ({"encoding": "linear16"}, "encoding"),
        ({"detect_language": ["de", "klingon"]}, "detect_language"),
        ({"summarize": "v2"}, "summarize"),
        ({"punctuate": "maybe"}, "punctuate"),
        ({"punctuate": ["true", "false"]}, "punctuate"),
        ({"language": "xx"}, "language"),
        ({"model": "nova-9"}, "model"),
        ({"extra": "no colon"}, "extra"),
        ({"extra": ["a:b"] * 21}, "extra"),
        ({"nonsense": "1"}, "nonsense"),
    ],
)
def test_deepgram_refusals_name_their_parameter(parameters: dict[str, str | list[str]], name: str) -> None:
    with pytest.raises(Problem) as problem:
        query(**parameters)
    assert (int(problem.value.status), problem.value.members["errors"][0]["field"]) == (400, name)
    assert name in problem.value.detail
