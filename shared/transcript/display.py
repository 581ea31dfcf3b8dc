"""How text is shown: how wide it is, and where a line may end in it.

Widths are in columns, as East Asian Width (UAX #11) counts them: a Latin letter takes one, a Chinese character two, a
combining mark none. wcwidth knows them, and which characters make one grapheme (UAX #29).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from unicodedata import category

from shared.transcript.spacing import is_east_asian, is_south_east_asian, needs_space

# The classes of UAX #14, and of JIS X 4051, that no line starts with (CL, CP, EX, IS, NS, CJ, PO) and that none ends
# with (OP, PR), as far as their general category does not say so: closing and opening brackets and quotes do.
_NEVER_FIRST = frozenset(
    "!,.:;?%\u2026\u2030\u00b0\u2032\u2033\u2103\u203c\u2047\u2048\u2049"
    "\u3001\u3002\u3005\u301c\u303b\u309b\u309c\u309d\u309e\u30a0\u30fb\u30fc\u30fd\u30fe"
    "\u3041\u3043\u3045\u3047\u3049\u3063\u3083\u3085\u3087\u308e\u3095\u3096"
    "\u30a1\u30a3\u30a5\u30a7\u30a9\u30c3\u30e3\u30e5\u30e7\u30ee\u30f5\u30f6"
    "\uff01\uff05\uff0c\uff0e\uff1a\uff1b\uff1f\uff5e\uff61\uff64\uff65\uff70\uff9e\uff9f"
    "\u061f\u06d4\u0964\u0965\u0e2f\u0e46\u0eaf\u0ec6\u104a\u104b\u17d4\u17d5\u17d6\u17d7"
) | frozenset(map(chr, range(0x31F0, 0x3200)))
_NEVER_LAST = frozenset("$\u00a3\u00a5\u20ac\u00bf\u00a1\uff04\uffe5")
_UNSEEN = frozenset({"Cf", "Zs", "Zl", "Zp"})
_CLOSING, _OPENING = frozenset({"Pe", "Pf", "Mn", "Mc", "Me"}), frozenset({"Ps", "Pi"})


def width(text: str) -> int:
    """Columns that a text without line breaks takes."""
    if text.isascii():
        return len(text)
    from wcwidth import width as columns

    return int(columns(text, control_codes="ignore"))


def visible(text: str) -> str:
    """The text without control characters, each run of whitespace one space; empty where a reader would see nothing."""
    if text.isprintable():  # nothing but text and spaces
        return " ".join(text.split())
    kept = "".join(" " if one.isspace() else one for one in text if one.isspace() or category(one) != "Cc")
    return "" if all(category(one) in _UNSEEN for one in kept) else " ".join(kept.split())


def graphemes(text: str) -> list[str]:
    """What a reader calls a character, each with its marks, joiners and modifiers."""
    if text.isascii():
        return list(text)
    from wcwidth import iter_graphemes

    return list(iter_graphemes(text))


def keeps_together(before: str, after: str) -> bool:
    """Whether a line may not end between two texts: before closing punctuation, or after opening punctuation.

    Of texts with a space between them only one that is nothing but such punctuation is kept at the other.
    """
    if needs_space(before, after):
        return all(map(_is_never_first, after)) or all(map(_is_never_last, before))
    return _is_never_first(after[0]) or _is_never_last(before[-1])


def begins_unspaced_word(text: str) -> bool:
    """Whether a word of Chinese or Japanese may begin with a text: not with closing punctuation or a small kana."""
    return text[:1] >= "\u2e80" and is_east_asian(text[0]) and not _is_never_first(text[0])


@lru_cache(maxsize=4096)
def break_units(text: str) -> Sequence[str]:
    """A word -> the parts between which a line may end in it; most words are one part.

    Lines end between the characters of Chinese and Japanese. In Thai, Lao, Khmer and Myanmar only a dictionary knows
    where a word ends, so a word of the engine is one.
    """
    if all(character < "\u0e00" for character in text):
        return (text,)
    units: list[str] = []
    for grapheme in graphemes(text):
        if units and _stays(units[-1], grapheme):
            units[-1] += grapheme
        else:
            units.append(grapheme)
    return tuple(units)


def cut(text: str, columns: int) -> Iterator[str]:
    """A text too wide for a line -> parts that fit, cut between graphemes."""
    part, taken = "", 0
    for grapheme in graphemes(text):
        taken += width(grapheme)
        if part and taken > columns:
            yield part
            part, taken = "", width(grapheme)
        part += grapheme
    if part:
        yield part


def _stays(before: str, after: str) -> bool:
    if needs_space(before, after):
        return True  # as in a word of any alphabet
    if is_south_east_asian(before[-1]) and is_south_east_asian(after[0]):
        return True
    return keeps_together(before, after)


def _is_never_first(character: str) -> bool:
    return character in _NEVER_FIRST or category(character) in _CLOSING


def _is_never_last(character: str) -> bool:
    return character in _NEVER_LAST or category(character) in _OPENING
