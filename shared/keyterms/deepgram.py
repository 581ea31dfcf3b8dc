"""Key terms as Deepgram takes them: fewer, and without weights.

https://developers.deepgram.com/docs/keyterm: Nova-3 only, up to 100 terms, 500 tokens in a request; more is refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from shared.enums import Engine
from shared.keyterms.report import EngineTerms
from shared.keyterms.terms import Keyterm

MOST_TERMS = 100
MOST_TOKENS = 500

BYTES_PER_TOKEN = 3
"""Of UTF-8. Its tokenizer is not public; tokens of English have 4 and more, those of rare names fewer. With one token
on top for each phrase the sum stays below the limit."""

MODELS = "nova-3"
"""What names of models that take terms begin with."""


@dataclass(frozen=True)
class DeepgramTerms:
    """What is sent."""

    phrases: tuple[str, ...]
    left_out: tuple[str, ...]
    reason: str
    """Why something is left out; empty where nothing is."""


def deepgram_terms(terms: Sequence[Keyterm], model: str) -> DeepgramTerms:
    """As many terms as fit, those with the highest weights first; none where the model takes none."""
    if not model.startswith(MODELS):
        phrases = tuple(term.phrase for term in terms)
        return DeepgramTerms((), phrases, f"Deepgram's {model} takes no key terms." if phrases else "")
    sent: list[str] = []
    left_out: list[str] = []
    tokens = 0
    for term in sorted(terms, key=lambda term: -term.weight):
        cost = 1 + math.ceil(len(term.phrase.encode()) / BYTES_PER_TOKEN)
        if len(sent) < MOST_TERMS and tokens + cost <= MOST_TOKENS:
            sent.append(term.phrase)
            tokens += cost
        else:
            left_out.append(term.phrase)
    limit = f"Deepgram takes {MOST_TERMS} terms with {MOST_TOKENS} tokens at most, and no weights."
    return DeepgramTerms(tuple(sent), tuple(left_out), limit if left_out else "")


def terms_at_deepgram(terms: Sequence[Keyterm], model: str) -> EngineTerms:
    """What Deepgram makes of the terms, for the report."""
    sent = deepgram_terms(terms, model)
    favoured = model.startswith(MODELS)
    return EngineTerms(engine=Engine.DEEPGRAM, favoured=favoured, left_out=sent.left_out, reason=sent.reason)
