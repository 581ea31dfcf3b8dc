"""Languages that Deepgram's models have."""

from __future__ import annotations

from shared.languages.choice import LanguageChoice

DEEPGRAM_LANGUAGES = (
    "be bg bn bs ca cs da de el en es et fi fr hi hr hu id it ja kn ko lt lv mk mr ms nl no pl pt ro ru sk sl sr sv ta"
    " te th tl tr uk vi zh"
)
"""Of nova-3, as Deepgram's changelog named them by and by (August 2025 to March 2026)."""

DEEPGRAM_DETECTED = frozenset(
    ["de", "en", "es", "fr", "hi", "id", "it", "ja", "ko", "nl", "pt", "ru", "sv", "tr", "uk", "zh"]
)
"""Those that `detect_language` finds. Source: https://developers.deepgram.com/docs/language-detection"""


def deepgram_language_obstacle(choice: LanguageChoice, languages: frozenset[str]) -> str | None:
    """Why Deepgram would not understand an upload; None where it does. `languages`: those that its model has."""
    if choice.known is not None:
        return None if choice.codes[0] in languages else f"Deepgram's model does not speak {choice.known}"
    unknown = [code for code in choice.codes if code not in DEEPGRAM_DETECTED]
    return f"Deepgram does not detect {', '.join(unknown)}" if unknown else None
