"""What a deployment transcribes which language with: its own model, others by its table, Deepgram."""

from __future__ import annotations

from dataclasses import dataclass

from shared.enums import JobDevice
from shared.languages.choice import LanguageChoice
from shared.languages.deepgram import DEEPGRAM_LANGUAGES, deepgram_language_obstacle
from shared.languages.models import LANGUAGE_MODELS, OTHER, LanguageModel, LanguageModels

ENGLISH = LanguageChoice(tags=("en",))
PUBLISHED_MODELS = LanguageModels.parse(LANGUAGE_MODELS)


@dataclass(frozen=True)
class LanguageTable:
    """A deployment's languages. The defaults are those of the settings."""

    own: LanguageChoice | None = ENGLISH
    """What its own model is for; None: whatever that is, Deepgram is asked for several within a recording."""
    models: LanguageModels = PUBLISHED_MODELS
    deepgram: frozenset[str] = frozenset(DEEPGRAM_LANGUAGES.split())
    """Languages of Deepgram's model, without script and region."""
    deepgram_model: str = "nova-3"

    def is_own(self, asked: LanguageChoice | None) -> bool:
        """Whether the deployment's own model hears such an upload. `asked`: its owner's; None: nothing is asked."""
        if asked is None or self.own is None:
            return asked is None
        # Whatever `auto` finds may be no language of a model that is for some.
        return set(asked.codes) <= set(self.own.codes) if asked.codes else not self.own.codes

    def model_for(self, asked: LanguageChoice | None) -> str | None:
        """The model of another language; None: the deployment's own one, or none has the language."""
        if asked is None or self.is_own(asked):
            return None
        found = self.models.model_for(asked)
        return None if found is None or self._own_names_as_many(asked, found) else found.model

    def job_obstacle(self, asked: LanguageChoice | None, device: JobDevice) -> str | None:
        """Why a job could not transcribe an upload; None where it can."""
        if asked is None or self.is_own(asked):
            return None
        found = self.models.model_for(asked)
        if found is not None and self._own_names_as_many(asked, found):
            return None
        if found is None:
            return f"no model of the job has the language {asked} (LANGUAGE_MODELS)"
        if device is JobDevice.GPU and not found.runs_on_gpu:
            return f"{found.model}, the model for the language {asked}, runs on a CPU only"
        return None

    def _own_names_as_many(self, asked: LanguageChoice, found: LanguageModel) -> bool:
        """Whether nothing is known of the languages, and the deployment's own model has as many as the table's one."""
        own = 1 if self.own is None else max(1, len(self.own.codes))
        return not asked.codes and OTHER not in found.languages and len(found.languages) <= own

    def deepgram_obstacle(self, asked: LanguageChoice | None) -> str | None:
        """Why Deepgram could not transcribe an upload; None where it can. What LANGUAGE says is asked."""
        return None if asked is None else deepgram_language_obstacle(asked, self.deepgram, self.deepgram_model)
