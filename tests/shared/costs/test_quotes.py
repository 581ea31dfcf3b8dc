"""Quotes: sums that can be checked by hand, and how they move with length, queue, speed and price."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.bill import LineItemKind, Phase
from shared.costs.gathering import GatherRules, Queue
from shared.costs.job_seconds import PricingContext, TranscriptionRequest
from shared.costs.launch_plan import LaunchRules
from shared.costs.prices import CloudRunPrices, CloudStoragePrices, JobShape, Price, PriceBook, UnknownPrice
from shared.costs.quote import Limit, Quote
from shared.costs.quotes import ASSEMBLED_X_REAL_TIME, deepgram_share, quotes_for
from shared.costs.shard_plan import ShardRules
from shared.costs.speeds import DeviceSpeed, Speeds, UnknownDevice
from shared.enums import Method
from shared.media import Media


def price(usd: float) -> Price:
    return Price(usd=usd, source="test")


BOOK = PriceBook(
    schema_version=1,
    read_on=date(2026, 8, 1),
    region="here",
    cloud_run=CloudRunPrices(vcpu_second=price(0.01), gib_second=price(0.001)),
    cloud_storage=CloudStoragePrices(egress_gib=price(4.0)),
    gpu_second={"l4": price(0.1)},
    deepgram_minute={"nova": price(0.6)},
    deepgram_speakers_minute=price(0.3),
)
SPEEDS = Speeds({"l4": DeviceSpeed(30.0, 100.0), "cpu": DeviceSpeed(20.0, 10.0)}, 400.0, 50.0)
PRICING = PricingContext(BOOK, JobShape(gpu="l4", vcpu=4, memory_gib=10), SPEEDS, "nova", idle_seconds=5.0)
USD_PER_SECOND = 0.1 + 4 * 0.01 + 10 * 0.001
HALF_GIB = 2**29
RUNNING = Queue(running=True)


def order(
    seconds: float = 1000.0, deadline: float | None = None, streams: int = 1, size: int = HALF_GIB
) -> TranscriptionRequest:
    media = Media(
        container="mp3", codec="mp3", duration_seconds=seconds, sample_rate_hz=16000, channels=2, size_bytes=size
    )
    return TranscriptionRequest(media, streams, deadline)


def quote(
    method: Method, what: TranscriptionRequest, pricing: PricingContext = PRICING, queue: Queue | None = None
) -> Quote:
    (one,) = (quote for quote in quotes_for(what, pricing, queue or Queue()) if quote.method is method)
    return one


def test_every_method_has_a_quote() -> None:
    assert [one.method for one in quotes_for(order(), PRICING, Queue())] == list(Method)


def test_a_lone_upload_pays_for_start_up_and_idle_time() -> None:
    made = quote(Method.PARAKEET, order())
    assert made.bill.usd == pytest.approx((30 + 5 + 10) * USD_PER_SECOND)
    assert made.completion_seconds == pytest.approx(30 + 10)
    assert [item.resource for item in made.bill.items] == [
        f"{resource} ({phase})"
        for phase in ("start-up", "waiting", "transcription")
        for resource in ("l4", "cloud run cpu", "cloud run memory")
    ]


def test_start_up_is_shared_with_the_audio_that_waits_by_its_length() -> None:
    made = quote(Method.PARAKEET, order(), queue=Queue(waiting_seconds=3000.0))
    assert made.bill.usd == pytest.approx((35 / 4 + 10) * USD_PER_SECOND)
    assert made.completion_seconds == pytest.approx(30 + 30 + 10)


def test_the_wait_in_the_own_queue_is_predicted_and_in_no_score() -> None:
    behind = Queue(running=True, waiting_seconds=6000.0)
    for method in (Method.PARAKEET, Method.HYBRID):
        at_once, later = quote(method, order(), queue=RUNNING), quote(method, order(), queue=behind)
        assert later.completion_seconds - at_once.completion_seconds == pytest.approx(60.0)
        assert later.queue_seconds == pytest.approx(60.0)
        assert later.score(0.01) == pytest.approx(at_once.score(0.01))
    assert quote(Method.PARAKEET, order(), queue=Queue(waiting_seconds=6000.0)).queue_seconds == 0


def test_a_running_execution_has_no_start_up_but_may_have_a_queue() -> None:
    made = quote(Method.PARAKEET, order(), queue=Queue(running=True, waiting_seconds=3000.0))
    assert made.bill.usd == pytest.approx(10 * USD_PER_SECOND)
    assert made.completion_seconds == pytest.approx(30 + 10)


def test_the_slower_of_decoder_and_model_sets_the_pace() -> None:
    slow = replace(PRICING, speeds=replace(SPEEDS, decode_x_real_time=20.0))
    assert quote(Method.PARAKEET, order(), slow, RUNNING).completion_seconds == pytest.approx(50)


def test_deepgram_is_billed_by_the_minute_and_for_the_file_it_fetches() -> None:
    made = quote(Method.DEEPGRAM, order())
    assert [item.usd for item in made.bill.items] == pytest.approx([10.0, 2.0])
    assert made.completion_seconds == pytest.approx(20)
    assert made.deepgram_share == 1


def test_channels_transcribed_separately_are_recordings_of_their_own() -> None:
    twice = order(streams=2)
    assert quote(Method.DEEPGRAM, twice).bill.usd == pytest.approx(22.0)
    assert quote(Method.PARAKEET, twice, queue=RUNNING).bill.usd == pytest.approx(20 * USD_PER_SECOND)


def test_the_cpu_variant_is_quoted_at_its_own_speed_without_a_gpu_line() -> None:
    cpu = replace(PRICING, shape=JobShape(gpu=None, vcpu=4, memory_gib=10))
    made = quote(Method.PARAKEET, order(), cpu)
    assert made.completion_seconds == pytest.approx(20 + 100)
    assert made.bill.usd_of(kind=LineItemKind.GPU) == 0


def test_what_is_unknown_is_an_error_and_never_free() -> None:
    with pytest.raises(UnknownPrice, match="nova-9"):
        quotes_for(order(), replace(PRICING, deepgram_model="nova-9"), Queue())
    other = JobShape(gpu="h100", vcpu=4, memory_gib=10)
    with pytest.raises(UnknownDevice, match=r"no speed is known of 'h100' \(known: cpu, l4\)"):
        quotes_for(order(), replace(PRICING, shape=other), Queue())
    fast = Speeds({"h100": DeviceSpeed(1, 1)}, 400.0, 50.0)
    with pytest.raises(UnknownPrice, match="h100"):
        quotes_for(order(), replace(PRICING, shape=other, speeds=fast), Queue())


def test_without_deadline_both_parts_of_a_hybrid_end_together() -> None:
    made = quote(Method.HYBRID, order(), queue=RUNNING)
    assert made.deepgram_share == pytest.approx(1 / 3)
    assert made.completion_seconds == pytest.approx(20 / 3)
    assert made.bill.usd == pytest.approx(2 / 3 * 10 * USD_PER_SECOND + 12.0 / 3)


def test_a_deadline_gives_deepgram_no_more_than_it_must() -> None:
    made = quote(Method.HYBRID, order(deadline=8.0), queue=RUNNING)
    assert made.completion_seconds == pytest.approx(8.0)
    assert made.deepgram_share == pytest.approx(0.2)


def test_a_hybrid_is_needless_where_parakeet_alone_is_in_time() -> None:
    made = quote(Method.HYBRID, order(deadline=10.0), queue=RUNNING)
    assert [refusal.limit for refusal in made.refusals] == [Limit.NEEDLESS]
    assert made.bill.usd == pytest.approx(quote(Method.PARAKEET, order(), queue=RUNNING).bill.usd)


def test_a_deadline_that_nothing_meets_is_missed_by_as_little_as_can_be() -> None:
    made = quote(Method.HYBRID, order(deadline=3.0), queue=RUNNING)
    assert made.completion_seconds == quote(Method.HYBRID, order(), queue=RUNNING).completion_seconds


times = st.floats(0.01, 1e5)


@given(times, times, st.floats(0, 1e5), st.booleans())
def test_the_share_meets_the_deadline_wherever_any_share_does(
    parakeet: float, deepgram: float, spare: float, parakeet_is_cheaper: bool
) -> None:
    share = deepgram_share(parakeet, deepgram, spare, parakeet_is_cheaper)
    together = deepgram_share(parakeet, deepgram, None, parakeet_is_cheaper)
    best = max((1 - together) * parakeet, together * deepgram)
    took = max((1 - share) * parakeet, share * deepgram)
    assert 0 <= share <= 1
    assert took <= max(spare, best) * (1 + 1e-9)
    if spare >= best:
        # A little more of the cheaper engine would be late, unless it has everything.
        more = share - 1e-6 if parakeet_is_cheaper else share + 1e-6
        assert not 0 <= more <= 1 or max((1 - more) * parakeet, more * deepgram) > spare * (1 - 1e-3)


@given(st.floats(0.1, 1e6), st.floats(1.01, 10), st.floats(0, 1e6))
def test_longer_audio_costs_and_takes_more(seconds: float, factor: float, waiting: float) -> None:
    queue = Queue(waiting_seconds=waiting)
    for short, long in zip(
        quotes_for(order(seconds), PRICING, queue), quotes_for(order(seconds * factor), PRICING, queue), strict=True
    ):
        assert long.bill.usd > short.bill.usd
        assert long.completion_seconds > short.completion_seconds


ASSEMBLING = 10_000 / ASSEMBLED_X_REAL_TIME
IN_SHARDS = replace(PRICING, launches=LaunchRules(max_executions=4, drain_seconds=50.0), shards=ShardRules(0.5, 0.5))


def test_a_divided_upload_is_done_by_several_executions_and_put_together_by_one() -> None:
    """8 shards of 1,250 s: four executions do two each in 25 s; then one assembles and renders."""
    made = quote(Method.PARAKEET, order(10_000), IN_SHARDS)
    assert (made.shards, made.executions) == (8, 4)
    assert made.label == "parakeet on the GPU (8 shards, 4 at once)"
    assert made.completion_seconds == pytest.approx(30 + 25 + ASSEMBLING)
    assert made.bill.usd == pytest.approx((4 * (30 + 5) + 100 + ASSEMBLING) * USD_PER_SECOND)
    # One runs, behind 1,000 s of audio.
    behind = quote(Method.PARAKEET, order(10_000), IN_SHARDS, Queue(running=True, waiting_seconds=1000.0))
    assert behind.completion_seconds == pytest.approx(10 + 25 + ASSEMBLING)
    assert behind.bill.usd == pytest.approx((3 * (30 + 5) + 100 + ASSEMBLING) * USD_PER_SECOND)
    # What another engine is to hear is kept in shards.
    for asked in (replace(order(10_000), second_opinion_usd=0.1), replace(order(10_000), deepgram_may_complete=True)):
        assert quote(Method.PARAKEET, asked, IN_SHARDS).completion_seconds == pytest.approx(30 + 25 + ASSEMBLING)
    # A redacted recording is one execution's: all of it is decoded, then transcribed once more.
    again = quote(Method.PARAKEET, replace(order(10_000), redacted_audio=True), IN_SHARDS)
    assert again.completion_seconds == pytest.approx(30 + 25 + ASSEMBLING + 100 + 25)


def test_a_deadline_that_one_execution_would_miss_is_met_by_shards() -> None:
    in_time = quote(Method.PARAKEET, order(10_000, deadline=100.0), IN_SHARDS)
    assert in_time.completion_seconds <= 100 < quote(Method.PARAKEET, order(10_000, deadline=100.0)).completion_seconds


def test_no_more_executions_are_quoted_than_would_be_started() -> None:
    patient = replace(IN_SHARDS, launches=LaunchRules(max_executions=4, drain_seconds=600.0))
    made = quote(Method.PARAKEET, order(10_000), patient)
    assert (made.shards, made.executions) == (8, 1)
    assert made.completion_seconds == pytest.approx(30 + 100 + ASSEMBLING)


@pytest.mark.parametrize("pricing", [PRICING, replace(IN_SHARDS, launches=LaunchRules(1, 50.0))])
def test_where_nothing_is_divided_nothing_changes(pricing: PricingContext) -> None:
    assert quote(Method.PARAKEET, order(10_000), pricing) == quote(Method.PARAKEET, order(10_000))
    assert quote(Method.PARAKEET, order(), IN_SHARDS) == quote(Method.PARAKEET, order())


def asks_for_speakers(what: TranscriptionRequest) -> TranscriptionRequest:
    return replace(what, speakers=True)


def test_speakers_are_told_apart_beside_transcription_and_deepgram_bills_them() -> None:
    asked = asks_for_speakers(order(1200.0))
    assert quote(Method.PARAKEET, asked).completion_seconds == pytest.approx(30 + 1200 / 60)
    plain, deepgram = quote(Method.DEEPGRAM, order(1200.0)).bill, quote(Method.DEEPGRAM, asked).bill
    assert deepgram.usd - plain.usd == pytest.approx(20 * 0.3)


def speakers_usd(made: Quote) -> float:
    return sum(item.usd for item in made.bill.items if item.resource.endswith(" (telling speakers apart)"))


@pytest.mark.parametrize("pricing", [PRICING, IN_SHARDS])
@pytest.mark.parametrize("method", [Method.PARAKEET, Method.HYBRID])
def test_a_quote_says_what_telling_speakers_apart_adds(method: Method, pricing: PricingContext) -> None:
    plain, asked = (quote(method, what, pricing, RUNNING) for what in (order(10_000), asks_for_speakers(order(10_000))))
    assert speakers_usd(plain) == 0
    assert speakers_usd(asked) == pytest.approx(asked.bill.usd - plain.bill.usd) != 0


def test_speakers_who_are_told_apart_before_the_words_are_there_cost_nothing() -> None:
    swift = replace(PRICING, speeds=replace(SPEEDS, devices={"l4": DeviceSpeed(30.0, 100.0, 100.0)}))
    asked = quote(Method.PARAKEET, asks_for_speakers(order()), swift)
    assert asked == quote(Method.PARAKEET, order(), swift)


def test_a_divided_uploads_speakers_are_heard_in_its_shards() -> None:
    """10,000 s are heard in 167 s, longer than they are transcribed: on four executions in 42 s."""
    plain, asked = order(10_000), asks_for_speakers(order(10_000))
    made = quote(Method.PARAKEET, asked, IN_SHARDS)
    assert made.completion_seconds == pytest.approx(30 + 10_000 / 60 / 4 + ASSEMBLING)
    more_seconds = 10_000 / 60 - 100
    more_usd = made.bill.usd - quote(Method.PARAKEET, plain, IN_SHARDS).bill.usd
    assert more_usd == pytest.approx(more_seconds * USD_PER_SECOND)


def test_a_model_that_needs_the_whole_recording_hears_it_when_its_shards_are_done() -> None:
    """By one execution, 10,000 s in 167 s; four transcribe in 25 s, and for who speaks none is started."""
    plain, asked = order(10_000), replace(asks_for_speakers(order(10_000)), speakers_need_the_whole=True)
    made = quote(Method.PARAKEET, asked, IN_SHARDS)
    assert made.executions == 4
    assert made.completion_seconds == pytest.approx(30 + 25 + ASSEMBLING + 10_000 / 60)
    assert speakers_usd(made) == pytest.approx(10_000 / 60 * USD_PER_SECOND)
    assert made.bill.usd - quote(Method.PARAKEET, plain, IN_SHARDS).bill.usd == pytest.approx(speakers_usd(made))
    # Nothing is started for what one execution hears.
    patient = replace(IN_SHARDS, launches=LaunchRules(max_executions=4, drain_seconds=110.0))
    in_shards = replace(asked, speakers_need_the_whole=False)
    assert [quote(Method.PARAKEET, what, patient).executions for what in (plain, asked, in_shards)] == [2, 2, 3]
    # As fast as it is decoded, at most.
    swift = replace(IN_SHARDS, speeds=replace(SPEEDS, devices={"l4": DeviceSpeed(30.0, 100.0, 10_000.0)}))
    assert quote(Method.PARAKEET, asked, swift).completion_seconds == pytest.approx(30 + 25 + ASSEMBLING + 10_000 / 400)
    # In one piece it is heard beside transcription by any model.
    assert quote(Method.PARAKEET, asked) == quote(Method.PARAKEET, asks_for_speakers(plain))


@pytest.mark.parametrize("pricing", [PRICING, IN_SHARDS])
def test_a_redacted_recording_is_made_when_it_is_known_who_speaks(pricing: PricingContext) -> None:
    plain, redacts = (replace(order(10_000), redacted_audio=is_asked) for is_asked in (False, True))
    added_usd = [speakers_usd(quote(Method.PARAKEET, asks_for_speakers(what), pricing)) for what in (plain, redacts)]
    assert added_usd[0] == pytest.approx(added_usd[1]) != 0
    took = [quote(Method.PARAKEET, what, pricing).completion_seconds for what in (plain, redacts)]
    asked = [quote(Method.PARAKEET, asks_for_speakers(what), pricing).completion_seconds for what in (plain, redacts)]
    assert asked[1] - asked[0] == pytest.approx(took[1] - took[0])


def test_an_upload_for_a_slower_model_counts_among_others_by_the_time_that_it_takes() -> None:
    """As `Speeds.own_model_seconds` has it: 100 s at a quarter of the speed are 400 s of the queue's."""
    slow = replace(SPEEDS, devices={"l4": DeviceSpeed(30.0, 25.0)})
    gathers = replace(PRICING, speeds=slow, queue_x_real_time=100.0, gather=GatherRules(60.0, audio_seconds=390.0))
    assert quote(Method.PARAKEET, order(100.0), gathers).gather_seconds == 0
    assert quote(Method.PARAKEET, order(90.0), gathers).gather_seconds == 60
    with_company = quote(Method.PARAKEET, order(90.0), gathers, Queue(company_seconds=360.0))
    start_up_usd = with_company.bill.usd_of(phase=Phase.START_UP)
    assert start_up_usd == pytest.approx(30 / 2 * USD_PER_SECOND)


