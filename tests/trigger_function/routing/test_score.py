"""The cost policy's properties, and every limit on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.gathering import Queue
from shared.costs.quote import Limit, Quote
from shared.enums import Method, Privacy
from shared.errors import Rejected
from shared.media import Upload
from shared.options.model import UploadOptions
from tests.support.routing_cases import (
    NO_DEEPGRAM,
    NO_GPU,
    chosen,
    make_conditions,
    media,
    quote,
    routed,
    router,
    upload,
)
from trigger_function.routing.limits import Conditions, DeploymentLimits, rollout_percentile
from trigger_function.routing.router import Policy

PARAKEET, HYBRID, DEEPGRAM = Method.PARAKEET, Method.HYBRID, Method.DEEPGRAM
HOUR = 3600.0
PRIVATE = UploadOptions(privacy=Privacy.LOCAL)

BEST = {
    PARAKEET: (quote(PARAKEET, 0.05, 20), quote(DEEPGRAM, 0.30, 5)),
    DEEPGRAM: (quote(PARAKEET, 0.15, 60), quote(DEEPGRAM, 0.25, 2)),
}
"""Quotes of which the key has the lowest score."""

dollars = st.floats(0.0001, 10)
minutes = st.floats(0.01, 1000)
some_quotes = st.tuples(*(st.builds(quote, st.just(method), dollars, minutes) for method in Method))
policies = st.builds(
    Policy,
    usd_per_minute=st.floats(0, 1),
    limits=st.builds(
        DeploymentLimits,
        max_completion_minutes=st.none() | minutes,
        max_cost_per_audio_hour_usd=st.none() | dollars,
        gpu_rollout_percent=st.sampled_from([0, 100]),
    ),
)
some_conditions = st.builds(make_conditions, gpu_healthy=st.booleans(), budget_left_usd=st.none() | dollars)


def decided(made: Sequence[Quote], policy: Policy, conditions: Conditions) -> Method | None:
    try:
        return chosen(made, policy, conditions).method
    except Rejected:
        return None


@given(some_quotes, policies, some_conditions)
def test_a_cheaper_and_faster_allowed_method_is_never_passed_over(
    made: tuple[Quote, ...], policy: Policy, conditions: Conditions
) -> None:
    method = decided(made, policy, conditions)
    if method is None:
        return
    decision = chosen(made, policy, conditions)
    taken = decision.quote
    assert taken is not None
    for other in decision.quotes:
        if not other.refusals:
            cheaper = other.bill.usd < taken.bill.usd * (1 - 1e-9)
            assert not (cheaper and other.completion_seconds < taken.completion_seconds)
            assert not taken.refusals


@given(some_quotes, policies, some_conditions, st.sampled_from(Method), st.floats(1, 100))
def test_a_higher_price_never_makes_a_method_chosen(
    made: tuple[Quote, ...], policy: Policy, conditions: Conditions, method: Method, factor: float
) -> None:
    dearer = [
        quote(one.method, one.bill.usd * factor, one.completion_seconds / 60) if one.method is method else one
        for one in made
    ]
    if decided(dearer, policy, conditions) is method:
        assert decided(made, policy, conditions) is method


@given(some_quotes, policies, some_conditions, st.sampled_from(Method))
def test_what_is_forbidden_is_never_chosen(
    made: tuple[Quote, ...], policy: Policy, conditions: Conditions, requested: Method
) -> None:
    for options in (
        UploadOptions(),
        PRIVATE,
        UploadOptions(method=requested),
        UploadOptions(method=requested, privacy=Privacy.LOCAL),
    ):
        try:
            decision = chosen(made, policy, conditions, options)
        except Rejected:
            continue
        assert decision.quote is not None
        assert decision.quote.binding == ()
        assert not options.is_private or decision.method is PARAKEET


def test_time_is_worth_what_the_deployment_says() -> None:
    made = [quote(PARAKEET, 0.10, 20), quote(HYBRID, 0.30, 15), quote(DEEPGRAM, 0.25, 2)]
    assert chosen(made).method is DEEPGRAM
    assert chosen(made, Policy(usd_per_minute=0.008)).method is PARAKEET
    assert chosen(made, Policy(usd_per_minute=0)).method is PARAKEET


def test_the_reason_has_the_sums_and_the_decision_every_quote() -> None:
    made = [quote(PARAKEET, 0.10, 20), quote(HYBRID, 0.30, 15), quote(DEEPGRAM, 0.25, 2)]
    decision = chosen(made)
    assert decision.rule == "lowest-score"
    assert decision.reason == (
        "Deepgram is worth most: $0.2500 in 2.0 min, against $0.1000 in 20.0 min for parakeet"
        " and $0.3000 in 15.0 min for hybrid, a minute at $0.01."
    )
    assert [one.method for one in decision.quotes] == [PARAKEET, HYBRID, DEEPGRAM]


@pytest.mark.parametrize(
    ("policy", "conditions", "options", "refused", "limit"),
    [
        (
            Policy(limits=DeploymentLimits(max_completion_minutes=10)),
            make_conditions(),
            UploadOptions(),
            PARAKEET,
            Limit.DEADLINE,
        ),
        (Policy(), make_conditions(), UploadOptions(deadline_minutes=10), PARAKEET, Limit.DEADLINE),
        (
            Policy(limits=DeploymentLimits(max_cost_per_audio_hour_usd=0.24)),
            make_conditions(),
            UploadOptions(),
            DEEPGRAM,
            Limit.COST_PER_HOUR,
        ),
        (Policy(), make_conditions(budget_left_usd=0.2), UploadOptions(), DEEPGRAM, Limit.BUDGET),
        (Policy(), make_conditions(), UploadOptions(max_cost_usd=0.2), DEEPGRAM, Limit.MAX_COST),
        (Policy(), make_conditions(), PRIVATE, DEEPGRAM, Limit.PRIVACY),
        (Policy(), make_conditions(gpu_healthy=False), UploadOptions(), PARAKEET, Limit.NO_JOB),
        (
            Policy(limits=DeploymentLimits(gpu_min_monthly_files=100)),
            make_conditions(month_files=99),
            UploadOptions(),
            PARAKEET,
            Limit.MONTHLY_FILES,
        ),
        (
            Policy(limits=DeploymentLimits(gpu_rollout_percent=0)),
            make_conditions(),
            UploadOptions(),
            PARAKEET,
            Limit.ROLLOUT,
        ),
    ],
    ids=lambda value: value.value if isinstance(value, Limit) else "",
)
def test_a_limit_refuses_the_best_method_and_says_why(
    policy: Policy, conditions: Conditions, options: UploadOptions, refused: Method, limit: Limit
) -> None:
    made = BEST[refused]
    other = DEEPGRAM if refused is PARAKEET else PARAKEET
    assert chosen(made).method is refused
    decision = chosen(made, policy, conditions, options)
    assert (decision.method, decision.rule) == (other, "only-allowed")
    (refusal,) = next(one.refusals for one in decision.quotes if one.method is refused)
    assert refusal.limit is limit
    assert refusal.why in decision.reason


def test_at_a_limit_is_within_it() -> None:
    options = UploadOptions(deadline_minutes=20, max_cost_usd=0.25)
    made = [quote(PARAKEET, 0.25, 20)]
    policy = Policy(limits=DeploymentLimits(max_cost_per_audio_hour_usd=0.25))
    decision = chosen(made, policy, make_conditions(budget_left_usd=0.25), options)
    assert decision.quotes[0].refusals == ()


def test_where_preferences_leave_nothing_the_least_bad_is_taken() -> None:
    decision = routed(media(10 * HOUR), Policy(limits=DeploymentLimits(max_completion_minutes=1)))
    assert decision.rule == "least-bad"
    assert "later than the 1 min allowed" in decision.reason
    late = Policy(limits=DeploymentLimits(max_completion_minutes=1, gpu_min_monthly_files=9))
    assert (
        routed(media(10 * HOUR), late, conditions=make_conditions(gpu_healthy=False, month_files=1)).method is DEEPGRAM
    )


@pytest.mark.parametrize("policy", [Policy(), Policy(cost_optimization=False)], ids=["cost", "table"])
@pytest.mark.parametrize(
    ("conditions", "options", "said"),
    [
        (make_conditions(budget_left_usd=0.0001), UploadOptions(), "month's budget, of which $0.0001 is left"),
        (make_conditions(), UploadOptions(max_cost_usd=0.0001), "is more than the $0.0001 allowed for the file"),
        (make_conditions(budget_left_usd=0.0001), UploadOptions(method=DEEPGRAM), "deepgram: $0.2581 would pass"),
    ],
)
def test_nothing_is_spent_that_may_not_be(
    policy: Policy, conditions: Conditions, options: UploadOptions, said: str
) -> None:
    with pytest.raises(Rejected) as caught:
        routed(media(HOUR), policy, options=options, conditions=conditions)
    assert said in caught.value.reason
    assert all(method.value in caught.value.reason for method in Method)


@pytest.mark.parametrize("policy", [Policy(), Policy(cost_optimization=False)], ids=["cost", "table"])
def test_a_private_file_without_a_local_engine_is_rejected(policy: Policy) -> None:
    with pytest.raises(Rejected, match="parakeet on the GPU: no job is configured"):
        routed(media(HOUR), policy, NO_GPU, PRIVATE)
    assert routed(media(HOUR), policy, replace(NO_GPU, cpu=True), PRIVATE).method is PARAKEET


def test_a_private_file_waits_for_a_gpu_that_fails() -> None:
    decision = routed(media(HOUR), options=PRIVATE, conditions=make_conditions(gpu_healthy=False))
    assert (decision.method, decision.rule) == (PARAKEET, "least-bad")


@pytest.mark.parametrize("requested", [HYBRID, DEEPGRAM])
def test_privacy_goes_before_the_requested_method(requested: Method) -> None:
    decision = routed(media(60), options=UploadOptions(method=requested, privacy=Privacy.LOCAL))
    assert (decision.method, decision.rule) == (PARAKEET, "requested-private")
    assert decision.reason == f"{requested.value} was asked for. The file may not leave for an API: Parakeet."


def test_a_requested_method_that_costs_too_much_yields_to_what_may_be_spent() -> None:
    decision = routed(
        media(HOUR), options=UploadOptions(method=DEEPGRAM), conditions=make_conditions(budget_left_usd=0.1)
    )
    assert (decision.method, decision.rule) == (PARAKEET, "requested-over-budget")
    decision = routed(media(20), options=UploadOptions(method=PARAKEET, max_cost_usd=0.002))
    assert (decision.method, decision.rule) == (DEEPGRAM, "requested-over-max-cost")


def test_a_requested_method_goes_before_every_preference() -> None:
    limits = DeploymentLimits(max_completion_minutes=0.01, gpu_rollout_percent=0, gpu_min_monthly_files=5)
    conditions = make_conditions(gpu_healthy=False, month_files=1)
    decision = routed(media(HOUR), Policy(limits=limits), options=UploadOptions(method=PARAKEET), conditions=conditions)
    assert (decision.method, decision.rule) == (PARAKEET, "requested")


def test_the_deployments_method_is_requested_unless_the_upload_asks_for_auto() -> None:
    fixed = Policy(method=DEEPGRAM)
    assert routed(media(HOUR), fixed).method is DEEPGRAM
    assert routed(media(HOUR), fixed, options=UploadOptions(method=PARAKEET)).method is PARAKEET
    assert routed(media(HOUR), fixed, options=UploadOptions(method="auto")).rule == "lowest-score"


def test_without_deepgram_key_parakeet_is_the_only_one() -> None:
    decision = routed(media(20), engines=NO_DEEPGRAM)
    assert (decision.method, decision.rule) == (PARAKEET, "only-allowed")


def test_a_rollout_takes_its_share_and_the_same_uploads_every_time() -> None:
    ids = [Upload(bucket="uploads", name=f"calls/{number}.mp3", generation=1).job_id for number in range(2000)]
    half = Policy(limits=DeploymentLimits(gpu_rollout_percent=50))
    taken = {one for one in ids if routed(media(HOUR), half, job_id=one).method is PARAKEET}
    assert 0.45 < len(taken) / len(ids) < 0.55
    more = Policy(limits=DeploymentLimits(gpu_rollout_percent=60))
    assert taken == {one for one in taken if routed(media(HOUR), more, job_id=one).method is PARAKEET}
    assert {rollout_percentile(one) for one in ids} == set(range(100))


def test_hybrid_is_taken_to_meet_a_deadline_that_neither_engine_meets_alone() -> None:
    decision = routed(media(12 * HOUR), options=UploadOptions(deadline_minutes=4))
    assert (decision.method, decision.rule) == (HYBRID, "only-allowed")
    assert routed(media(12 * HOUR)).method is PARAKEET


@given(st.floats(1, 50 * HOUR), st.none() | st.floats(0.1, 600), st.booleans())
def test_hybrid_is_never_taken_where_parakeet_is_cheaper_and_in_time(
    seconds: float, deadline: float | None, running: bool
) -> None:
    options = UploadOptions(deadline_minutes=deadline)
    conditions = make_conditions(queue=Queue(running=running))
    decision = routed(media(seconds), options=options, conditions=conditions)
    parakeet, hybrid, _ = router().quotes(upload(media(seconds), options), conditions)
    in_time = deadline is None or parakeet.completion_seconds <= deadline * 60
    if in_time and parakeet.bill.usd <= hybrid.bill.usd:
        assert decision.method is not HYBRID
