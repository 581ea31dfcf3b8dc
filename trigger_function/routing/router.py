"""Routing: one upload, the methods' quotes and the rules -> which method transcribes it, and why. Pure.

1. What speaks against each method is written on its quote (`limits.py`).
2. A method is chosen: the one that was asked for; else the lowest score (`cost_policy.py`), or with
   COST_OPTIMIZATION=false the row of the decision table (`decision_table.py`).
3. Privacy, budget, cost limit and missing engines bind every choice: a forbidden method yields to one that is not, and
   the reason says so. Where all are forbidden, the upload is rejected with the sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.costs.quotes import Limit, Quote
from shared.enums import Method
from shared.errors import FailureKind, Rejected
from shared.messages import Decision
from trigger_function.routing.decision_table import Thresholds, by_table
from trigger_function.routing.engines import Engines
from trigger_function.routing.limits import Case, Conditions, Limits, judged
from trigger_function.routing.score import by_score

DEFAULT_USD_PER_MINUTE = 0.01


@dataclass(frozen=True)
class Policy:
    """How a deployment decides."""

    method: Method | None = None
    """The method for every upload that asks for none."""
    cost_optimization: bool = True
    usd_per_minute: float = DEFAULT_USD_PER_MINUTE
    """What a minute of waiting is worth."""
    thresholds: Thresholds = field(default_factory=Thresholds)
    limits: Limits = field(default_factory=Limits)


def route(case: Case, quotes: Sequence[Quote], policy: Policy, engines: Engines, now: Conditions) -> Decision:
    """The method for an upload, with all quotes. Raises Rejected where no method is left."""
    by_method = {quote.method: judged(quote, case, policy.limits, engines, now) for quote in quotes}
    if all(quote.binding for quote in by_method.values()):
        refused = {refusal.limit for quote in by_method.values() for refusal in quote.binding}
        kind = FailureKind.QUOTA if Limit.BUDGET in refused else None
        raise Rejected(f"No method may transcribe the file: {_refusals(by_method)}.", kind)
    chosen = _chosen(case, by_method, policy, engines, now)
    decision = _bound(chosen, by_method, policy, engines)
    return decision.model_copy(update={"quotes": tuple(by_method.values())})


def _chosen(case: Case, quotes: Mapping[Method, Quote], policy: Policy, engines: Engines, now: Conditions) -> Decision:
    if (wish := _wish(case, policy)) is not None:
        return Decision(method=wish, rule="wish", reason=f"{wish.value} was asked for.")
    if policy.cost_optimization:
        return by_score(list(quotes.values()), policy.usd_per_minute)
    gpu = engines.gpu and now.gpu_healthy
    return by_table(case.media, policy.thresholds, gpu=gpu, deepgram=engines.deepgram)


def _wish(case: Case, policy: Policy) -> Method | None:
    """The upload's own wish, else the deployment's method; `auto` is the wish that the policy decides."""
    wish = case.options.method
    return policy.method if wish is None else None if wish == "auto" else wish


_YIELDS = {
    Limit.PRIVACY: "private",
    Limit.ENGINE: "without-deepgram",
    Limit.BUDGET: "over-budget",
    Limit.MAX_COST: "over-max-cost",
}
"""What a rule is called whose method is forbidden."""


def _bound(chosen: Decision, quotes: Mapping[Method, Quote], policy: Policy, engines: Engines) -> Decision:
    """The choice, or what takes its place where it is forbidden."""
    binding = quotes[chosen.method].binding
    if not binding:
        return chosen
    why = binding[0]
    if why.limit is Limit.ENGINE and not engines.fallback:
        raise Rejected(f"{chosen.method.value.capitalize()} cannot be used: {why.why}; fallback is switched off.")
    instead = Method.PARAKEET
    if quotes[instead].binding:
        instead = by_score(list(quotes.values()), policy.usd_per_minute).method
    reason = f"{chosen.reason} {why.why[0].upper()}{why.why[1:]}: {instead.value.capitalize()}."
    return Decision(method=instead, rule=f"{chosen.rule}-{_YIELDS[why.limit]}", reason=reason)


def _refusals(quotes: Mapping[Method, Quote]) -> str:
    return "; ".join(
        f"{method.value}: {', '.join(refusal.why for refusal in quote.binding)}" for method, quote in quotes.items()
    )
