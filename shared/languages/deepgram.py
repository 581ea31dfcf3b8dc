"""Languages that Deepgram's models have."""

from __future__ import annotations

from collections.abc import Collection

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


_NOVA_3_MULTI = (
    "af ar be bg bn bs ca cs da de el en es et fa fi fr gl gu he hi hr hu id it ja kn ko lt lv mk mr ms nl no pl pt ro"
    " ru sk sl sr sv ta te th tl tr uk vi xh zh zu"
)
DEEPGRAM_MULTI = {
    "nova-3": frozenset(_NOVA_3_MULTI.split()),
    "nova-3-medical": frozenset(["de", "en", "es", "fr", "hi", "it", "ja", "nl", "pt", "ru"]),
    "nova-2": frozenset(["en", "es"]),
}
"""Languages between which a recording may change with `language=multi`; other models, as nova-2-meeting, have none and
refuse it. Source: https://developers.deepgram.com/docs/nova-3-language-prompting (55 with regions, since 2026-10-23;
read on 2026-11-29) and its changelogs of 2026-10-06 (medical) and 2024-07-16."""


def multi_languages(model: str) -> frozenset[str]:
    """Those of one of Deepgram's models; none where it has no `multi`."""
    return DEEPGRAM_MULTI.get(model.removesuffix("-general"), frozenset())


def hears_several(codes: Collection[str], model: str) -> bool:
    """Whether a model is asked for `multi` where these languages, without script and region, are spoken."""
    return len(codes) > 1 and multi_languages(model).issuperset(codes)


def deepgram_language_obstacle(choice: LanguageChoice, languages: frozenset[str], model: str) -> str | None:
    """Why Deepgram would not understand an upload; None where it does. `languages`: those that `model` has."""
    if choice.known is not None:
        return None if choice.codes[0] in languages else f"Deepgram's model does not speak {choice.known}"
    if hears_several(choice.codes, model):
        return None
    unknown = [code for code in choice.codes if code not in DEEPGRAM_DETECTED]
    return f"Deepgram does not detect {', '.join(unknown)}" if unknown else None
