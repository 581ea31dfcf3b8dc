"""Which model hears an upload, by the language that its owner says is spoken."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from gpu_job.asr.recognizer import SpeechModel
from shared.languages.choice import LanguageChoice
from shared.languages.models import OTHER, hears_one_language, runs_on_gpu
from shared.languages.table import LanguageTable


@dataclass(frozen=True)
class TrialModels:
    """What an upload may be heard with of whose language little is known."""

    known: tuple[SpeechModel, ...]
    """With languages of their own, the deployment's own one first."""
    other: SpeechModel | None
    """For any other language; None where there is none."""

    @property
    def are_a_choice(self) -> bool:
        """Whether there are several."""
        return len(self.known) + (self.other is not None) > 1 and bool(self.known)


@dataclass(frozen=True)
class SpeechModels:
    """An engine's own model, and the deployment's table of others."""

    own: str
    """As PARAKEET_MODEL_NAME has it."""
    table: LanguageTable = field(default_factory=LanguageTable)

    def of(self, asked: LanguageChoice | None) -> SpeechModel:
        """The model for an upload. `asked`: its owner's; None: nothing. Where none has the language, routing has
        forbidden the job, or somebody insisted: then the engine's own model hears it."""
        name = self.table.model_for(asked) or self.own
        choice = asked or self.table.own
        tag = choice.known if choice is not None else None
        return SpeechModel(name, tag if hears_one_language(name) else None)

    def on_trial(self, asked: LanguageChoice | None, *, on_gpu: bool) -> TrialModels:
        """The models for an upload that may be in several languages. `asked`: its owner's; None: nothing, and then what
        LANGUAGE names is for the deployment's own model alone. `on_gpu`: whether only what runs there can be had."""
        if asked is None or asked.known is not None or self.table.is_own(asked):
            return TrialModels((), None)
        own = self.table.own
        own_codes = frozenset() if own is None else frozenset(own.codes)
        named = [(self.own, self.languages_of(SpeechModel(self.own)) or own_codes)]
        named += [(one.model, one.languages) for one in self.table.models.models if one.model != self.own]
        able = [(name, codes) for name, codes in named if not on_gpu or name == self.own or runs_on_gpu(name)]
        known = [name for name, codes in able if OTHER not in codes and _may_speak(codes, asked)]
        other = next((name for name, codes in able if OTHER in codes), None)
        return TrialModels(tuple(map(SpeechModel, known)), None if other is None else SpeechModel(other))

    def languages_of(self, model: SpeechModel | None) -> tuple[str, ...]:
        """Those that the table names for a model; none where it has them all, or is not in the table."""
        named = (one.languages for one in self.table.models.models if model is not None and one.model == model.name)
        languages = next(named, frozenset())
        return () if OTHER in languages else tuple(sorted(languages))


def _may_speak(codes: Collection[str], asked: LanguageChoice) -> bool:
    """Whether a model with these languages has one of those asked for; of none asked for, any; nobody knows: yes."""
    return not codes or not asked.codes or not set(codes).isdisjoint(asked.codes)
