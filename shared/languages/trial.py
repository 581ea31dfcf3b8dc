"""Which models hear the first speech of an upload whose language nobody knows: a job asks, and so does its quote."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from shared.languages.choice import LanguageChoice
from shared.languages.models import OTHER, runs_on_gpu
from shared.languages.table import LanguageTable

TRIAL_SECONDS = 60.0
"""Speech that each model hears where nothing else is set."""


@dataclass(frozen=True)
class ModelsOnTrial:
    """Names of models, one of which an upload is heard with."""

    known: tuple[str, ...]
    """With languages of their own, the deployment's own one first; each hears the first speech."""
    other: str | None
    """For any other language; None where there is none. It hears what none of the others is sure of."""


def models_on_trial(
    table: LanguageTable, own: str, asked: LanguageChoice | None, *, on_gpu: bool, copy_of: str = ""
) -> ModelsOnTrial | None:
    """The models for an upload that may be in several languages; None where there is no choice. Pure.

    `own`: the deployment's model, as PARAKEET_MODEL_NAME has it. `copy_of`: the name of what that is a copy of.
    `asked`: the owner's; None: nothing, and then what LANGUAGE names is for the own model alone. `on_gpu`: whether only
    what runs there can be had.
    """
    if asked is None or asked.known is not None or table.is_own(asked):
        return None
    own_names = {own, copy_of}
    in_table = [(one.model, one.languages) for one in table.models.models if one.model not in own_names]
    listed = next((one.languages for one in table.models.models if one.model in own_names), frozenset[str]())
    own_codes = () if OTHER in listed else tuple(listed)
    own_codes = own_codes or (() if table.own is None else table.own.codes)
    able: list[tuple[str, Collection[str]]] = [(own, own_codes)]
    able += [(name, codes) for name, codes in in_table if not on_gpu or runs_on_gpu(name)]
    known = tuple(name for name, codes in able if OTHER not in codes and _may_speak(codes, asked))
    other = next((name for name, codes in able if OTHER in codes), None)
    return ModelsOnTrial(known, other) if known and len(known) + (other is not None) > 1 else None


def models_heard_beside(on_trial: ModelsOnTrial | None, model: str) -> tuple[str, ...]:
    """Those that hear the first speech besides `model`, with which an upload is heard. None on trial: none."""
    return () if on_trial is None else tuple(name for name in on_trial.known if name != model)


def _may_speak(codes: Collection[str], asked: LanguageChoice) -> bool:
    """Whether a model with these languages has one of those asked for; of none asked for, any; nobody knows: yes."""
    return not codes or not asked.codes or not set(codes).isdisjoint(asked.codes)
