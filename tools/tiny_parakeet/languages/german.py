"""The restricted German of the second tiny model: 64 words, with umlauts and capitalised nouns.

Its sentences are word for word, so that no ending depends on a case: subject, verb, a plural without an article.
"""

import random

from tools.tiny_parakeet.languages.grammar import Grammar, salad, words

NUMBERS = words("zwei drei vier fünf sechs sieben acht neun zehn elf zwölf zwanzig")
ADJECTIVES = words("rote grüne kleine große alte neue schöne schwarze weiße schnelle")
NOUNS = words("Häuser Gärten Bücher Hunde Vögel Züge Städte Brücken Fenster Blumen Bilder Fragen")
VERBS = words("öffnet findet malt kauft bringt sucht zeigt")
NAMES = words("Jürgen Sabine Wolfgang Käthe Dieter Ursula")
TIMES = words("heute morgen gestern wieder jetzt")
FUNCTION_WORDS = words("und aber nicht wer bitte danke warten immer niemals schließlich weil auch")

_SPELLINGS = NUMBERS + ADJECTIVES + NOUNS + VERBS + NAMES + TIMES + FUNCTION_WORDS


def _things(rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.4:
        return f"{rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}"
    if draw < 0.7:
        return f"{rng.choice(NUMBERS)} {rng.choice(NOUNS)}"
    return f"{rng.choice(NUMBERS)} {rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}"


def _clause(rng: random.Random) -> str:
    adverb = f" {rng.choice(('immer', 'niemals', 'auch', 'schließlich'))}" if rng.random() < 0.3 else ""
    return f"{rng.choice(NAMES)} {rng.choice(VERBS)}{adverb} {_things(rng)}"


def _statement(rng: random.Random) -> str:
    when = f" {rng.choice(TIMES)}" if rng.random() < 0.4 else ""
    return f"{_clause(rng)}{when}."


def _compound(rng: random.Random) -> str:
    return f"{_clause(rng)}, {rng.choice(('und', 'aber'))} {_clause(rng)}."


def _question(rng: random.Random) -> str:
    return f"wer {rng.choice(VERBS)} {rng.choice(TIMES)} {_things(rng)}?"


def _refusal(rng: random.Random) -> str:
    return f"{rng.choice(NAMES)} {rng.choice(VERBS)} {rng.choice(TIMES)} nicht, weil {rng.choice(NAMES)} auch malt."


def _request(rng: random.Random) -> str:
    return f"{rng.choice(NAMES)}, bitte {rng.choice(TIMES)} {rng.choice(('warten', 'nicht warten'))}."


def _thanks(rng: random.Random) -> str:
    return f"danke {rng.choice(NAMES)}, {_clause(rng)}."


def _count(rng: random.Random) -> str:
    return " ".join(rng.choice(NUMBERS) for _ in range(rng.randint(3, 7))) + "."


def _word_salad(rng: random.Random) -> str:
    return salad(rng, _SPELLINGS, rng.randint(3, 8))


GERMAN = Grammar(
    tag="de",
    accents=("gmw/de",),
    spellings=_SPELLINGS,
    patterns=(_statement, _compound, _question, _refusal, _request, _thanks, _count, _word_salad),
    weights=(30, 14, 12, 6, 6, 6, 8, 18),
    scale=0.2,
    variants=words("f1 f2 f3 f4 m1 m2 m3 m4 m6 m7 Lee Mike Andrea max pablo linda"),
)