def test_deepgrams_part_of_a_hybrid_spares_no_time_of_the_speakers() -> None:
    """All of the audio is heard for its speakers, 6,000 s in 100 s, longer than Parakeet's part takes."""
    asked = asks_for_speakers(order(6000.0))
    made = quote(Method.HYBRID, asked)
    assert made.deepgram_share == quote(Method.HYBRID, order(6000.0)).deepgram_share
    assert made.completion_seconds == pytest.approx(30 + 100)
    assert not any("diarization" in item.resource for item in made.bill.items)
    in_time = quote(Method.HYBRID, replace(asked, deadline_seconds=200.0))
    assert [refusal.limit for refusal in in_time.refusals] == [Limit.NEEDLESS]


def test_a_second_opinion_is_on_the_quotes_of_methods_with_a_job_at_its_most() -> None:
    plain, asked = order(), replace(order(), second_opinion_usd=0.3)
    for method, more in ((Method.PARAKEET, 0.3), (Method.HYBRID, 0.3), (Method.DEEPGRAM, 0.0)):
        assert quote(method, asked).bill.usd == pytest.approx(quote(method, plain).bill.usd + more)
    (line,) = (item for item in quote(Method.PARAKEET, asked).bill.items if item.kind is LineItemKind.DEEPGRAM)
    assert (line.quantity, line.unit) == (pytest.approx(0.5), "min")


