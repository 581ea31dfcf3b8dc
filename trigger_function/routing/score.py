"""The cost policy: the lowest score, dollars plus minutes times their value (COST_OPTIMIZATION=true). Pure."""

from __future__ import annotations

from collections.abc import Sequence

from shared.costs.quotes import Limit, Quote
from shared.messages import Decision


def by_score(quotes: Sequence[Quote], usd_per_minute: float) -> Decision:
    """The best of the quotes without refusals; where every one has some, the least bad of those not forbidden.

    `quotes` has at least one that is not forbidden. Equal scores: the cheaper, then the faster, then the first.
    """
    allowed = [quote for quote in quotes if not quote.refusals]
    candidates = allowed or _least_bad([quote for quote in quotes if not quote.binding])
    best, *others = sorted(candidates, key=lambda quote: _rank(quote, usd_per_minute))
    sums = price_and_time(best)
    if not allowed:
        broken = "; ".join(refusal.why for refusal in best.refusals)
        reason = f"No method is within every limit; {best.method} is the least bad: {sums} ({broken})."
        return Decision(method=best.method, rule="least-bad", reason=reason)
    if not others:
        refused = "; ".join(
            f"{quote.method}: {', '.join(refusal.why for refusal in quote.refusals)}"
            for quote in quotes
            if quote.refusals
        )
        reason = f"Only {best.method} is within every limit: {sums} ({refused})."
        return Decision(method=best.method, rule="only-allowed", reason=reason)
    beaten = " and ".join(f"{price_and_time(other)} for {other.method}" for other in others)
    reason = f"{best.method.capitalize()} is worth most: {sums}, against {beaten}, a minute at ${usd_per_minute:g}."
    return Decision(method=best.method, rule="lowest-score", reason=reason)


def _least_bad(quotes: Sequence[Quote]) -> Sequence[Quote]:
    """Late or dear is better than waiting for a job that does not start."""
    startable = [quote for quote in quotes if all(refusal.limit is not Limit.NO_JOB for refusal in quote.refusals)]
    return startable or quotes


def _rank(quote: Quote, usd_per_minute: float) -> tuple[float, float, float]:
    return quote.score(usd_per_minute), quote.bill.usd, quote.completion_seconds


def price_and_time(quote: Quote) -> str:
    """`$0.0132 in 1.2 min`."""
    return f"${quote.bill.usd:.4f} in {quote.completion_seconds / 60:.1f} min"
