"""The cost policy: the lowest score, dollars plus minutes times their value (COST_OPTIMIZATION=true). Pure."""

from __future__ import annotations

from collections.abc import Sequence

from shared.costs.quote import Limit, Quote
from shared.messages import Decision


def by_score(quotes: Sequence[Quote], usd_per_minute: float) -> Decision:
    """The best of the quotes without refusals; where every one has some, the least bad of those not forbidden.

    `quotes` has at least one that is not forbidden. Equal scores: the cheaper, then the faster, then the first.
    """
    allowed = [quote for quote in quotes if not quote.refusals]
    candidates = allowed or _least_bad([quote for quote in quotes if not quote.binding])
    best, *others = sorted(candidates, key=lambda quote: _rank(quote, usd_per_minute))
    sums = price_and_time(best)

    def decided(rule: str, reason: str) -> Decision:
        return Decision(method=best.method, device=best.device, rule=rule, reason=reason)

    if not allowed:
        broken = "; ".join(refusal.why for refusal in best.refusals)
        return decided(
            "least-bad", f"No method is within every limit; {best.label} is the least bad: {sums} ({broken})."
        )
    if not others:
        refused = "; ".join(
            f"{quote.label}: {', '.join(refusal.why for refusal in quote.refusals)}"
            for quote in quotes
            if quote.refusals
        )
        return decided("only-allowed", f"Only {best.label} is within every limit: {sums} ({refused}).")
    beaten = " and ".join(f"{price_and_time(other)} for {other.label}" for other in others)
    name = best.label[0].upper() + best.label[1:]
    return decided("lowest-score", f"{name} is worth most: {sums}, against {beaten}, a minute at ${usd_per_minute:g}.")


def _least_bad(quotes: Sequence[Quote]) -> Sequence[Quote]:
    """Late or dear is better than waiting for a job that does not start."""
    startable = [quote for quote in quotes if all(refusal.limit is not Limit.NO_JOB for refusal in quote.refusals)]
    return startable or quotes


def _rank(quote: Quote, usd_per_minute: float) -> tuple[float, float, float]:
    return quote.score(usd_per_minute), quote.surely_usd, quote.completion_seconds


def price_and_time(quote: Quote) -> str:
    """`$0.0132 in 1.2 min`."""
    return f"${quote.bill.usd:.4f} in {quote.completion_seconds / 60:.1f} min"
