"""The restricted English that Tiny Parakeet knows: its words, and random sentences made of them.

No two words sound alike ("to" and "for" are missing because "two" and "four" are there), so a transcript can be right.
"""

import random

from tools.tiny_parakeet.languages.grammar import Grammar, salad, words

NUMBERS = words("zero one two three four five six seven eight nine ten eleven twelve twenty thirty hundred")
ADJECTIVES = words(
    "red green blue small big old new dark quiet happy white black yellow bright heavy early quick warm cold long"
)
NOUNS = words(
    "house river garden window doctor teacher dog bird train table book letter market city mountain "
    "school hotel office station bridge forest island kitchen picture camera computer music paper flower coffee water "
    "winter summer morning evening meeting report message story question"
)
VERBS = words(
    "found opened moved carried painted watched followed visited bought cleaned remembered finished answered wanted"
)
PREPOSITIONS = words("near behind under above with before after across around inside")
TIMES = words("today tomorrow yesterday again now tonight soon later")
NAMES = words("Anna Peter Maria Oscar Robert Helen David Julia Thomas Laura")
PRONOUNS = words("we they she you")
CONJUNCTIONS = words("and but because")
FUNCTION_WORDS = words(
    "the is was are call where who when please wait never always very many can not hello thank goodbye everyone"
)

_SPELLINGS = (
    NUMBERS + ADJECTIVES + NOUNS + VERBS + PREPOSITIONS + TIMES + NAMES + PRONOUNS + CONJUNCTIONS + FUNCTION_WORDS
)


def _noun_phrase(rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.35:
        return f"the {rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}"
    if draw < 0.65:
        return f"the {rng.choice(NOUNS)}"
    if draw < 0.80:
        return f"{rng.choice(NUMBERS)} {rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}"
    return rng.choice(NAMES)


def _subject(rng: random.Random) -> str:
    return rng.choice(PRONOUNS) if rng.random() < 0.3 else _noun_phrase(rng)


def _clause(rng: random.Random) -> str:
    adverb = rng.choice(("never ", "always ")) if rng.random() < 0.15 else ""
    return f"{_subject(rng)} {adverb}{rng.choice(VERBS)} {_noun_phrase(rng)}"


def _statement(rng: random.Random) -> str:
    when = f" {rng.choice(TIMES)}" if rng.random() < 0.3 else ""
    return f"{_clause(rng)}{when}."


def _placed_statement(rng: random.Random) -> str:
    return f"{_clause(rng)} {rng.choice(PREPOSITIONS)} {_noun_phrase(rng)}."


def _compound(rng: random.Random) -> str:
    return f"{_clause(rng)}, {rng.choice(CONJUNCTIONS)} {_clause(rng)}."


def _description(rng: random.Random) -> str:
    verb, negation = rng.choice(("is", "was")), rng.choice((" not", "", ""))
    degree = rng.choice((" very", ""))
    if rng.random() < 0.5:
        return f"{_noun_phrase(rng)} {verb}{negation}{degree} {rng.choice(ADJECTIVES)}."
    return f"{_noun_phrase(rng)} {verb}{negation} {rng.choice(PREPOSITIONS)} {_noun_phrase(rng)} {rng.choice(TIMES)}."


def _call(rng: random.Random) -> str:
    return "call " + " ".join(rng.choice(NUMBERS) for _ in range(rng.randint(2, 7))) + "."


def _request(rng: random.Random) -> str:
    who = f"{rng.choice(NAMES)}, " if rng.random() < 0.3 else ""
    return f"{who}please wait {rng.choice(PREPOSITIONS)} {_noun_phrase(rng)} {rng.choice(TIMES)}."


def _greeting(rng: random.Random) -> str:
    who = rng.choice((*NAMES, "everyone"))
    return rng.choice((f"hello {who}.", f"thank you {who}.", f"goodbye {who}.", f"hello {who}, {_clause(rng)}."))


def _question(rng: random.Random) -> str:
    kind = rng.randrange(5)
    if kind == 0:
        return f"where {rng.choice(('is', 'was'))} {_noun_phrase(rng)}?"
    if kind == 1:
        return f"who {rng.choice(VERBS)} {_noun_phrase(rng)} {rng.choice(TIMES)}?"
    if kind == 2:
        return f"when can {rng.choice(PRONOUNS)} call {_noun_phrase(rng)}?"
    if kind == 3:
        first = f"{rng.choice(NUMBERS)} {rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}"
        return f"where are the {first} and the {rng.choice(NOUNS)}?"
    return f"can you call {rng.choice(NAMES)} {rng.choice(TIMES)}?"


def _quantity(rng: random.Random) -> str:
    first, second = f"many {rng.choice(NOUNS)}", f"{rng.choice(NUMBERS)} {rng.choice(NOUNS)}"
    return f"{first} and {second} are {rng.choice(PREPOSITIONS)} {_noun_phrase(rng)}."


def _word_salad(rng: random.Random) -> str:
    """Words in no order, so that the model listens rather than learns the grammar by heart."""
    return salad(rng, _SPELLINGS, rng.randint(3, 8))


_PATTERNS = (
    _statement,
    _placed_statement,
    _compound,
    _description,
    _call,
    _request,
    _greeting,
    _question,
    _quantity,
    _word_salad,
)
_PATTERN_WEIGHTS = (18, 14, 12, 12, 8, 7, 6, 13, 3, 17)

ENGLISH = Grammar(
    tag="en",
    accents=(
        "gmw/en-US",
        "gmw/en",
        "gmw/en-GB-scotland",
        "gmw/en-GB-x-rp",
        "gmw/en-GB-x-gbclan",
        "gmw/en-GB-x-gbcwmd",
        "gmw/en-029",
        "gmw/en-US-nyc",
    ),
    spellings=_SPELLINGS,
    patterns=_PATTERNS,
    weights=_PATTERN_WEIGHTS,
)
