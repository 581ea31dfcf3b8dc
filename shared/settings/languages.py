"""Which languages are spoken, and which models and services have them."""

from __future__ import annotations

from pydantic import field_validator
from pydantic_settings import BaseSettings

from shared.languages.choice import MULTI, LanguageChoice, parse_language_choice
from shared.languages.deepgram import DEEPGRAM_LANGUAGES
from shared.languages.models import LANGUAGE_MODELS, LanguageModels
from shared.languages.table import LanguageTable
from shared.settings.field import SETTINGS_CONFIG, setting


class LanguageSettings(BaseSettings):
    """The language of uploads that name none, and the table of models by language."""

    model_config = SETTINGS_CONFIG

    language: str = setting(
        "en",
        "Language of uploads that bring no `transcribe-language`: a tag, several with commas, or `auto`.",
        unit="BCP 47 tag",
    )
    language_models: str = setting(
        LANGUAGE_MODELS,
        "Which model transcribes uploads of other languages than LANGUAGE, whose model is PARAKEET_MODEL_NAME:"
        " MODEL=LANGUAGES with `;` between models and spaces between languages; `*`: all others. The first model that"
        " has a language gets it. Empty: none but LANGUAGE.",
        source="the models' cards; Whisper: its tokenizer",
    )
    deepgram_languages: str = setting(
        DEEPGRAM_LANGUAGES,
        "Languages that DEEPGRAM_MODEL has, with spaces between them; no upload of another one is sent to it.",
        source="nova-3, Deepgram's changelog until 2026-03-31",
    )

    @field_validator("language")
    @classmethod
    def _is_language(cls, value: str) -> str:
        if value.strip().lower() != MULTI:
            parse_language_choice(value)
        return value

    @field_validator("language_models")
    @classmethod
    def _are_language_models(cls, value: str) -> str:
        LanguageModels.parse(value)
        return value

    @property
    def spoken_language(self) -> LanguageChoice | None:
        """LANGUAGE; None for Deepgram's `multi`, several languages within a recording."""
        return None if self.language.strip().lower() == MULTI else parse_language_choice(self.language)

    @property
    def language_table(self) -> LanguageTable:
        """Which models and services have which languages."""
        return LanguageTable(
            self.spoken_language,
            LanguageModels.parse(self.language_models),
            frozenset(self.deepgram_languages.replace(",", " ").split()),
        )
