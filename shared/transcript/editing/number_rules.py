"""What stands around numbers in the languages whose sums of money, times and dates are known, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Currency:
    """How sums of one currency are said and written."""

    symbol: str
    names: frozenset[str]
    """Singular and plural, as one says them; the first two of `said` are among them."""
    said: tuple[str, str]
    """Of one, and of several."""
    cents: frozenset[str] = frozenset()
    said_cents: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class NumberRules:
    """One language's."""

    decimal: str = "."
    """Between a number and its fraction."""
    grouping: str = ","
    """Between thousands, from 10,000 on."""
    symbol_first: bool = False
    """Whether a currency's symbol stands before the sum."""
    point: str = "point"
    """The decimal mark, spoken."""
    link: str = "and"
    """Between a sum and its cents."""
    minus: frozenset[str] = frozenset()
    percent: tuple[tuple[str, ...], ...] = ()
    """As it is said, in small letters."""
    said_percent: str = ""
    scales: frozenset[str] = frozenset()
    """Numbers that stay words behind a number: 5 million."""
    ordinal_suffixes: tuple[str, ...] = ()
    currencies: tuple[Currency, ...] = ()
    months: frozenset[str] = frozenset()
    year_words: frozenset[str] = frozenset()
    """Words before a year."""
    time_words: frozenset[str] = frozenset()
    """Words before a time of day."""
    hour_word: Mapping[str, str] = field(default_factory=dict)
    """What is said between hours and minutes, and how it is written: `{}` stands for both."""

    def currency(self, name: str) -> Currency | None:
        """The currency of a word."""
        return next((one for one in self.currencies if name in one.names), None)


def _currency(symbol: str, one: str, many: str, cent: str = "", cents: str = "", *others: str) -> Currency:
    own_cents = frozenset({cent.lower(), cents.lower()} - {""})
    names = frozenset(name.lower() for name in (one, many, symbol, *others))
    return Currency(symbol, names, (one, many), own_cents, (cent, cents))


RULES: Mapping[str, NumberRules] = {
    "en": NumberRules(
        symbol_first=True,
        minus=frozenset({"minus", "negative"}),
        percent=(("percent",), ("per", "cent")),
        said_percent="percent",
        scales=frozenset({"million", "billion", "trillion"}),
        ordinal_suffixes=("st", "nd", "rd", "th"),
        currencies=(
            _currency("$", "dollar", "dollars", "cent", "cents", "bucks"),
            _currency("\u20ac", "euro", "euros", "cent", "cents"),
            # Not "pound": what is weighed is said the same way.
            _currency("\u00a5", "yen", "yen"),
        ),
        months=frozenset(
            [
                "january",
                "february",
                "march",
                "april",
                "may",
                "june",
                "july",
                "august",
                "september",
                "october",
                "november",
                "december",
            ]
        ),
        year_words=frozenset(
            ["in", "since", "of", "by", "year", "until", "from", "before", "after", "around", "circa"]
        ),
        time_words=frozenset({"at", "by", "until", "till", "around", "before", "after", "from", "since", "about"}),
    ),
    "de": NumberRules(
        decimal=",",
        grouping=".",
        point="Komma",
        link="und",
        minus=frozenset({"minus"}),
        percent=(("prozent",),),
        said_percent="Prozent",
        scales=frozenset({"million", "millionen", "milliarde", "milliarden"}),
        currencies=(
            _currency("\u20ac", "Euro", "Euro", "Cent", "Cent"),
            _currency("$", "Dollar", "Dollar", "Cent", "Cent"),
            _currency("CHF", "Franken", "Franken", "Rappen", "Rappen"),
        ),
        months=frozenset(
            [
                "januar",
                "februar",
                "märz",
                "april",
                "mai",
                "juni",
                "juli",
                "august",
                "september",
                "oktober",
                "november",
                "dezember",
            ]
        ),
        hour_word={"uhr": "{}:{} Uhr"},
    ),
    "fr": NumberRules(
        decimal=",",
        grouping="\u202f",
        point="virgule",
        link="et",
        minus=frozenset({"moins"}),
        percent=(("pour", "cent"), ("pourcent",)),
        said_percent="pour cent",
        scales=frozenset({"million", "millions", "milliard", "milliards"}),
        currencies=(
            _currency("\u20ac", "euro", "euros", "centime", "centimes"),
            _currency("$", "dollar", "dollars", "cent", "cents"),
        ),
        months=frozenset(
            [
                "janvier",
                "février",
                "mars",
                "avril",
                "mai",
                "juin",
                "juillet",
                "août",
                "septembre",
                "octobre",
                "novembre",
                "décembre",
            ]
        ),
        hour_word={"heures": "{}h{}", "heure": "{}h{}"},
    ),
    "es": NumberRules(
        decimal=",",
        grouping=".",
        point="coma",
        link="con",
        minus=frozenset({"menos"}),
        percent=(("por", "ciento"),),
        said_percent="por ciento",
        scales=frozenset({"mill\u00f3n", "millones"}),
        currencies=(
            _currency("\u20ac", "euro", "euros", "c\u00e9ntimo", "c\u00e9ntimos"),
            _currency("$", "d\u00f3lar", "d\u00f3lares", "centavo", "centavos"),
        ),
        months=frozenset(
            [
                "enero",
                "febrero",
                "marzo",
                "abril",
                "mayo",
                "junio",
                "julio",
                "agosto",
                "septiembre",
                "octubre",
                "noviembre",
                "diciembre",
            ]
        ),
    ),
}
"""By language, as ISO 639-1 has it."""

NUMBERS_ONLY = frozenset({"pt", "it", "nl", "da"})
"""Languages of which numbers are read, and nothing around them."""


def rules_of(language: str) -> tuple[str, NumberRules] | None:
    """A BCP 47 tag -> its language and rules; None where not even numbers are known."""
    code = language.partition("-")[0].lower()
    if code in RULES:
        return code, RULES[code]
    return (code, NumberRules(decimal=",", grouping=".")) if code in NUMBERS_ONLY else None
