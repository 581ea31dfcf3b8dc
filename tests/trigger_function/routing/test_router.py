"""The decision table, at and beside each of its borders, and what becomes of it where an engine is missing."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.enums import Method
from shared.errors import FailureKind, Rejected
from shared.languages.choice import parse_language_choice
from shared.media import Media
from shared.options.model import UploadOptions
from shared.options.parsing import parse_upload_options
from tests.support.routing_cases import (
    ALL,
    BOTH_JOBS,
    COST,
    DEEPGRAM_MAX,
    MB,
    NEITHER,
    NO_DEEPGRAM,
    NO_GPU,
    STRICT,
    TABLE,
    film,
    media,
    routed,
    router,
)
from trigger_function.routing.decision_table import Thresholds
from trigger_function.routing.engines import Engines, deepgram_obstacle
from trigger_function.routing.limits import DeploymentLimits
from trigger_function.routing.router import Policy
from trigger_function.settings.function import FunctionSettings

MINUTE, HOUR = 60.0, 3600.0
BIT = 0.001
"""Seconds beside a border."""
PARAKEET, HYBRID, DEEPGRAM = Method.PARAKEET, Method.HYBRID, Method.DEEPGRAM


def decided(seconds: float, size: float, engines: Engines = ALL, requested: Method | None = None) -> tuple[Method, str]:
    decision = routed(media(seconds, size), TABLE, engines, UploadOptions(method=requested))
    return decision.method, decision.rule


GRID = [
    # seconds, bytes, with everything, without GPU, without Deepgram
    (1, 1, "small", "small", "small"),
    (30 * MINUTE - BIT, 50 * MB - 1, "small", "small", "small"),
    (30 * MINUTE, 50 * MB - 1, "short", "short-no-gpu", "short"),
    (30 * MINUTE - BIT, 50 * MB, "short", "short-no-gpu", "short"),
    (1, 400 * MB, "short", "short-no-gpu", "short"),
    (1, 400 * MB + 1, "long", "long", "long-without-deepgram"),
    (2 * HOUR - BIT, 400 * MB, "short", "short-no-gpu", "short"),
    (2 * HOUR, 1, "medium", "medium", "medium-without-deepgram"),
    (2 * HOUR, 400 * MB + 1, "long", "long", "long-without-deepgram"),
    (4 * HOUR, 400 * MB, "medium", "medium", "medium-without-deepgram"),
    (4 * HOUR + BIT, 1, "long", "long", "long-without-deepgram"),
    (48 * HOUR, DEEPGRAM_MAX, "long", "long", "long-without-deepgram"),
    (48 * HOUR, DEEPGRAM_MAX + 1, "long-without-deepgram", "long-without-deepgram", "long-without-deepgram"),
]
METHOD_OF_RULE = {
    "small": PARAKEET,
    "short": PARAKEET,
    "short-no-gpu": DEEPGRAM,
    "medium": HYBRID,
    "medium-without-deepgram": PARAKEET,
    "long": DEEPGRAM,
    "long-without-deepgram": PARAKEET,
}


@pytest.mark.parametrize(("seconds", "size", "everything", "no_gpu", "no_deepgram"), GRID)
def test_the_table(seconds: float, size: float, everything: str, no_gpu: str, no_deepgram: str) -> None:
    for engines, rule in ((ALL, everything), (NO_GPU, no_gpu), (NO_DEEPGRAM, no_deepgram), (NEITHER, no_deepgram)):
        assert decided(seconds, size, engines) == (METHOD_OF_RULE[rule], rule)


@pytest.mark.parametrize("requested", Method)
@pytest.mark.parametrize(("seconds", "size"), [(1, 1), (3 * HOUR, MB), (48 * HOUR, 900 * MB)])
def test_a_requested_method_goes_before_the_table(requested: Method, seconds: float, size: float) -> None:
    assert decided(seconds, size, ALL, requested) == (requested, "requested")


@pytest.mark.parametrize("engines", [NO_DEEPGRAM, NEITHER])
@pytest.mark.parametrize("requested", [HYBRID, DEEPGRAM])
def test_a_requested_method_yields_where_its_engine_is_missing(requested: Method, engines: Engines) -> None:
    assert decided(1, 1, engines, requested) == (PARAKEET, "requested-without-deepgram")


@pytest.mark.parametrize(
    ("seconds", "size", "engines", "requested", "reason"),
    [
        (90, 1.4 * MB, ALL, None, "1.5 min and 1 MB: under 30 min and 50 MB goes to Parakeet."),
        (HOUR, 60 * MB, ALL, None, "1.0 h and 60 MB: up to 2 h goes to Parakeet."),
        (HOUR, 60 * MB, NO_GPU, None, "1.0 h and 60 MB, and no GPU can be had: Deepgram."),
        (
            3 * HOUR,
            9 * MB,
            ALL,
            None,
            "3.0 h and 9 MB: 2 to 4 h goes to both engines.",
        ),
        (5 * HOUR, 9 * MB, ALL, None, "5.0 h and 9 MB: more than 4 h or 400 MB goes to Deepgram."),
        (
            5 * HOUR,
            9 * MB,
            NO_DEEPGRAM,
            None,
            "5.0 h and 9 MB: more than 4 h or 400 MB goes to Deepgram. No Deepgram API key is configured: Parakeet.",
        ),
        (1, 2_001 * MB, ALL, DEEPGRAM, "deepgram was asked for. Deepgram takes at most 2 GB: Parakeet."),
        (1, 1, ALL, PARAKEET, "parakeet was asked for."),
    ],
)
def test_the_reason_says_what_was_measured_and_what_decided(
    seconds: float, size: float, engines: Engines, requested: Method | None, reason: str
) -> None:
    assert routed(media(seconds, size), TABLE, engines, UploadOptions(method=requested)).reason == reason


@pytest.mark.parametrize(("seconds", "requested"), [(5 * HOUR, None), (3 * HOUR, None), (1, DEEPGRAM), (1, HYBRID)])
def test_without_fallback_a_missing_engine_is_a_rejection(seconds: float, requested: Method | None) -> None:
    with pytest.raises(Rejected, match="no Deepgram API key is configured; fallback is switched off") as caught:
        routed(media(seconds), TABLE, STRICT, UploadOptions(method=requested))
    assert caught.value.kind is FailureKind.REFUSED


def test_without_fallback_what_needs_no_other_engine_is_routed() -> None:
    assert decided(1, 1, STRICT) == (PARAKEET, "small")


def test_the_obstacle_is_exact_to_the_byte() -> None:
    assert deepgram_obstacle(media(1, DEEPGRAM_MAX), ALL) is None
    assert deepgram_obstacle(media(1, DEEPGRAM_MAX + 1), ALL) == "Deepgram takes at most 2 GB"


@pytest.mark.parametrize("policy", [TABLE, COST], ids=["table", "cost"])
@pytest.mark.parametrize(
    ("what", "why"),
    [
        (film(2), r"Deepgram hears the first of a file's audio tracks, and track 2 \(aac\) is wanted: Parakeet"),
        (film(1, mixed=True), "Deepgram hears one audio track of a file, and all 2 are wanted: Parakeet"),
        (
            film(1).model_copy(update={"has_wrong_header": True}),
            "the file's header is wrong, which only the job's decoder corrects: Parakeet",
        ),
    ],
    ids=["second", "all", "sizes"],
)
def test_what_deepgram_would_not_hear_is_the_jobs(policy: Policy, what: Media, why: str) -> None:
    decision = routed(what, policy, ALL, UploadOptions(method=DEEPGRAM))
    assert decision.method is PARAKEET
    assert re.search(why, decision.reason, re.IGNORECASE)
    assert routed(what, policy, ALL, UploadOptions(method=HYBRID)).method is HYBRID


def test_the_first_track_may_go_to_deepgram() -> None:
    assert routed(film(1), COST, ALL, UploadOptions(method=DEEPGRAM)).method is DEEPGRAM


def test_the_borders_can_be_moved() -> None:
    moved = Thresholds(parakeet_max_minutes=1, parakeet_max_mb=1, short_hours=0.5, long_hours=1, deepgram_min_mb=10)
    policy = Policy(cost_optimization=False, thresholds=moved)
    rules = [routed(media(seconds, 0.5 * MB), policy).rule for seconds in (59, 60, 1799, 1800, 3600, 3601)]
    assert rules == ["small", "short", "short", "medium", "medium", "long"]


@given(
    seconds=st.floats(0.001, 1e6),
    size=st.integers(1, 10**11),
    requested=st.none() | st.sampled_from(Method),
    gpu=st.booleans(),
    deepgram=st.booleans(),
    cost_optimization=st.booleans(),
)
def test_no_upload_is_sent_to_an_engine_that_cannot_take_it(
    seconds: float, size: int, requested: Method | None, gpu: bool, deepgram: bool, cost_optimization: bool
) -> None:
    engines = Engines(gpu=gpu, deepgram=deepgram, deepgram_max_bytes=DEEPGRAM_MAX)
    policy = Policy(cost_optimization=cost_optimization)
    decision = routed(media(seconds, size), policy, engines, UploadOptions(method=requested))
    assert decision.method is PARAKEET or deepgram_obstacle(media(seconds, size), engines) is None
    assert decision.reason


def test_policy_and_engines_are_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPGRAM_API_KEY", raising=False)
    base = {
        "google_cloud_project": "p",
        "results_bucket": "results",
        "state_bucket": "state",
        "gpu_job": "projects/p/locations/l/jobs/j",
    }
    usual = FunctionSettings.model_validate(base)
    assert Policy.from_settings(usual) == Policy()
    assert Engines.from_settings(usual) == NO_DEEPGRAM
    changed = FunctionSettings.model_validate(
        {
            **base,
            "transcription_method": "hybrid",
            "cost_optimization": False,
            "time_value_usd_per_minute": 7,
            "max_completion_minutes": 8,
            "cost_threshold_per_hour": 9,
            "gpu_min_monthly_files": 10,
            "gpu_rollout_percent": 11,
            "parakeet_max_minutes": 1,
            "parakeet_max_mb": 2,
            "short_file_threshold_hours": 3,
            "long_file_threshold_hours": 4.5,
            "deepgram_min_mb": 5,
            "enable_gpu_transcription": False,
            "cpu_job": "projects/p/locations/l/jobs/c",
            "enable_fallback": False,
            "deepgram_api_key": "k",
            "deepgram_max_bytes": 6,
            "job_disk_gib": 10,
            "cpu_job_disk_gib": 0,
            "cpu_job_memory_gib": 8,
            "worker_memory_gib": 3,
            "upload_memory_mb": 500,
        }
    )
    assert Policy.from_settings(changed) == Policy(
        HYBRID, False, 7, Thresholds(1, 2, 3, 4.5, 5), DeploymentLimits(8, 9, 10, 11)
    )
    assert Engines.from_settings(changed) == Engines(
        gpu=False,
        deepgram=True,
        deepgram_max_bytes=6,
        fallback=False,
        cpu=True,
        gpu_file_bytes=10 * 2**30,
        cpu_file_bytes=5 * 2**30 - 500 * MB,
    )


@pytest.mark.parametrize(
    ("asked", "remarks"),
    [
        ({"transcribe-keyterms": "Parakeet", "transcribe-language": "ja"}, ["whisper-base favours no key terms"]),
        ({"transcribe-keyterms": "Parakeet"}, []),
        ({"transcribe-language": "ja"}, []),
    ],
)
def test_a_quote_says_where_its_model_favours_no_key_terms(asked: dict[str, str], remarks: list[str]) -> None:
    decision = routed(media(60), COST, BOTH_JOBS, parse_upload_options(asked))
    for quote in decision.quotes:
        assert list(quote.remarks) == ([] if quote.method is Method.DEEPGRAM else remarks)


def test_a_quote_says_where_deepgrams_model_favours_no_key_terms() -> None:
    engines = replace(ALL, deepgram_model="nova-2")
    decision = routed(media(60), COST, engines, parse_upload_options({"transcribe-keyterms": "Parakeet"}))
    said = {quote.method: list(quote.remarks) for quote in decision.quotes}
    why = ["Deepgram's nova-2 favours no key terms"]
    assert said == {Method.PARAKEET: [], Method.HYBRID: why, Method.DEEPGRAM: why}


def test_another_of_deepgrams_models_has_languages_of_its_own() -> None:
    asked = parse_language_choice("de,fi")
    assert router().engines.languages.deepgram_obstacle(asked) is None
    assert router().for_model("nova-2").engines.languages.deepgram_obstacle(asked) == "Deepgram does not detect fi"