def test_what_another_engine_may_cost_is_on_the_quote_and_decides_nothing() -> None:
    plain, asked = order(), replace(order(), deepgram_may_complete=True, job_may_complete=True)
    alone = {method: quote(method, plain) for method in Method}
    for method, most in ((Method.PARAKEET, Method.DEEPGRAM), (Method.DEEPGRAM, Method.PARAKEET)):
        made = quote(method, asked)
        assert made.only_if_incomplete_usd == pytest.approx(alone[most].bill.usd, rel=0.05)
        assert made.bill.usd == pytest.approx(alone[method].bill.usd + made.only_if_incomplete_usd)
        assert made.surely_usd == pytest.approx(alone[method].bill.usd)
        assert made.score(0.01) == pytest.approx(alone[method].score(0.01))
        assert any("if words are missing, at most" in item.resource for item in made.bill.items)
    hybrid = quote(Method.HYBRID, asked)
    assert 0 < hybrid.only_if_incomplete_usd < quote(Method.PARAKEET, asked).only_if_incomplete_usd


def test_what_deepgram_may_cost_for_missing_words_is_at_the_price_of_several_languages_where_these_are_asked() -> None:
    book = BOOK.model_copy(update={"deepgram_minute": {**BOOK.deepgram_minute, "nova-multilingual": price(0.9)}})
    pricing = replace(PRICING, book=book)
    order_of_one = replace(order(), deepgram_may_complete=True)
    order_of_several = replace(order_of_one, deepgram_multilingual=True)
    minutes = 1000 / 60
    for method, share in (
        (Method.PARAKEET, 1.0),
        (Method.HYBRID, 1 - quote(Method.HYBRID, order_of_one).deepgram_share),
    ):
        one, several = (quote(method, what, pricing) for what in (order_of_one, order_of_several))
        more_usd = several.only_if_incomplete_usd - one.only_if_incomplete_usd
        assert more_usd == pytest.approx(share * minutes * (0.9 - 0.6))
