"""Joining written words: with a space, but for scripts that put none between words."""

from __future__ import annotations

from collections.abc import Iterable

# Blocks by Unicode's Blocks.txt. Korean (Hangul) is not among them: it puts spaces between its words.
EAST_ASIAN = (
    ("\u2e80", "\u30ff"),  # radicals, CJK punctuation such as 、 and 。, Hiragana, Katakana
    ("\u3100", "\u312f"),  # Bopomofo
    ("\u3190", "\u31ff"),  # Kanbun, Bopomofo and Katakana extensions, strokes
    ("\u3400", "\u4dbf"),  # Han, extension A
    ("\u4e00", "\u9fff"),  # Han
    ("\uf900", "\ufaff"),  # Han, compatibility
    ("\ufe30", "\ufe4f"),  # vertical and low punctuation
    ("\uff01", "\uff9f"),  # full-width Latin and punctuation, half-width Katakana
    ("\U0001b000", "\U0001b16f"),  # Kana supplements
    ("\U00020000", "\U0003fffd"),  # Han, extensions B and later
)
SOUTH_EAST_ASIAN = (
    ("\u0e00", "\u0e7f"),  # Thai
    ("\u0e80", "\u0eff"),  # Lao
    ("\u1000", "\u109f"),  # Myanmar
    ("\u1780", "\u17ff"),  # Khmer
    ("\u19e0", "\u19ff"),  # Khmer symbols
    ("\ua9e0", "\ua9ff"),  # Myanmar, extension B
    ("\uaa60", "\uaa7f"),  # Myanmar, extension A
)


def join_words(texts: Iterable[str]) -> str:
    """Words or sentences -> one text. Chinese and Japanese take no space on either side; Thai, Lao, Khmer and Myanmar
    none between themselves, for they do put spaces around foreign words and numbers."""
    parts: list[str] = []
    for text in texts:
        if parts and needs_space(parts[-1], text):
            parts.append(" ")
        if text:
            parts.append(text)
    return "".join(parts)


def needs_space(before: str, after: str) -> bool:
    """Whether a space stands between two written words."""
    if not before or not after:
        return False
    left, right = before[-1], after[0]
    if left < "\u0e00" and right < "\u0e00":  # the common case, decided without a table
        return True
    if is_east_asian(left) or is_east_asian(right):
        return False
    return not (is_south_east_asian(left) and is_south_east_asian(right))


def is_east_asian(character: str) -> bool:
    """Whether it is of the scripts of Chinese and Japanese, their punctuation included."""
    return _is_in(character, EAST_ASIAN)


def is_south_east_asian(character: str) -> bool:
    """Whether it is Thai, Lao, Khmer or Myanmar, whose words only a dictionary tells apart."""
    return _is_in(character, SOUTH_EAST_ASIAN)


def _is_in(character: str, blocks: tuple[tuple[str, str], ...]) -> bool:
    return any(first <= character <= last for first, last in blocks)
