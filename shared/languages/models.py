"""Which model transcribes which language: a deployment's table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from shared.languages.choice import LanguageChoice, language_tag, primary_language

PUBLISHED_MODEL = "nvidia/parakeet-tdt-0.6b-v2"
"""What is transcribed with unless another model is named; docs/decisions/ has why v2 and not v3."""

OTHER = "*"
"""In a table: every language that no other model of it has."""

LANGUAGE_MODELS = (
    f"{PUBLISHED_MODEL}=en;"
    "nvidia/parakeet-tdt-0.6b-v3=bg hr cs da nl en et fi fr de el hu it lv lt mt pl pt ro sk sl es sv ru uk;"
    "whisper-base=*"
)
"""Languages of v3: its model card at Hugging Face, 25. Whisper's: its tokenizer, 99, of very different quality."""


@dataclass(frozen=True)
class LanguageModel:
    """A model and the languages that it has."""

    model: str
    languages: frozenset[str]
    """Codes without script and region; OTHER stands for all."""

    def has(self, codes: tuple[str, ...]) -> bool:
        """Whether it has all of them."""
        return OTHER in self.languages or self.languages.issuperset(codes)

    @property
    def runs_on_gpu(self) -> bool:
        """Whether NeMo can load it. What else there is runs on ONNX Runtime, and that on a CPU."""
        return runs_on_gpu(self.model)


@dataclass(frozen=True)
class LanguageModels:
    """The table: of the models that have a language, the first one gets it."""

    models: tuple[LanguageModel, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """`MODEL=en;MODEL=de fr;MODEL=*`. Raises ValueError, which says what is wrong with it."""
        models = []
        for entry in filter(None, (part.strip() for part in text.split(";"))):
            model, equals, languages = (part.strip() for part in entry.rpartition("="))
            if not (model and equals and languages):
                raise ValueError(f"{entry!r} has to be MODEL=LANGUAGES, such as nvidia/parakeet-tdt-0.6b-v3=de fr")
            codes = set()
            for word in languages.replace(",", " ").split():
                tag = OTHER if word == OTHER else language_tag(word)
                if tag is None:
                    raise ValueError(f"{word!r} of {model} is no language")
                codes.add(primary_language(tag))
            models.append(LanguageModel(model, frozenset(codes)))
        return cls(tuple(models))

    def model_for(self, choice: LanguageChoice) -> LanguageModel | None:
        """The model that hears an upload; None where none has its languages.

        Of several languages one model has to have all. Where nothing is known of them, the one that names most of them
        hears it: a model for any language comes behind it, for it is slower and less sure.
        """
        if not choice.tags:
            named = [one for one in self.models if OTHER not in one.languages]
            largest = max(named, key=lambda one: len(one.languages), default=None)
            return largest if largest is not None and len(largest.languages) > 1 else self._other or largest
        return next((one for one in self.models if one.has(choice.codes)), None)

    @property
    def _other(self) -> LanguageModel | None:
        return next((one for one in self.models if OTHER in one.languages), None)


def runs_on_gpu(model: str) -> bool:
    """Whether NeMo can load a model of this name: NVIDIA's own, a `.nemo` file, a prepared folder (a path)."""
    return model.startswith(("nvidia/", "/", "./")) or model.endswith(".nemo")


def takes_no_keyterms(model: str) -> bool:
    """Whether a model is known by its name to favour no key terms: only the decoder of TDT models does."""
    name = model.lower()
    return any(kind in name for kind in ("whisper", "canary", "ctc", "rnnt"))


def hears_one_language(model: str) -> bool:
    """Whether a model is told the language of what it hears, so that chunks of two are not one batch."""
    name = model.lower()
    return "whisper" in name or "canary" in name
