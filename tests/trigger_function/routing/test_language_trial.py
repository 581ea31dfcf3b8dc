"""Quotes of uploads whose language nobody knows: what other models hear of them first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.costs.bill import LineItemKind, Phase
from shared.costs.launch_plan import LaunchRules
from shared.costs.quote import Quote
from shared.costs.shard_plan import ShardRules
from shared.enums import Method
from shared.options.parsing import parse_upload_options
from tests.support.routing_cases import (
    CPU_ALONE,
    CPU_SHAPE,
    NO_DEEPGRAM,
    PRICING,
    make_conditions,
    media,
    router,
    upload,
)
from trigger_function.routing.engines import Engines
from trigger_function.routing.limits import Conditions

V3 = "nvidia/parakeet-tdt-0.6b-v3"
HOUR = 3600.0
CPU_SPEED = PRICING.speeds.of("cpu").x_real_time


def quoted(
    language: str | None,
    seconds: float = HOUR,
    engines: Engines = CPU_ALONE,
    conditions: Conditions | None = None,
    method: Method = Method.PARAKEET,
) -> Quote:
    options = parse_upload_options({} if language is None else {"transcribe-language": language})
    quotes = router(engines=engines).quotes(upload(media(seconds), options), conditions or make_conditions())
    return next(quote for quote in quotes if quote.method is method)


def trial_seconds(quote: Quote) -> dict[str, float]:
    """Of the instance, by what the line says of it."""
    return {
        item.resource: item.quantity / CPU_SHAPE.vcpu
        for item in quote.bill.items
        if "language trial" in item.resource and item.kind is LineItemKind.CPU
    }


def test_each_other_model_has_a_line_with_what_it_hears_and_its_time() -> None:
    """v3 names most languages, and is quoted; the deployment's own hears the first minute besides."""
    found = trial_seconds(quoted("auto"))
    assert found == {"cloud run cpu (language trial: 60 s by parakeet-tdt-0.6b-v2)": pytest.approx(60 / CPU_SPEED)}
    short = trial_seconds(quoted("auto", 20.0))
    assert short == {"cloud run cpu (language trial: 20 s by parakeet-tdt-0.6b-v2)": pytest.approx(20 / CPU_SPEED)}


def test_a_trial_is_in_price_and_time() -> None:
    plain, tried = quoted(None), quoted("auto")
    assert tried.completion_seconds == pytest.approx(plain.completion_seconds + 60 / CPU_SPEED)
    lines = [item for item in tried.bill.items if "language trial" in item.resource]
    assert {item.phase for item in lines} == {Phase.TRANSCRIPTION}
    assert tried.bill.usd == pytest.approx(plain.bill.usd + sum(item.usd for item in lines))
    assert sum(item.usd for item in lines) > 0


def test_a_model_whose_speed_was_learned_is_quoted_with_it() -> None:
    conditions = Conditions(replace(PRICING.speeds, models={("cpu", V3): 2.0}))
    # Whisper is the one that has all of them: it is quoted, and the two others hear the first minute.
    found = trial_seconds(quoted("en,de,ja", conditions=conditions))
    assert found == {
        "cloud run cpu (language trial: 60 s by parakeet-tdt-0.6b-v2)": pytest.approx(60 / CPU_SPEED),
        "cloud run cpu (language trial: 60 s by parakeet-tdt-0.6b-v3)": pytest.approx(60 / 2.0),
    }


def test_the_job_of_a_hybrid_has_a_trial_and_deepgram_alone_has_none() -> None:
    both = replace(CPU_ALONE, deepgram=True)
    plain, tried = (quoted(language, engines=both, method=Method.HYBRID) for language in (None, "auto"))
    assert len(trial_seconds(tried)) == 1
    assert tried.completion_seconds == pytest.approx(plain.completion_seconds + 60 / CPU_SPEED)
    assert not trial_seconds(quoted("auto", engines=both, method=Method.DEEPGRAM))


@pytest.mark.parametrize("language", [None, "en", "de", "ja", "ja,ko"])
def test_where_no_model_is_on_trial_there_is_no_line(language: str | None) -> None:
    assert not trial_seconds(quoted(language))


def test_without_a_trial_or_with_one_model_for_the_gpu_there_is_no_line() -> None:
    assert not trial_seconds(quoted("auto", engines=replace(CPU_ALONE, trial_seconds=0.0)))
    assert not [item for item in quoted("de,fr", engines=NO_DEEPGRAM).bill.items if "trial" in item.resource]


def test_an_upload_in_shards_has_no_trial() -> None:
    options = parse_upload_options({"transcribe-language": "auto"})
    launches = LaunchRules(max_executions=5, drain_seconds=60.0)
    divides = replace(router(engines=CPU_ALONE), shards=ShardRules(1.0, 1.0), cpu_launches=launches)
    divided, whole = (divides.quotes(upload(media(hours * HOUR), options), make_conditions())[0] for hours in (20, 0.5))
    assert divided.shards > 1
    assert whole.shards == 0
    assert not trial_seconds(divided)
    assert trial_seconds(whole)
