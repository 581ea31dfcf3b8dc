"""Which languages are spoken, and which models and services have them."""

from __future__ import annotations

from pydantic import field_validator
from pydantic_settings import BaseSettings

from shared.languages.choice import MULTI, LanguageChoice, parse_language_choice
from shared.languages.deepgram import DEEPGRAM_LANGUAGES
from shared.languages.models import LANGUAGE_MODELS, PUBLISHED_MODEL, LanguageModels
from shared.languages.table import LanguageTable
from shared.languages.trial import TRIAL_SECONDS
from shared.settings.field import SETTINGS_CONFIG, setting


class LanguageSettings(BaseSettings):
    """The language of uploads that name none, the jobs' own model, and the table of others by language."""

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
    parakeet_model_name: str = setting(
        PUBLISHED_MODEL,
        "Model: a name at NeMo or Hugging Face, a .nemo file, a directory made by `dropscribe prepare-model`, or, on"
        " the CPU, a folder with ONNX networks in onnx-asr's layout. The images set their jobs'"
        " own; the function looks it up in LANGUAGE_MODELS for quotes.",
        min_length=1,
    )
    language_trial_seconds: float = setting(
        TRIAL_SECONDS,
        "Speech that each model hears of an upload of several languages or `auto`, until one is chosen for the rest."
        " 0: none does, and the one of LANGUAGE_MODELS that has the languages hears all.",
        unit="s",
        source="a minute has some 150 words",
        ge=0,
        le=600,
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
