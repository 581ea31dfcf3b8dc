"""Quotes of uploads in shards whose speakers one execution has to hear: SPEAKER_MODEL=sortformer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.costs.launch_plan import LaunchRules
from shared.costs.quote import Quote
from shared.costs.shard_plan import ShardRules
from shared.options.parsing import parse_upload_options
from shared.options.speaker_count import SpeakerModelName
from tests.support.routing_cases import CPU_ALONE, make_conditions, media, router, upload


def quoted(model: SpeakerModelName, speakers: str) -> Quote:
    options = parse_upload_options({"transcribe-speakers": speakers})
    divides = replace(
        router(engines=replace(CPU_ALONE, speaker_model=model)),
        shards=ShardRules(1.0, 1.0),
        cpu_launches=LaunchRules(max_executions=5, drain_seconds=60.0),
    )
    return divides.quotes(upload(media(20 * 3600.0), options), make_conditions())[0]


def test_sortformer_hears_as_many_as_it_knows_in_the_whole_recording() -> None:
    whole, in_shards = quoted("sortformer", "2-4"), quoted("built-in", "2-4")
    assert whole.shards == in_shards.shards > 1
    assert whole.completion_seconds > in_shards.completion_seconds


@pytest.mark.parametrize("speakers", ["on", "2-", "2-5"])
def test_of_more_or_nobody_knows_how_many_the_built_in_model_hears_shards(speakers: str) -> None:
    assert quoted("sortformer", speakers) == quoted("built-in", speakers)
