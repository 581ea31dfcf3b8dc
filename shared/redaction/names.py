"""Names of people: given and family names that are known, and what is said around a name.

The lists are Faker's, of several countries: names by how many people have them, which the project need not keep. A name
that is an English word, too (`will`, `may`, `mark`), counts only where a family name, a title or an introduction stands
beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module

from shared.redaction.english import words_of
from shared.redaction.entities import Entity, Label
from shared.redaction.tokens import Token, is_cased, normalized

_LOCALES = ("en_US", "en_GB", "en_IN", "es_ES", "de_DE", "fr_FR", "it_IT", "pt_BR", "nl_NL", "pl_PL", "tr_TR")
_PLAIN_LOCALES = ("en_US", "en_GB", "en_IN")
"""Whose given names count in a text without capitals, too."""
_SHORTEST = 3
"""Letters of a name from the lists."""

_TITLES = words_of("names", "titles")
_INTRODUCTIONS = (
    ("my", "name", "is"),
    ("name", "is"),
    ("names", "is"),
    ("my", "name's"),
    ("full", "name's"),
    ("first", "name's"),
    ("last", "name's"),
    ("maiden", "name's"),
    ("surname's",),
    ("what's", "your", "name"),
    ("what", "is", "your", "name"),
    ("full", "name"),
    ("last", "name"),
    ("first", "name"),
    ("surname", "is"),
    ("surname",),
    ("maiden", "name"),
    ("call", "me"),
    ("speaking", "with"),
    ("speaking", "to"),
    ("speak", "to"),
    ("speak", "with"),
    ("talking", "to"),
    ("signed",),
)
"""What a name follows, known or not."""
_SOFT_INTRODUCTIONS = (
    ("this", "is"),
    ("i'm",),
    ("i", "am"),
    ("hi",),
    ("hello",),
    ("hey",),
    ("dear",),
    ("thanks",),
    ("thank", "you"),
    ("named",),
    ("called",),
)
"""What a name may follow: only one that is known, or one with `speaking`, `calling` or `from` behind it."""
_SPEAKING = frozenset(["speaking", "calling", "here", "from"])
_BETWEEN = frozenset({"is", "uh", "um", "it's", "was", "and", "please"})
"""May stand between an introduction and the name."""
_MOST_PARTS = 3
"""Words of a name behind an introduction."""

_SHORT_FORMS = words_of("names", "short_forms")
"""Given names that lists of births lack."""

_WORDS = words_of("names", "words")
"""English words that are names, too, or could be taken for one behind an introduction."""


@cache
def _given() -> frozenset[str]:
    return _SHORT_FORMS.union(*(_names_of(locale, "first_names") for locale in _LOCALES))


@cache
def _plain_given() -> frozenset[str]:
    return _SHORT_FORMS.union(*(_names_of(locale, "first_names") for locale in _PLAIN_LOCALES))


@cache
def _family() -> frozenset[str]:
    return frozenset().union(*(_names_of(locale, "last_names") for locale in _LOCALES))


def _names_of(locale: str, kind: str) -> frozenset[str]:
    provider = import_module(f"faker.providers.person.{locale}").Provider
    attributes = [kind] if kind == "last_names" else [kind, f"{kind}_male", f"{kind}_female"]
    names: set[str] = set()
    for attribute in attributes:
        for name in getattr(provider, attribute, ()) or ():
            names.update(part.lower() for part in str(name).split() if len(part) >= _SHORTEST)
    return frozenset(names)


_PLACE_PREFIXES = words_of("names", "place_prefixes")
_LEAST_SPELLED = 4
"""Letters in a row: fewer are `a b` or `u s`."""


def find_names(tokens: Sequence[Token]) -> Iterator[Entity]:
    """Names, and every later or earlier place where the same name stands alone."""
    cased = is_cased(tokens)
    found = [
        *_spelled(tokens),
        *_introduced(tokens, cased=cased),
        *_titled(tokens, cased=cased),
        *_listed(tokens, cased=cased),
    ]
    yield from found
    known = {
        tokens[at].text
        for entity in found
        for at in range(entity.first, entity.last + 1)
        if len(tokens[at].text) >= _SHORTEST and tokens[at].text not in _WORDS | _TITLES
    }
    for at, token in enumerate(tokens):
        if token.text in known:
            yield Entity(at, _spelled_end(tokens, at), Label.NAME)


_NO_NAMES_IN_ANSWERS = frozenset({"good", "the", "more", "else", "doctor", "right"})
"""Listed as names, and said more often for what they mean."""


def may_be_no_name(word: str, *, is_answer: bool = False) -> bool:
    """Whether a word of a transcript is an English one, too. Where it answers a question for a name: and no name."""
    text = normalized(word)
    if is_answer and text not in _NO_NAMES_IN_ANSWERS and (text in _given() or text in _family()):
        return False
    return text in _WORDS | _TITLES | _BETWEEN | {"it"}


def _is_name_like(token: Token, *, cased: bool) -> bool:
    """Whether a word behind an introduction or a title may be a name."""
    letters = token.text.replace("-", "").replace("'", "")
    if not letters.isalpha() or token.text in _INTRODUCING or token.text in _TITLES:
        return False
    return token.is_capitalized if cased else token.text not in _WORDS


_INTRODUCING = frozenset({"the", "a", "an", "not", "i", "my", "your", "our", "that", "this", "it", "of", "in", "on"})


def _introduced(tokens: Sequence[Token], *, cased: bool) -> Iterator[Entity]:
    texts = [_with_its_s(token) for token in tokens]
    for phrases, is_sure in ((_INTRODUCTIONS, True), (_SOFT_INTRODUCTIONS, False)):
        for phrase in phrases:
            for start in range(len(texts) - len(phrase)):
                if tuple(texts[start : start + len(phrase)]) != phrase:
                    continue
                first = start + len(phrase)
                while first < len(tokens) and texts[first] in _BETWEEN and is_sure:
                    first += 1
                is_asked = first < len(tokens) and tokens[first - 1].written.endswith("?")
                if is_asked and may_be_no_name(tokens[first].text, is_answer=True):
                    continue  # "What's your name? Thank you."
                last = _name_end(tokens, first, cased=cased)
                if last is None:
                    continue
                behind = texts[last + 1] if last + 1 < len(texts) else ""
                if is_sure or _is_known(tokens[first]) or behind in _SPEAKING - {"here"}:
                    yield Entity(first, last, Label.NAME)


def _with_its_s(token: Token) -> str:
    """`name's` as it was said: without it "my name's" is no introduction."""
    said = token.written.lower().replace("\u2019", "'").rstrip(".,;:!?")
    return f"{token.text}'s" if said.endswith("'s") else token.text


def _is_known(token: Token) -> bool:
    return token.text in _given() and (token.text not in _WORDS or token.is_capitalized)


def _name_end(tokens: Sequence[Token], first: int, *, cased: bool) -> int | None:
    """The last word of a name that begins here; None where none does. Spelled letters count: `s m i t h`."""
    if first >= len(tokens):
        return None
    last = None
    for at in range(first, min(len(tokens), first + _MOST_PARTS)):
        token = tokens[at]
        is_part = _is_name_like(token, cased=cased)
        if not cased and at > first:
            is_part = is_part and (token.text in _family() or token.text in _given())
        if not is_part or len(token.text) == 1:
            break
        last = at
        if token.written.endswith((".", "?", "!", ",", ";", ":")):
            break
    if last is None:
        end = _letters_end(tokens, first)
        return end if end is not None and end - first >= 2 else None
    return _spelled_end(tokens, last)


def _letters_end(tokens: Sequence[Token], first: int) -> int | None:
    """The last of letters that are spelled one by one from here on: `s m i t h`, `S-M-I-T-H`."""
    at = first
    while at < len(tokens) and _is_spelling(tokens[at].text):
        at += 1
    return at - 1 if at > first else None


def _is_spelling(text: str) -> bool:
    return (len(text) == 1 and text.isalpha()) or (
        len(text) >= 5 and all(len(part) == 1 for part in text.replace(".", "-").split("-"))
    )


def _spelled_end(tokens: Sequence[Token], last: int) -> int:
    """With its spelling behind it: `smith s m i t h`, `Smith, that's S-M-I-T-H`."""
    at = last + 1
    while at < len(tokens) and at <= last + 3 and tokens[at].text in {"that", "is", "spelled", "spelt", "s"}:
        if tokens[at].text == "s":
            break
        at += 1
    end = _letters_end(tokens, at)
    if end is not None and (end - at >= 2 or len(tokens[at].text) >= 5):
        return end
    return last


def _spelled(tokens: Sequence[Token]) -> Iterator[Entity]:
    """Words that are spelled letter by letter: names, more often than anything else."""
    at = 0
    while at < len(tokens):
        end = _letters_end(tokens, at)
        if end is not None and (end - at + 1 >= _LEAST_SPELLED or len(tokens[at].text) >= 2 * _LEAST_SPELLED - 1):
            yield Entity(at, end, Label.NAME)
        at = at + 1 if end is None else end + 1


def _titled(tokens: Sequence[Token], *, cased: bool) -> Iterator[Entity]:
    for at, token in enumerate(tokens[:-1]):
        if token.text in _TITLES and not token.written.endswith((",", "?", "!")):
            last = _name_end(tokens, at + 1, cased=cased)
            if last is not None:
                yield Entity(at + 1, last, Label.NAME)


def _listed(tokens: Sequence[Token], *, cased: bool) -> Iterator[Entity]:
    """Given names that are known, with the family names behind them."""
    given, family = _given(), _family()
    at = 0
    while at < len(tokens):
        token = tokens[at]
        text = token.text
        following = tokens[at + 1] if at + 1 < len(tokens) else None
        has_family = following is not None and _is_family(following, family, cased=cased) and not _stops(token)
        is_given = text in given or (cased and token.is_capitalized and text in family)
        is_sure = text not in _WORDS and (token.is_capitalized if cased else text in _plain_given())
        is_doubtful = text in _WORDS and (token.is_capitalized or not cased) and text in given
        is_place = at > 0 and tokens[at - 1].text in _PLACE_PREFIXES
        if is_given and not is_place and (is_sure or (is_doubtful and has_family and _is_no_word(following))):
            last = at + 1 if has_family else at
            yield Entity(at, _spelled_end(tokens, last), Label.NAME)
            at = last + 1
        else:
            at += 1


def _stops(token: Token) -> bool:
    return token.written.endswith((".", "?", "!", ",", ";", ":"))


def _is_no_word(token: Token | None) -> bool:
    return token is not None and (token.text not in _WORDS or token.is_capitalized)


def _is_family(token: Token, family: frozenset[str], *, cased: bool) -> bool:
    if cased:
        # Behind a given name a capital is enough: most families are in no list.
        return token.is_capitalized and token.text.replace("-", "").replace("'", "").isalpha() and len(token.text) > 1
    return token.text in family and token.text not in _WORDS
