"""Which model hears an upload, by the language that its owner says is spoken."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpu_job.asr.recognizer import SpeechModel
from shared.languages.choice import LanguageChoice
from shared.languages.models import OTHER, hears_one_language
from shared.languages.table import LanguageTable
from shared.languages.trial import models_on_trial


@dataclass(frozen=True)
class TrialModels:
    """What an upload may be heard with of whose language little is known: several."""

    known: tuple[SpeechModel, ...]
    """With languages of their own, the deployment's own one first."""
    other: SpeechModel | None
    """For any other language; None where there is none."""


@dataclass(frozen=True)
class SpeechModels:
    """An engine's own model, and the deployment's table of others."""

    own: str
    """As PARAKEET_MODEL_NAME has it."""
    table: LanguageTable = field(default_factory=LanguageTable)
    release: str = ""
    """What the own one is a copy of, as PARAKEET_MODEL_RELEASE has it: `MODEL@REVISION`."""

    def of(self, asked: LanguageChoice | None) -> SpeechModel:
        """The model for an upload. `asked`: its owner's; None: nothing. Where none has the language, routing has
        forbidden the job, or somebody insisted: then the engine's own model hears it."""
        name = self.table.model_for(asked) or self.own
        choice = asked or self.table.own
        tag = choice.known if choice is not None else None
        return SpeechModel(name, tag if hears_one_language(name) else None)

    def on_trial(self, asked: LanguageChoice | None, *, on_gpu: bool) -> TrialModels | None:
        """The models for an upload that may be in several languages, as `models_on_trial`; None: there is no choice."""
        copy_of = self.release.partition("@")[0]
        found = models_on_trial(self.table, self.own, asked, on_gpu=on_gpu, copy_of=copy_of)
        if found is None:
            return None
        return TrialModels(
            tuple(map(SpeechModel, found.known)), None if found.other is None else SpeechModel(found.other)
        )

    def languages_of(self, model: SpeechModel | None) -> tuple[str, ...]:
        """Those that the table names for a model; none where it has them all, or is not in the table."""
        named = (one.languages for one in self.table.models.models if model is not None and one.model == model.name)
        languages = next(named, frozenset())
        return () if OTHER in languages else tuple(sorted(languages))
